"""`root_read_only`: a mount that ought to be writable isn't.

Source: /proc/self/mountinfo, see proc_pid_mountinfo(5). A file system that the kernel turned
read-only after an error (errors=remount-ro, login's weekly failure) keeps `rw` in its mount
options, and statvfs(3) sees nothing: only the superblock options tell, as `emergency_ro`
(kernel 6.13 and later) or `ro`. So both are read.

Later: poll(2) on the open file for remounts, fanotify and /dev/kmsg for errors.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.detector import DetectorError
from common.observations import Truth
from common.wire import WireObservation

KIND = "root_read_only"
READ_ONLY_BY_DESIGN = frozenset({"squashfs", "iso9660", "erofs", "cramfs", "romfs"})
_READ_ONLY = frozenset({"ro", "emergency_ro"})
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


class ReadOnlyMounts:
    """Watches `points`; name only mounts there that are meant to be writable."""

    name = "read_only_mounts"
    kinds = (KIND,)
    period_s = 1.0
    deadline_s = 2.0

    def __init__(self, procfs: Path, points: Sequence[str] = ("/",)) -> None:
        self._path = procfs / "self/mountinfo"
        self._points = tuple(points)

    def observe(self) -> list[WireObservation]:
        """Read the mount table once."""
        mounts = parse_mountinfo(self._path.read_text(encoding="utf-8", errors="replace"))
        return [judge(point, mounts) for point in self._points]


def parse_mountinfo(text: str) -> list[Mount]:
    """Parse the whole file. Raises `DetectorError` on a line that isn't mountinfo."""
    return [_mount(line) for line in text.splitlines() if line.strip()]


def _mount(line: str) -> Mount:
    before, separator, after = line.partition(" - ")
    left, right = before.split(" "), after.split(" ", 2)
    if not separator or len(left) < _FIELDS_BEFORE or len(right) < _FIELDS_AFTER:
        raise DetectorError(f"mountinfo: unexpected line {line[:200]!r}")
    return Mount(
        point=_unescaped(left[4]),
        filesystem=right[0],
        source=_unescaped(right[1]),
        options=frozenset(left[5].split(",")),
        super_options=frozenset(right[2].split(",")),
    )


def _unescaped(text: str) -> str:
    r"""Undo the kernel's escapes: a space is \040."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), text)


def judge(point: str, mounts: Sequence[Mount]) -> WireObservation:
    """Say whether what is mounted at `point` refuses writes. The last mount there hides others."""
    mount = next((mount for mount in reversed(mounts) if mount.point == point), None)
    if mount is None:
        return _seen(Truth.UNKNOWN, point, "nothing is mounted there")
    what = f"{mount.filesystem} from {mount.source}"
    if mount.filesystem in READ_ONLY_BY_DESIGN:
        return _seen(Truth.FALSE, point, f"{what}: read-only by design")
    if found := sorted(mount.super_options & _READ_ONLY):
        return _seen(Truth.TRUE, point, f"{what}: the file system is {found[0]}")
    if "ro" in mount.options:
        return _seen(Truth.TRUE, point, f"{what}: mounted ro")
    return _seen(Truth.FALSE, point, what)


def _seen(status: Truth, point: str, detail: str) -> WireObservation:
    return WireObservation(kind=KIND, status=status, subject=point[:400], detail=detail[:400])
