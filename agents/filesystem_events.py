"""File system errors the moment the kernel meets them: fanotify's FAN_FS_ERROR.

Source: fanotify(7), Linux 5.16 and later; ext4 reports, NFS and most others don't. It needs
CAP_SYS_ADMIN. [T] kernel 6.18, ext4: the event comes 1.6 ms after the error, *before* the
kernel marks the superblock, so whoever looks at once must look again a little later.
"""

import asyncio
import contextlib
import ctypes
import os
from collections.abc import AsyncIterator, Callable, Iterable

_CLOEXEC, _NONBLOCK, _REPORT_FID = 0x1, 0x2, 0x200
_MARK_ADD, _MARK_FILESYSTEM = 0x1, 0x100
_FS_ERROR = 0x8000
_AT_FDCWD = -100
_BUFFER_BYTES = 4096


class FilesystemEvents:
    """One fanotify group. Close it."""

    def __init__(self) -> None:
        """Raise `OSError` where the kernel or our capabilities forbid it."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        flags = _CLOEXEC | _NONBLOCK | _REPORT_FID
        self._fd = self._checked(self._libc.fanotify_init(flags, os.O_RDONLY | os.O_LARGEFILE))

    def mark(self, path: str) -> None:
        """Watch the file system `path` lies on. Resolves the path, so it may block: a thread."""
        mask, flags = ctypes.c_uint64(_FS_ERROR), _MARK_ADD | _MARK_FILESYSTEM
        where = os.fsencode(path)
        self._checked(self._libc.fanotify_mark(self._fd, flags, mask, _AT_FDCWD, where))

    def close(self) -> None:
        """Forget every mark."""
        os.close(self._fd)

    @contextlib.asynccontextmanager
    async def told_to(self, failed: Callable[[], None]) -> AsyncIterator[None]:
        """Call `failed` after each error meanwhile."""
        loop = asyncio.get_running_loop()

        def ready() -> None:
            # One event stands for many: the kernel counts the errors until it is read.
            with contextlib.suppress(BlockingIOError):
                os.read(self._fd, _BUFFER_BYTES)
            failed()

        loop.add_reader(self._fd, ready)
        try:
            yield
        finally:
            loop.remove_reader(self._fd)

    def _checked(self, result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"fanotify: {os.strerror(number)}")
        return result


def mark_all(events: FilesystemEvents, paths: Iterable[str]) -> dict[str, str]:
    """Mark every path; return the reason for each that can't be watched. May block."""
    refused = {}
    for path in paths:
        try:
            events.mark(path)
        except OSError as error:
            refused[path] = error.strerror or str(error)
    return refused
