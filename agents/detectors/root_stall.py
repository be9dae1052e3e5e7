"""`root_stalled`: the node's root file system doesn't answer, though its kernel does.

Each second the disk helper (`agents.disk`) opens a small file anew and reads it with O_DIRECT:
what the page cache would answer proves nothing. How long it has been waiting is how long the
root has stalled; true after `disk.STALLED_AFTER_S`, false with the first answer after it. A root
whose NFS server no longer knows it answers, but only ESTALE: told as such, and true as well.

A read each second costs an NFS server three to four small calls a node, and wears no disk.

While stalled, and only then, procfs tells who else waits, and in which function of the kernel.
"""

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path

from agents.detector import DetectorError
from agents.disk import Disk, DiskError
from agents.threads import in_thread
from agents.waiting import Waiting, look_at_waiting
from common.clock import boottime
from common.observations import Truth
from common.wire import WireObservation

KIND = "root_stalled"
PROBE_EVERY_S = 1.0
_WELL_S, _STALLED_S = 5.0, 1.0  # between looks; what changes rings, but for the age of a stall
_COUNT_EVERY_S = 5.0
_COUNT_WITHIN_S = 1.0


class RootStall:
    """Keeps asking the root for a sign of life."""

    name = "root_stall"
    kinds = (KIND,)
    period_s = _WELL_S
    deadline_s = 4.5  # the first answer may be the word that there is none

    def __init__(self, disk: Disk, procfs: Path) -> None:
        self._disk = disk
        self._procfs = procfs
        self._known = asyncio.Event()
        self._trouble: OSError | DiskError | None = None
        self._count: asyncio.Future[Waiting] | None = None
        self._counted_at = 0.0

    async def observe(self) -> list[WireObservation]:
        """Say what is known of the root; asks only procfs, and only during a stall."""
        await self._known.wait()
        stalled_s = self._disk.stalled_s(boottime())
        self.period_s = _WELL_S if stalled_s is None else _STALLED_S
        if stalled_s is not None:
            return [judge(stalled_s, await self._who_waits())]
        self._count = None
        return judge_answer(self._trouble)

    async def watch(self, look_now: Callable[[], None]) -> None:
        """Probe for ever."""

        def tell() -> None:
            self._known.set()
            look_now()

        with self._disk.stalls_told_to(tell):
            while True:
                begun = boottime()
                before = str(self._trouble)
                try:
                    await self._disk.probe()
                    self._trouble = None
                except (OSError, DiskError) as error:
                    self._trouble = error
                if str(self._trouble) != before or not self._known.is_set():
                    tell()
                await asyncio.sleep(max(0.0, begun + PROBE_EVERY_S - boottime()))

    async def _who_waits(self) -> Waiting:
        """Return the newest count; never is there more than one under way."""
        now = boottime()
        if self._count is None or (self._count.done() and now - self._counted_at >= _COUNT_EVERY_S):
            self._counted_at = now
            self._count = in_thread(lambda: look_at_waiting(self._procfs), "who waits")
        await asyncio.wait({self._count}, timeout=_COUNT_WITHIN_S)
        return self._count.result() if self._count.done() else Waiting()


def judge(stalled_s: float, waiting: Waiting) -> WireObservation:
    """Say for how long the root hasn't answered, and what its kernel shows meanwhile."""
    parts = [f"/ hasn't answered for {stalled_s:.0f} s", *waiting.said(), "my kernel is fine"]
    detail = "; ".join(parts)[:400]
    return WireObservation(kind=KIND, status=Truth.TRUE, detail=detail, value=round(stalled_s, 1))


def judge_answer(trouble: OSError | DiskError | None) -> list[WireObservation]:
    """Judge what the last probe brought. Raises `DetectorError` where it proves nothing."""
    match trouble:
        case None:
            return [WireObservation(kind=KIND, status=Truth.FALSE, detail="/ answers")]
        case OSError(errno=errno.ESTALE):
            detail = "/ answers ESTALE: its server no longer knows this root; my kernel is fine"
            return [WireObservation(kind=KIND, status=Truth.TRUE, detail=detail)]
        case FileNotFoundError():
            return []  # nothing to read: no data
        case OSError():
            raise DetectorError(f"/ can't be read: {trouble.strerror}")
        case _:
            raise trouble
