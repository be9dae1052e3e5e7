"""How long after the kernel turned a file system read-only the agent knows.

Real ext4 on a loop device, the kernel's own error switch, the agent's real runner. Needs root.

    python bench/agent_detection.py [ROUNDS]
"""

import asyncio
import contextlib
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from agents.current_observations import CurrentObservations
from agents.detectors.read_only_mounts import ReadOnlyMounts
from agents.filesystem_events import FilesystemEvents
from agents.kernel_messages import KernelMessages
from agents.metrics import Metrics
from agents.runner import Runner
from common.clock import boottime
from common.observations import Truth
from common.wire import WireObservation
from tests.integration.real_ext4 import RealExt4, real_ext4, why_not

_LONGEST_S = 10.0


class _Stopwatch(CurrentObservations):
    """Takes the time of the first look that finds it read-only."""

    def __init__(self) -> None:
        super().__init__()
        self.looked, self.found = asyncio.Event(), asyncio.Event()
        self.found_at = 0.0

    def put(self, detector: str, observations: Sequence[WireObservation], now: float) -> None:
        """Store, and stop the watch."""
        super().put(detector, observations, now)
        self.looked.set()
        if not self.found_at and any(seen.status is Truth.TRUE for seen in observations):
            self.found_at = boottime()
            self.found.set()


class _PeriodAlone(ReadOnlyMounts):
    async def watch(self, _look_now: Callable[[], None]) -> None:
        """Hear nothing."""
        await asyncio.Event().wait()


def _everything(point: str) -> ReadOnlyMounts:
    return ReadOnlyMounts(Path("/proc"), (point,), Path("/"), KernelMessages())


def _fanotify(point: str) -> ReadOnlyMounts:
    return ReadOnlyMounts(Path("/proc"), (point,), Path("/"))


def _period(point: str) -> ReadOnlyMounts:
    return _PeriodAlone(Path("/proc"), (point,))


def _fail(ext4: RealExt4) -> None:
    ext4.fail()


def _remount(ext4: RealExt4) -> None:
    ext4.remount("ro")


_RUNS = (
    ("error, errors=remount-ro", "all sources", _everything, _fail),
    ("error, errors=remount-ro", "fanotify alone", _fanotify, _fail),
    ("error, errors=remount-ro", "period alone (1 s)", _period, _fail),
    ("mount -o remount,ro", "all sources", _everything, _remount),
)


async def _one(make: Callable[[str], ReadOnlyMounts], happen: Callable[[RealExt4], None]) -> float:
    with tempfile.TemporaryDirectory() as folder, real_ext4(Path(folder)) as ext4:
        watch = _Stopwatch()
        runner = Runner([make(str(ext4.point))], watch, Metrics("bench"))
        task = asyncio.get_running_loop().create_task(runner.run())
        try:
            await watch.looked.wait()
            await asyncio.sleep(0.3 + boottime() % 1)  # anywhere within a period
            begun = boottime()
            happen(ext4)
            async with asyncio.timeout(_LONGEST_S):
                await watch.found.wait()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    return watch.found_at - begun


async def _main(rounds: int) -> None:
    FilesystemEvents().close()  # or say at once that it can't be had
    print(f"{'event':28}{'told by':22}{'rounds':>7}{'median':>10}{'worst':>10}")
    for event, by, make, happen in _RUNS:
        took = [await _one(make, happen) for _ in range(rounds)]
        figures = f"{statistics.median(took) * 1e3:7.1f} ms{max(took) * 1e3:7.1f} ms"
        print(f"{event:28}{by:22}{rounds:7}{figures}", flush=True)


if __name__ == "__main__":
    if reason := why_not():
        sys.exit(reason)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    asyncio.run(_main(int(sys.argv[1]) if len(sys.argv) > 1 else 10))
