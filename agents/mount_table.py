"""The mount table: parsing it, and being told when it changes.

Source: /proc/PID/mountinfo, see proc_pid_mountinfo(5). PID 1's is read where it may be, because
an agent that runs from memory has a root, and so a table, of its own.

A change of the table is EPOLLPRI on the open file.
"""

import contextlib
import os
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from agents.detector import DetectorError
from agents.priority_events import told_of_priority
from agents.threads import in_thread

_ESCAPE = re.compile(r"\\([0-7]{3})")
_FIELDS_BEFORE, _FIELDS_AFTER = 6, 3


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo."""

    point: str
    filesystem: str
    source: str
    options: frozenset[str]
    super_options: frozenset[str]
    device: str = ""  # major:minor


class MountTable:
    """Reads one mount table from a file that is opened once and kept."""

    def __init__(self, procfs: Path, file: str = "mountinfo") -> None:
        """`file` may be another view of the same table, such as mountstats."""
        self._candidates = (procfs / "1" / file, procfs / "self" / file)
        self._fd: int | None = None

    def read(self) -> str:
        """Return the whole table as it is now. Raises `OSError`."""
        if self._fd is not None and not os.fstat(self._fd).st_nlink:
            os.close(self._fd)  # a plain file that was replaced: what we hold is the past
            self._fd = None
        if self._fd is None:
            self._fd = self.open()
        os.lseek(self._fd, 0, os.SEEK_SET)
        chunks = []
        while chunk := os.read(self._fd, 1 << 16):
            chunks.append(chunk)
        return b"".join(chunks).decode("utf-8", "replace")

    def open(self) -> int:
        """Open it once more. Raises `OSError`."""
        for path in self._candidates[:-1]:
            with contextlib.suppress(OSError):
                return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return os.open(self._candidates[-1], os.O_RDONLY | os.O_CLOEXEC)

    @contextlib.asynccontextmanager
    async def changes_told_to(self, changed: Callable[[], None]) -> AsyncIterator[None]:
        """Call `changed` after each change meanwhile. Raises `OSError`, also on a plain file."""
        fd = await in_thread(self.open, "open mount table")
        try:
            with told_of_priority(fd, changed):
                yield
        finally:
            os.close(fd)


def parse_mountinfo(text: str) -> list[Mount]:
    """Parse the whole file. Raises `DetectorError` on a line that isn't mountinfo."""
    return [_mount(line) for line in text.splitlines() if line.strip()]


def _mount(line: str) -> Mount:
    before, separator, after = line.partition(" - ")
    left, right = before.split(" "), after.split(" ", 2)
    if not separator or len(left) < _FIELDS_BEFORE or len(right) < _FIELDS_AFTER:
        raise DetectorError(f"mountinfo: unexpected line {line[:200]!r}")
    return Mount(
        point=unescaped(left[4]),
        filesystem=right[0],
        source=unescaped(right[1]),
        options=frozenset(left[5].split(",")),
        super_options=frozenset(right[2].split(",")),
        device=left[2],
    )


def unescaped(text: str) -> str:
    r"""Undo the kernel's escapes: a space is \040."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), text)
