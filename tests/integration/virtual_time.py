"""Time that jumps: an event loop that never waits for a timer, in real code over real sockets.

Whenever nothing is ready the clock jumps to the next timer. It stands still while a thread works
or while `held` says that bytes are under way, for these take real time. `common.clock` is the only
place that reads clocks, so that is the one place that is told.
"""

import asyncio
import selectors
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from common import clock

if TYPE_CHECKING:
    from collections.abc import Callable

_STANDSTILL_S = 0.001  # real seconds, at most, until it is looked again
_LATE_S = 1e-6  # as real timers are: one that fired early would fire again at the same instant
HANGING = "hangs"
"""Threads with this word in their names are never waited for."""


class VirtualTime:
    """Seconds of CLOCK_BOOTTIME as they would have passed; the wall clock keeps step."""

    def __init__(self) -> None:
        self.now = clock.boottime()
        self._wall_ahead_ns = clock.wall_ns() - round(self.now * 1e9)
        self.held: Callable[[], bool] = lambda: False

    def install(self) -> None:
        """Let everything in this process live by it, for good."""
        clock.time = SimpleNamespace(  # type: ignore[attr-defined]
            CLOCK_BOOTTIME=time.CLOCK_BOOTTIME,
            clock_gettime=lambda _which: self.now,
            time_ns=lambda: round(self.now * 1e9) + self._wall_ahead_ns,
        )

    def stands_still(self) -> bool:
        """Tell whether something is under way that takes real time."""
        return self.held() or any(
            HANGING not in thread.name
            for thread in threading.enumerate()
            if thread is not threading.main_thread()
        )


class _Jumping(selectors.EpollSelector):
    def __init__(self, virtual: VirtualTime) -> None:
        super().__init__()
        self._virtual = virtual

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is None or self._virtual.stands_still():
            return super().select(_STANDSTILL_S)
        self._virtual.now += timeout + _LATE_S
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that lives by `virtual`."""

    def __init__(self, virtual: VirtualTime) -> None:
        self._virtual = virtual
        super().__init__(_Jumping(virtual))

    def time(self) -> float:
        """Return virtual seconds."""
        return self._virtual.now
