"""The kernel's log as it is written, for every detector that listens: one open /dev/kmsg.

Source: Documentation/ABI/testing/dev-kmsg. Each read(2) returns one record,
`priority,sequence,microseconds,flags;text`, with continuation lines after a newline. A reader
that was overtaken gets EPIPE and goes on at the oldest record left: normal in a flood.
Only what the kernel itself wrote counts: programs may write there too, under facilities of
their own, which the kernel enforces.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from agents.threads import in_thread

_log = structlog.get_logger(__name__)
_RECORD_BYTES = 8192  # the kernel's own bound on a record (EINVAL if the buffer is smaller)
_MOST_AT_ONCE = 250  # records; then everybody else's turn
_PAUSE_S = 0.25  # so at most 1000 records a second are read, whatever the kernel writes
_FACILITY_SHIFT, _LEVEL_MASK = 3, 7


@dataclass(frozen=True, slots=True)
class Message:
    """One record of the kernel's. `level` is syslog's: 0 emergency to 7 debug."""

    level: int
    sequence: int
    text: str


Hear = Callable[[Message], None]


def parse_record(record: bytes) -> Message | None:
    """Parse one read of /dev/kmsg; None for what isn't the kernel's or isn't a record."""
    head, separator, rest = record.partition(b";")
    fields = head.split(b",")
    try:
        priority, sequence = int(fields[0]), int(fields[1])
    except (ValueError, IndexError):
        return None
    if not separator or priority >> _FACILITY_SHIFT:
        return None
    text = rest.partition(b"\n")[0].decode("utf-8", "replace")
    return Message(priority & _LEVEL_MASK, sequence, text)


class KernelMessages:
    """Reads from now on, while anybody listens. Beware of threads: the event loop's alone."""

    def __init__(self, path: Path = Path("/dev/kmsg")) -> None:
        self.path = path
        self.overruns = 0
        self._listeners: list[Hear] = []
        self._opening = asyncio.Lock()
        self._fd: int | None = None
        self._resume: asyncio.TimerHandle | None = None

    @contextlib.asynccontextmanager
    async def heard_by(self, hear: Hear) -> AsyncIterator[None]:
        """Call `hear` with each new message meanwhile. It must be quick. Raises `OSError`."""
        async with self._opening:
            if self._fd is None:
                self._fd = await in_thread(lambda: _open_at_end(self.path), "open kernel log")
                self._listen()
        self._listeners.append(hear)
        try:
            yield
        finally:
            self._listeners.remove(hear)
            if not self._listeners:
                self._close()

    def _listen(self) -> None:
        self._resume = None
        if self._fd is not None:
            try:
                asyncio.get_running_loop().add_reader(self._fd, self._read)
            except PermissionError:  # a plain file has no news: a tree made for a test
                _log.info("kernel_log_is_no_device", path=str(self.path))

    def _pause(self) -> None:
        loop = asyncio.get_running_loop()
        if self._fd is not None:
            loop.remove_reader(self._fd)
            self._resume = loop.call_later(_PAUSE_S, self._listen)

    def _close(self) -> None:
        if self._resume:
            self._resume.cancel()
        if self._fd is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
        self._fd, self._resume = None, None

    def _read(self) -> None:
        for _ in range(_MOST_AT_ONCE):
            if self._fd is None:  # a listener left
                return
            try:
                record = os.read(self._fd, _RECORD_BYTES)
            except BlockingIOError:
                return
            except BrokenPipeError:
                self.overruns += 1
                continue
            except OSError as error:
                _log.warning("kernel_log_unreadable", error=error.strerror)
                self._pause()
                return
            if message := parse_record(record):
                self._tell(message)
        self._pause()

    def _tell(self, message: Message) -> None:
        for hear in tuple(self._listeners):
            try:
                hear(message)
            except Exception:  # noqa: BLE001 - one listener's bug is nobody else's
                _log.exception("kernel_log_listener_failed", text=message.text[:200])


def _open_at_end(path: Path) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with contextlib.suppress(OSError):  # a pipe has no end to seek
        os.lseek(fd, 0, os.SEEK_END)
    return fd
