"""One supervisor at a time: an advisory lock beside the journal, held while it is open."""

import contextlib
import fcntl
import os
from pathlib import Path

from supervisor.journal.errors import JournalError


class WriterLock:
    """Held until `release()`, or until the process dies: the kernel forgets nobody's death."""

    def __init__(self, journal: Path) -> None:
        """Take the lock of `journal`; raise `JournalError` if another process has it."""
        self._path = journal.with_name(journal.name + ".lock")
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._fd, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise JournalError(
                journal,
                f"in use by another supervisor (process {holder}); "
                "stop that one first, or give this one another state directory",
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another supervisor in. The file stays: removing it would race with its locking."""
        with contextlib.suppress(OSError):
            os.close(self._fd)
