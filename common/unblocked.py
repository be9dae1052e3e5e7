"""A log stream that never waits: what can't be taken at once is dropped, and counted.

journald itself may hang on a dead disk; then its socket fills up, and a daemon that waits for
room in it stands still. Files are the exception: writing to one may block, whatever poll says.
"""

import os
import select

_MOST_BYTES = 4096  # what fits when poll says that there is room at all, see pipe(7), unix(7)


class Unblocked:
    """Writes lines to the file descriptor `fd`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._torn = ""  # ends a line that only half of went out
        self.dropped = 0

    def write(self, line: str) -> int:
        """Write a line, or as much of it as fits. Never blocks, never raises."""
        note = (
            f'{{"event": "log_lines_dropped", "count": {self.dropped}}}\n' if self.dropped else ""
        )
        if self._is_ready() and self._put(self._torn + note + line):
            self.dropped, self._torn = 0, ""
        else:
            self.dropped += 1
        return len(line)

    def flush(self) -> None:
        """Do nothing: nothing is held back."""

    def _is_ready(self) -> bool:
        return bool(self._poll.poll(0))

    def _put(self, text: str) -> bool:
        """Write piece by piece, each while there is room."""
        rest = text.encode("utf-8", "backslashreplace")
        try:
            while rest:
                rest = rest[os.write(self._fd, rest[:_MOST_BYTES]) :]
                self._torn = "\n"
                if rest and not self._is_ready():
                    return False
        except OSError:
            return False
        return True
