"""The four timestamps: whatever the network does, the truth lies within the error bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.clock_offset import MAX_AGE_S, WINDOW, ClockOffset

SECOND = 1_000_000_000


def exchange(
    offset: ClockOffset, now: float, ahead_s: float, there_s: float, back_s: float
) -> None:
    """One beat at `now` to a supervisor `ahead_s` ahead, over ways of unequal length."""
    held_s = 0.001
    t0 = 1_700_000_000 * SECOND
    t1 = t0 + round((there_s + ahead_s) * SECOND)
    t2 = t1 + round(held_s * SECOND)
    offset.add(t0, t1, t2, there_s + held_s + back_s, now)


@given(
    ahead_s=st.floats(-1e6, 1e6),
    there_s=st.floats(0.0001, 3),
    back_s=st.floats(0.0001, 3),
)
def test_truth_is_within_the_bound(ahead_s: float, there_s: float, back_s: float) -> None:
    """For any offset and any asymmetry the true offset is within the stated error."""
    offset = ClockOffset()
    exchange(offset, 0.0, ahead_s, there_s, back_s)
    estimate = offset.estimate(0.0)
    assert abs(estimate.offset_s - ahead_s) <= estimate.error_s + 1e-6
    assert estimate.error_s == pytest.approx((there_s + back_s) / 2, abs=1e-6)


def test_positive_means_that_the_supervisor_is_ahead() -> None:
    """The sign: our clock being behind gives a positive offset."""
    offset = ClockOffset()
    exchange(offset, 0.0, 3.0, 0.01, 0.01)
    assert offset.estimate(0.0).offset_s == pytest.approx(3.0)


def test_fastest_exchange_wins() -> None:
    """Among exchanges that agree, the one with the shortest round trip gives the estimate."""
    offset = ClockOffset()
    exchange(offset, 0.0, 1.0, 0.9, 0.1)
    exchange(offset, 1.0, 1.0, 0.002, 0.001)
    exchange(offset, 2.0, 1.0, 0.1, 0.7)
    assert offset.estimate(2.0).offset_s == pytest.approx(1.0, abs=0.001)


def test_bound_widens_with_age() -> None:
    """An old estimate is worth less: clocks drift."""
    offset = ClockOffset()
    exchange(offset, 0.0, 1.0, 0.001, 0.001)
    assert offset.estimate(100.0).error_s == pytest.approx(0.001 + 0.05)


def test_step_is_believed_at_once() -> None:
    """An exchange that contradicts the best one proves a step: the old ones are dropped."""
    offset = ClockOffset()
    for now in range(10):
        exchange(offset, now, 40.0, 0.001, 0.001)
    exchange(offset, 10.0, 0.0, 0.2, 0.1)
    assert offset.estimate(10.0).offset_s == pytest.approx(0.05)
    assert offset.estimate(10.0).error_s == pytest.approx(0.15)


def test_slow_exchange_is_no_step() -> None:
    """A long asymmetric round trip agrees with anything, and changes nothing."""
    offset = ClockOffset()
    exchange(offset, 0.0, 0.0, 0.001, 0.001)
    exchange(offset, 1.0, 0.0, 2.0, 0.001)
    assert abs(offset.estimate(1.0).offset_s) < 0.001


def test_nothing_known_without_exchanges() -> None:
    """No beats answered, or none for long: no estimate rather than an old one."""
    offset = ClockOffset()
    assert offset.estimate(0.0) is None
    exchange(offset, 0.0, 1.0, 0.001, 0.001)
    assert offset.estimate(MAX_AGE_S + 1) is None


@pytest.mark.parametrize(
    ("t1", "t2", "elapsed_s"),
    [
        pytest.param(0, 2 * SECOND, 1.0, id="held-longer-than-the-round-trip"),
        pytest.param(SECOND, 0, 1.0, id="answered-before-it-was-received"),
    ],
)
def test_impossible_exchange_is_left_out(t1: int, t2: int, elapsed_s: float) -> None:
    """Figures that contradict themselves are no sample."""
    offset = ClockOffset()
    offset.add(0, t1, t2, elapsed_s, 0.0)
    assert offset.estimate(0.0) is None


def test_window_is_bounded() -> None:
    """The best of long ago leaves the window."""
    offset = ClockOffset()
    exchange(offset, 0.0, 1.0, 0.001, 0.001)
    for _ in range(WINDOW):
        exchange(offset, 0.0, 1.0, 0.1, 0.1)
    assert offset.estimate(0.0).error_s == pytest.approx(0.1)
