"""`clock_stepped`: somebody set this node's clock lately, and by how much.

Source: timerfd with TFD_TIMER_CANCEL_ON_SET, which tells at once [T, kernel 6.18: within 1 ms].
The size comes from the difference between CLOCK_REALTIME and CLOCK_BOOTTIME: both run at the
same pace, also while NTP slews them, so only a step changes it. Resuming from suspension tells
too, but leaves the difference alone.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from agents.timerfd import ClockSetTimer
from common.clock import boottime, wall_ns
from common.observations import Truth
from common.wire import WireObservation

KIND = "clock_stepped"
FOR_S = 60.0
LEAST_S = 0.05  # below, it is nobody's business
_MOST = 16


class ClockStep:
    """Watches the wall clock against the one that nobody can set."""

    name = "clock_step"
    kinds = (KIND,)
    period_s = 5.0
    deadline_s = 1.0

    def __init__(self, difference_s: Callable[[], float] | None = None) -> None:
        self._difference_s = difference_s or wall_ahead_of_boot_s
        self._steps: deque[tuple[float, float]] = deque(maxlen=_MOST)  # when, by how much
        self._difference = self._difference_s()

    async def observe(self) -> list[WireObservation]:
        """Compare the clocks: two system calls."""
        now, difference = boottime(), self._difference_s()
        if abs(difference - self._difference) >= LEAST_S:
            self._steps.append((now, difference - self._difference))
            self._difference = difference
        while self._steps and now - self._steps[0][0] > FOR_S:
            self._steps.popleft()
        return [judge([step for _, step in self._steps])]

    async def watch(self, look_now: Callable[[], None]) -> None:
        """Wait for the kernel's word. Raises `OSError` where it gives none."""
        timer = ClockSetTimer()
        loop = asyncio.get_running_loop()

        def ready() -> None:
            if timer.was_set():
                look_now()

        try:
            loop.add_reader(timer.fileno(), ready)
            try:
                await asyncio.Event().wait()
            finally:
                loop.remove_reader(timer.fileno())
        finally:
            timer.close()


def judge(steps_s: list[float]) -> WireObservation:
    """Tell of the steps of the last while, in seconds; `value` is where they led in all."""
    if not steps_s:
        return WireObservation(kind=KIND, status=Truth.FALSE, detail="nobody set the clock lately")
    said = ", ".join(f"{step:+.3f} s" for step in steps_s[-4:])
    return WireObservation(
        kind=KIND, status=Truth.TRUE, detail=f"the clock was set by {said}", value=sum(steps_s)
    )


def wall_ahead_of_boot_s() -> float:
    """Return CLOCK_REALTIME less CLOCK_BOOTTIME, read as close together as can be."""
    tries = []
    for _ in range(3):
        before, wall, after = boottime(), wall_ns() / 1e9, boottime()
        tries.append((after - before, wall - (before + after) / 2))
    return min(tries)[1]
