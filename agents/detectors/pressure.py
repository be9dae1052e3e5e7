"""`memory_pressure`, `io_pressure`, `cpu_pressure`: work waits for what the node has too little of.

Sources: /proc/pressure/* (Documentation/accounting/psi.rst) and MemAvailable of /proc/meminfo.
A PSI trigger is written to the open file and tells through EPOLLPRI within a window; [T] kernel
6.18: without CAP_SYS_RESOURCE the window must be a multiple of 2 s, older kernels refuse any.
The averages are looked at in any case. Raspberry Pi OS has PSI only with `psi=1` on the kernel's
command line: without it there is no data on io and cpu, and memory rests on MemAvailable alone.
"""

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from agents.priority_events import told_of_priority
from agents.threads import in_thread
from common.clock import boottime
from common.observations import Truth
from common.wire import WireObservation

MEMORY = "memory_pressure"
_LEAST_AVAILABLE = 0.04  # of MemTotal
_TRIGGER_HOLDS_S = 10.0
_WINDOW_US = 2_000_000
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limit:
    """`share` percent of the time in which `line` tasks wait: some of them, or all (full)."""

    kind: str
    file: str
    line: str
    share: float


# All tasks waiting for memory a tenth of the time is thrashing; a disk may well be busy, and
# some task waits for a processor whenever all of them work, so these limits are high.
LIMITS = (
    Limit(MEMORY, "memory", "full", 10.0),
    Limit("io_pressure", "io", "full", 60.0),
    Limit("cpu_pressure", "cpu", "some", 95.0),
)


class Pressure:
    """Reads the averages of the last 10 s, at once when a trigger says so."""

    name = "pressure"
    kinds = tuple(limit.kind for limit in LIMITS)
    period_s = 5.0
    deadline_s = 3.0

    def __init__(self, procfs: Path) -> None:
        self._folder = procfs / "pressure"
        self._meminfo = procfs / "meminfo"
        self._triggered: dict[str, float] = {}

    def observe(self) -> list[WireObservation]:
        """Read what there is."""
        now, available = boottime(), self._available()
        seen = []
        for limit in LIMITS:
            share = self._share(limit)
            told = now - self._triggered.get(limit.kind, -1e9) < _TRIGGER_HOLDS_S
            lack = available if limit.kind == MEMORY else None
            if share is not None or lack is not None:
                seen.append(judge(limit, share, lack, told=told))
        return seen

    async def watch(self, look_now: Callable[[], None]) -> None:
        """Set a trigger on each file that takes one, and wait."""
        with contextlib.ExitStack() as stack:
            for limit in LIMITS:
                try:
                    file = await in_thread(partial(self._trigger, limit), "pressure trigger")
                    stack.callback(os.close, file)
                    stack.enter_context(told_of_priority(file, self._note(limit, look_now)))
                except OSError as error:
                    _log.info("no_pressure_trigger", kind=limit.kind, reason=error.strerror)
            await asyncio.Event().wait()

    def _note(self, limit: Limit, look_now: Callable[[], None]) -> Callable[[], None]:
        def note() -> None:
            self._triggered[limit.kind] = boottime()
            look_now()

        return note

    def _trigger(self, limit: Limit) -> int:
        file = os.open(self._folder / limit.file, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            stall_us = round(_WINDOW_US * limit.share / 100)
            os.write(file, f"{limit.line} {stall_us} {_WINDOW_US}\0".encode())
        except OSError:
            os.close(file)
            raise
        return file

    def _share(self, limit: Limit) -> float | None:
        try:
            return parse_pressure((self._folder / limit.file).read_text("ascii")).get(limit.line)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:  # built in, but switched off
                return None
            raise

    def _available(self) -> float | None:
        """Return the available share of the memory, from 0 to 1."""
        with contextlib.suppress(FileNotFoundError):
            fields = dict(_meminfo(self._meminfo.read_text("ascii")))
            if fields.get("MemTotal") and "MemAvailable" in fields:
                return fields["MemAvailable"] / fields["MemTotal"]
        return None


def parse_pressure(text: str) -> dict[str, float]:
    """Return the 10 s average, in percent, of each line (`some`, `full`)."""
    rows = (line.split() for line in text.splitlines())
    return {
        row[0]: float(field.removeprefix("avg10="))
        for row in rows
        for field in row[1:]
        if field.startswith("avg10=")
    }


def judge(
    limit: Limit, share: float | None, available: float | None, *, told: bool
) -> WireObservation:
    """Judge one resource: percent of waiting, share of memory left, and a trigger's word."""
    high = share is not None and share >= limit.share
    scarce = available is not None and available < _LEAST_AVAILABLE
    parts = [] if share is None else [f"{limit.line} tasks waited {share:g} % of the last 10 s"]
    if told:
        parts.append(f"over {limit.share:g} % within 2 s, lately")
    if available is not None:
        parts.append(f"{available:.0%} of memory available")
    return WireObservation(
        kind=limit.kind,
        status=Truth.TRUE if high or scarce or told else Truth.FALSE,
        detail="; ".join(parts).replace("full tasks", "all tasks").replace("some tasks", "a task"),
        value=share,
    )


def _meminfo(text: str) -> list[tuple[str, int]]:
    rows = (line.partition(":") for line in text.splitlines())
    return [(name, int(rest.split()[0])) for name, _, rest in rows if rest.split()]
