"""`clock_stepped`, with a clock that a test may set."""

import math

import pytest

from agents.detectors.clock_step import FOR_S, ClockStep, wall_ahead_of_boot_s
from agents.timerfd import ClockSetTimer
from common.clock import boottime
from common.observations import Truth


class Clocks:
    """How far the wall clock is ahead of the one since boot."""

    def __init__(self) -> None:
        self.ahead_s = 1_700_000_000.0

    def __call__(self) -> float:
        return self.ahead_s


@pytest.mark.parametrize("step_s", [3600.0, -3600.0, 0.4, -0.06])
async def test_a_step_is_told_with_its_size(step_s: float) -> None:
    """Either way, and for a while."""
    clocks = Clocks()
    detector = ClockStep(clocks)
    (seen,) = await detector.observe()
    assert seen.status is Truth.FALSE
    clocks.ahead_s += step_s
    for _ in range(2):
        (seen,) = await detector.observe()
        assert (seen.kind, seen.status) == ("clock_stepped", Truth.TRUE)
        assert seen.value == pytest.approx(step_s, abs=1e-6)


async def test_several_steps_add_up() -> None:
    """Set forth and back is told as both, and leads nowhere."""
    clocks = Clocks()
    detector = ClockStep(clocks)
    for step_s in (3600.0, -3600.0):
        clocks.ahead_s += step_s
        (seen,) = await detector.observe()
    assert seen.status is Truth.TRUE
    assert seen.detail == "the clock was set by +3600.000 s, -3600.000 s"
    assert seen.value == 0.0


async def test_old_steps_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its while a step is history."""
    clocks = Clocks()
    detector = ClockStep(clocks)
    clocks.ahead_s += 10.0
    await detector.observe()
    now = boottime()
    monkeypatch.setattr("agents.detectors.clock_step.boottime", lambda: now + FOR_S + 1)
    (seen,) = await detector.observe()
    assert seen.status is Truth.FALSE


async def test_reading_noise_is_no_step() -> None:
    """Milliseconds between two readings say nothing."""
    clocks = Clocks()
    detector = ClockStep(clocks)
    clocks.ahead_s += 0.004
    (seen,) = await detector.observe()
    assert seen.status is Truth.FALSE


def test_real_clocks_keep_their_distance() -> None:
    """Read twice, the difference of the real clocks is the same."""
    assert math.isclose(wall_ahead_of_boot_s(), wall_ahead_of_boot_s(), abs_tol=0.02, rel_tol=0)


def test_a_clock_that_nobody_sets() -> None:
    """The real timer is quiet meanwhile."""
    timer = ClockSetTimer()
    try:
        assert timer.was_set() is False
    finally:
        timer.close()
