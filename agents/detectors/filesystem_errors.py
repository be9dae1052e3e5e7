"""`filesystem_errors`: an ext4 file system met errors, or a disk failed to read or write.

Sources: /sys/fs/ext4/DEV/errors_count and last_error_* (Documentation/ABI/testing/sysfs-fs-ext4)
and the kernel's log. The counters live in the superblock and survive reboots until fsck clears
them, so only their growth since our start makes true; older errors are told as detail. [T]
kernel 6.18: with errors=remount-ro the counter did not move before the next mount, so the
log's word counts as well.

A disk's I/O error is true for `DISK_FOR_S` after the last one: it need not have hit a structure.
"""

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import Callable
from pathlib import Path

from agents.kernel_messages import KernelMessages, Message
from common.clock import boottime, wall_text
from common.observations import Truth
from common.wire import WireObservation

KIND = "filesystem_errors"
DISK_FOR_S = 600.0
_MOST_DISKS, _MOST_HEARD = 16, 64
_EXT4 = re.compile(r"EXT4-fs error \(device ([^)]+)\)")
_DISK = re.compile(r"I/O error,? (?:on )?(?:dev(?:ice)?) ([\w!-]+)")


class FilesystemErrors:
    """Watches every mounted ext4 file system, and every disk the kernel complains of."""

    name = "filesystem_errors"
    kinds = (KIND,)
    period_s = 5.0
    deadline_s = 3.0

    def __init__(self, sysfs: Path, messages: KernelMessages | None = None) -> None:
        self._folder = sysfs / "fs/ext4"
        self._messages = messages
        self._heard: deque[tuple[float, str]] = deque(maxlen=_MOST_HEARD)  # not yet looked at
        # From here on the looks' own: they run in threads, one at a time.
        self._at_start: dict[str, int] = {}
        self._told: dict[str, str] = {}  # file systems the log complained of
        self._disks: dict[str, tuple[float, str]] = {}

    def hear(self, text: str, now: float) -> bool:
        """Take note of a message; tell whether it was an error."""
        if not (_EXT4.search(text) or _DISK.search(text)):
            return False
        self._heard.append((now, text[:300]))
        return True

    def observe(self) -> list[WireObservation]:
        """Read the counters of every file system that is mounted now."""
        while self._heard:
            self._sort_in(*self._heard.popleft())
        counts = _counts(self._folder)
        self._at_start = {device: self._at_start.get(device, counts[device]) for device in counts}
        self._told = {device: text for device, text in self._told.items() if device in counts}
        now = boottime()
        self._disks = {
            disk: heard for disk, heard in self._disks.items() if now - heard[0] <= DISK_FOR_S
        }
        file_systems = [self._judged(device, count) for device, count in counts.items()]
        disks = [_seen(Truth.TRUE, disk, text) for disk, (_, text) in self._disks.items()]
        return [*file_systems, *disks]

    async def watch(self, look_now: Callable[[], None]) -> None:
        """Listen to the kernel's log, where we may; the counters are read anyway."""

        def hear(message: Message) -> None:
            if self.hear(message.text, boottime()):
                look_now()

        async with contextlib.AsyncExitStack() as sources:
            if self._messages:
                with contextlib.suppress(OSError):  # the detector kernel_log says that it's deaf
                    await sources.enter_async_context(self._messages.heard_by(hear))
            await asyncio.Event().wait()

    def _sort_in(self, at: float, text: str) -> None:
        if found := _EXT4.search(text):
            self._told[found[1]] = text
        elif found := _DISK.search(text):
            self._disks[found[1]] = at, text
            if len(self._disks) > _MOST_DISKS:
                del self._disks[next(iter(self._disks))]

    def _judged(self, device: str, count: int) -> WireObservation:
        at_start = self._at_start[device]
        if count < at_start:  # cleared by fsck, or another disk under the same name
            at_start = self._at_start[device] = count
        last = _last_error(self._folder / device)
        if count > at_start:
            return _seen(
                Truth.TRUE, device, f"{count - at_start} errors since start, {last}", count
            )
        if device in self._told:
            return _seen(Truth.TRUE, device, self._told[device], count)
        old = f"{count} errors before our start, {last}" if count else "no errors"
        return _seen(Truth.FALSE, device, old, count)


def _counts(folder: Path) -> dict[str, int]:
    counts = {}
    for path in sorted(folder.glob("*/errors_count")):
        with contextlib.suppress(OSError, ValueError):  # unmounted meanwhile
            counts[path.parent.name] = int(path.read_text("ascii"))
    return counts


def _last_error(folder: Path) -> str:
    """Say when the last one was, by the wall clock of then: for people."""
    try:
        seconds = int((folder / "last_error_time").read_text("ascii"))
    except (OSError, ValueError):
        return "last at an unknown time"
    return f"last at {wall_text(seconds * 10**9)}" if seconds else "last at an unknown time"


def _seen(status: Truth, subject: str, detail: str, count: float | None = None) -> WireObservation:
    return WireObservation(
        kind=KIND, status=status, subject=subject, detail=detail[:400], value=count
    )
