"""One supervisor at a time: an advisory lock beside the journal, held while it is open."""

import contextlib
import fcntl
import os
from pathlib import Path

from supervisor.journal.errors import JournalInUseError


class WriterLock:
    """Held until `release()`, or until the process dies: the kernel forgets nobody's death."""

    def __init__(self, journal: Path) -> None:
        """Take the lock of `journal`; raise `JournalInUseError` if another process has it."""
        self._path = journal.with_name(journal.name + ".lock")
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        give_to_owner(self._fd, journal.parent)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._fd, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise JournalInUseError(journal, holder) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another supervisor in. The file stays: removing it would race with its locking."""
        with contextlib.suppress(OSError):
            os.close(self._fd)


def give_to_owner(fd: int, directory: Path) -> None:
    """Let a file that root makes here belong to whoever the directory belongs to.

    A person's direct act as root must not lock the daemon, which is not root, out of its files.
    """
    owner = directory.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.fchown(fd, owner.st_uid, owner.st_gid)
