"""Who waits for a disk: processes in state D and the function they wait in, from procfs alone.

Sources: /proc/PID/stat and /proc/PID/wchan (proc(5)), /proc/pressure/io. None of them takes a
lock that somebody waiting for a disk could hold, as /proc/PID/cmdline does.
"""

import contextlib
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

_MOST_PROCESSES = 2000
_PRESSURE = re.compile(r"^full avg10=([0-9.]+)", re.MULTILINE)
_HIDDEN = frozenset({"", "0"})  # other people's are, without CAP_SYS_PTRACE


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many processes wait, where most of them do, and the share of time all tasks did."""

    processes: int = 0
    function: str = ""
    there: int = 0
    pressure: float | None = None

    def said(self) -> list[str]:
        """Put it in words; what isn't known or is nothing is left out."""
        parts = []
        if self.processes:
            verb = "process waits" if self.processes == 1 else "processes wait"
            some = f", {self.there} of them" if self.there < self.processes else ""
            where = f"{some} in {self.function}" if self.function else " for a disk"
            parts.append(f"{self.processes} {verb}{where}")
        if self.pressure:
            parts.append(f"all tasks waited for disks {self.pressure:g} % of the last 10 s")
        return parts


def look_at_waiting(procfs: Path) -> Waiting:
    """Look once, at a bounded number of processes."""
    waiting = 0
    functions = Counter[str]()
    numbers = [entry for entry in procfs.iterdir() if entry.name.isdecimal()]
    for entry in numbers[:_MOST_PROCESSES]:
        with contextlib.suppress(OSError):  # it ended meanwhile
            stat = (entry / "stat").read_text("utf-8", "replace")
            if stat.rpartition(")")[2].split()[0] != "D":
                continue
            waiting += 1
            functions[(entry / "wchan").read_text("ascii").strip()] += 1
    for hidden in _HIDDEN:
        functions.pop(hidden, None)
    function, there = functions.most_common(1)[0] if functions else ("", 0)
    return Waiting(waiting, function, there, _io_pressure(procfs))


def _io_pressure(procfs: Path) -> float | None:
    with contextlib.suppress(OSError):
        found = _PRESSURE.search((procfs / "pressure/io").read_text("ascii"))
        return float(found[1]) if found else None
    return None
