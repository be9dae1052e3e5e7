"""Looking with a detector while its watch runs, as the runner does."""

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agents.detector import Detector, DetectorError, Watcher
from common.wire import WireObservation


@asynccontextmanager
async def watched(detector: Watcher) -> AsyncIterator[asyncio.Event]:
    """Run the watch meanwhile; it rings the event."""
    bell = asyncio.Event()
    task = asyncio.get_running_loop().create_task(detector.watch(bell.set))
    try:
        await asyncio.sleep(0)  # up to its first wait
        yield bell
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=5)


async def look(detector: Detector) -> list[WireObservation]:
    """Look once."""
    seen = detector.observe()
    return list(await seen if inspect.isawaitable(seen) else seen)


async def first_look(detector: Watcher, bell: asyncio.Event) -> list[WireObservation]:
    """Look until the detector knows something, after each ring."""
    async with asyncio.timeout(10):
        while True:
            bell.clear()
            try:
                return await look(detector)
            except DetectorError:
                await bell.wait()
