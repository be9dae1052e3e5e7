"""`fix_kernel_image`: make /boot/vmlinuz* readable again (FOE 2.4).

An image of mode 0600 can't be served to a netbooting Pi, and the tools that copy it fail.
Only plain files that lie in /boot itself are touched: each is opened without following links.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from agents.lane import Lane
from agents.treatment import TreatmentError

_PREFIX = "vmlinuz"
_READABLE = 0o644
_MOST_NAMED = 5


class FixKernelImage:
    """Takes no arguments."""

    name = "fix_kernel_image"
    needs_root = True

    def __init__(self, rootfs: Path, lane: Lane | None = None) -> None:
        self._boot = rootfs / "boot"
        self._lane = lane or Lane()

    def refusal(self, arguments: Mapping[str, str]) -> str:
        """Allow no arguments."""
        return "expected no arguments" if arguments else ""

    async def carry_out(self, arguments: Mapping[str, str], deadline_s: float) -> str:  # noqa: ARG002 - a port
        """Make every image readable, and prove it by looking again."""
        return await self._lane.run(self.name, self._fix)

    def _fix(self) -> str:
        try:
            with _folder(self._boot) as boot:
                fixed = [name for name, fd in _images(boot) if _made_readable(fd)]
                os.fsync(boot)
                still = [name for name, fd in _images(boot) if not _readable(fd)]
        except OSError as error:
            raise TreatmentError(f"{self._boot}: {error.strerror}") from None
        if still:
            raise TreatmentError(f"still not readable: {_some(still)}")
        return f"mode 0644 given to {_some(fixed)}" if fixed else "nothing to do: all are readable"


@contextmanager
def _folder(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _images(boot: int) -> Iterator[tuple[str, int]]:
    """Yield every kernel image in the open folder, with a descriptor for the moment."""
    for name in sorted(os.listdir(boot)):
        if not name.startswith(_PREFIX) or not stat.S_ISREG(_mode(boot, name)):
            continue
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=boot)
        try:
            yield name, fd
        finally:
            os.close(fd)


def _mode(boot: int, name: str) -> int:
    return os.stat(name, dir_fd=boot, follow_symlinks=False).st_mode


def _readable(fd: int) -> bool:
    return os.fstat(fd).st_mode & _READABLE == _READABLE


def _made_readable(fd: int) -> bool:
    if _readable(fd):
        return False
    os.fchmod(fd, _READABLE)
    os.fsync(fd)
    return True


def _some(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
