"""`root_read_only`: a mount that ought to be writable isn't.

Three sources say that something happened, and the mount table says what [T, kernel 6.18]:

    event                           mountinfo poll   fanotify   kernel log   table afterwards
    remount,ro                      at once          -          yes          ro / ro
    bind remount ro                 at once          -          -            ro / rw
    error, errors=remount-ro        never            1.6 ms     3 ms         rw / emergency_ro
    error, errors=continue          never            1.5 ms     4 ms         rw / rw

A file system that the kernel turned read-only after an error (login's weekly failure) keeps
`rw` in its mount options, and statvfs(3) sees nothing: only the superblock options tell, as
`emergency_ro` (kernel 6.13 and later) or `ro`. So both are read. The kernel speaks *before* it
marks the superblock, so after its word the table is looked at several times.

Read-only by design is no fault: some file systems always are, and /etc/fstab may say `ro`.
What was merely found read-only at our start is a fault all the same: an agent that starts
after the failure must not take it for the design.

The backstop for what no table shows is to write, see `agents.write_trials`.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from agents.detector import DetectorError
from agents.disk import Disk, DiskError
from agents.filesystem_events import FilesystemEvents, mark_all
from agents.kernel_messages import KernelMessages, Message
from agents.mount_table import Mount, MountTable, parse_mountinfo
from agents.threads import in_thread
from agents.write_trials import WriteTrials
from common.observations import Truth
from common.wire import WireObservation

KIND = "root_read_only"
READ_ONLY_BY_DESIGN = frozenset({"squashfs", "iso9660", "erofs", "cramfs", "romfs"})
EMERGENCY = "emergency_ro"
_READ_ONLY = frozenset({"ro", EMERGENCY})
_TELLING = ("EXT4-fs", "XFS (", "BTRFS", "I/O error", "ead-only", "re-mounted")
_LOOKS_AFTER_S = (0.004, 0.06, 0.25, 1.0)
_UNTOLD_S, _TOLD_S = 1.0, 5.0  # between looks, as long as a source is missing, and with all
_SAME_EVENT_S = 0.05
_MARK_AGAIN_S = 1.0  # at the soonest
_FSTAB_AGAIN_S = 1.0
_DESIGN_WITHIN_S = 1.0  # of a look's time
_FSTAB_FIELDS = 4
_log = structlog.get_logger(__name__)


class ReadOnlyMounts:
    """Watches `points`; name only mounts there that are meant to be writable.

    Without a `disk` neither fstab is read nor anything written.
    """

    name = "read_only_mounts"
    kinds = (KIND,)
    period_s = _UNTOLD_S
    deadline_s = 2.0

    def __init__(
        self,
        procfs: Path,
        points: Sequence[str] = ("/",),
        rootfs: Path = Path("/"),
        messages: KernelMessages | None = None,
        disk: Disk | None = None,
    ) -> None:
        self._table = MountTable(procfs)
        self._points = tuple(points)
        self._rootfs = rootfs
        self._messages = messages
        self._disk = disk
        self._trials = WriteTrials(disk, points) if disk else None
        self._by_design = frozenset[str]()
        self._design_known = threading.Event()
        if disk is None:
            self._design_known.set()
        self._last: tuple[object, list[WireObservation]] = (None, [])

    def observe(self) -> list[WireObservation]:
        """Read the mount table once."""
        if not self._design_known.wait(_DESIGN_WITHIN_S):
            raise DetectorError("what fstab wants read-only isn't known yet")
        refused = self._trials.refused if self._trials else frozenset()
        text = self._table.read()
        basis = text, refused, self._by_design
        if basis != self._last[0]:
            mounts = parse_mountinfo(text)
            seen = [judge(point, mounts, self._by_design, refused) for point in self._points]
            self._last = basis, seen
        return self._last[1]

    async def watch(self, look_now: Callable[[], None]) -> None:
        """Wait for the word of each source there is, and try to write now and then."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hear(look_now), name="hear of mounts")
            if self._disk and self._trials:
                self._by_design = await _designed(self._disk)
                self._design_known.set()
                look_now()
                tasks.create_task(self._trials.keep_trying(look_now), name="write trials")

    async def _hear(self, look_now: Callable[[], None]) -> None:
        """Say once which sources are missing."""
        burst, changed = _Burst(look_now), asyncio.Event()

        def table_changed() -> None:
            changed.set()
            look_now()

        async with contextlib.AsyncExitStack() as sources:
            sources.callback(burst.cancel)
            missing = {}
            try:
                await sources.enter_async_context(self._table.changes_told_to(table_changed))
            except OSError as error:
                missing["mountinfo"] = str(error)
            if self._messages:
                try:
                    hears = self._messages.heard_by(lambda message: _heard(message, burst))
                    await sources.enter_async_context(hears)
                except OSError as error:
                    missing["kernel_log"] = str(error)
            try:
                events = FilesystemEvents()
            except OSError as error:
                missing["fanotify"] = str(error)
                events = None
            self.period_s = _UNTOLD_S if missing else _TOLD_S
            sources.callback(setattr, self, "period_s", _UNTOLD_S)
            if missing:
                _log.warning("mount_events_missing", backstop_s=self.period_s, **missing)
            if events is None:
                await asyncio.Event().wait()
            else:
                sources.callback(events.close)
                await sources.enter_async_context(events.told_to(burst.begin))
                await self._keep_marked(events, changed)

    async def _keep_marked(self, events: FilesystemEvents, changed: asyncio.Event) -> None:
        """Mark again after each change of the table: a mark doesn't outlive its mount."""
        paths = [str(self._rootfs / point.lstrip("/")) for point in self._points]
        said: dict[str, str] = {}
        while True:
            changed.clear()
            if self._disk:
                await self._disk.answers.wait()  # in a stall, a path can't be resolved
            refused = await in_thread(lambda: mark_all(events, paths), "mark file systems")
            if refused and refused != said:
                _log.info("no_error_events_from", mounts=refused)
            said = refused
            await asyncio.sleep(_MARK_AGAIN_S)
            await changed.wait()


class _Burst:
    """Several looks after one event; one that follows at once adds nothing."""

    def __init__(self, look_now: Callable[[], None]) -> None:
        self._look_now = look_now
        self._timers: list[asyncio.TimerHandle] = []
        self._begun = -1.0

    def begin(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._begun < _SAME_EVENT_S:
            return
        self._begun = loop.time()
        self.cancel()
        self._timers = [loop.call_later(after, self._look_now) for after in _LOOKS_AFTER_S]

    def cancel(self) -> None:
        for timer in self._timers:
            timer.cancel()


def _heard(message: Message, burst: _Burst) -> None:
    if any(word in message.text for word in _TELLING):
        burst.begin()


def judge(
    point: str,
    mounts: Sequence[Mount],
    by_design: frozenset[str] = frozenset(),
    refused: frozenset[str] = frozenset(),
) -> WireObservation:
    """Say whether what is mounted at `point` refuses writes. The last mount there hides others.

    `refused` are points where a trial was answered EROFS.
    """
    mount = next((mount for mount in reversed(mounts) if mount.point == point), None)
    if mount is None:
        return _seen(Truth.UNKNOWN, point, "nothing is mounted there")
    what = f"{mount.filesystem} from {mount.source}"
    if EMERGENCY in mount.super_options:  # nobody's design
        return _seen(Truth.TRUE, point, f"{what}: the file system is {EMERGENCY}")
    if mount.filesystem in READ_ONLY_BY_DESIGN or point in by_design:
        return _seen(Truth.FALSE, point, f"{what}: read-only by design")
    if found := sorted(mount.super_options & _READ_ONLY):
        return _seen(Truth.TRUE, point, f"{what}: the file system is {found[0]}")
    if "ro" in mount.options:
        return _seen(Truth.TRUE, point, f"{what}: mounted ro")
    if point in refused:
        return _seen(Truth.TRUE, point, f"{what}: mounted rw, but writes are refused (EROFS)")
    return _seen(Truth.FALSE, point, what)


def read_only_in_fstab(text: str) -> frozenset[str]:
    """Return the mount points that fstab(5) wants read-only."""
    lines = (line.partition("#")[0].split() for line in text.splitlines())
    rows = (fields for fields in lines if len(fields) >= _FSTAB_FIELDS)
    return frozenset(fields[1] for fields in rows if "ro" in fields[3].split(","))


async def _designed(disk: Disk) -> frozenset[str]:
    """Read fstab, when it can be read; there may be none."""
    while True:
        try:
            return read_only_in_fstab((await disk.read("/etc/fstab")).decode("utf-8", "replace"))
        except OSError:
            return frozenset()
        except DiskError:
            await asyncio.sleep(_FSTAB_AGAIN_S)


def _seen(status: Truth, point: str, detail: str) -> WireObservation:
    return WireObservation(kind=KIND, status=status, subject=point[:400], detail=detail[:400])
