"""A file that really hangs whoever opens it, as one does whose server is gone; no root needed.

It is a FIFO that nobody writes to: opening it for reading waits in the kernel, killably, as a
read from a dead NFS server does. While it is thawed the file is back, and who waited goes on.
"""

import os
from pathlib import Path


class HangingFile:
    """A file that can be hung and thawed, again and again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept = path.with_name(f".{path.name}.kept")
        self._fifo = -1

    @property
    def hangs(self) -> bool:
        """Whether it hangs now."""
        return self._fifo >= 0

    def hang(self) -> None:
        """Hang whoever opens it from now on. Raises `OSError` where there is no such file."""
        if self.hangs:
            return
        fifo = self._path.with_name(f".{self._path.name}.fifo")
        fifo.unlink(missing_ok=True)
        os.mkfifo(fifo)
        self._kept.unlink(missing_ok=True)
        self._kept.hardlink_to(self._path)
        fifo.replace(self._path)
        # With a reader there, the open for writing that thaws it can't hang itself.
        self._fifo = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def thaw(self) -> None:
        """Put the file back, and let go of whoever hangs."""
        if not self.hangs:
            return
        self._kept.replace(self._path)
        writer = f"/proc/self/fd/{self._fifo}"
        os.close(os.open(writer, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        os.close(self._fifo)
        self._fifo = -1
