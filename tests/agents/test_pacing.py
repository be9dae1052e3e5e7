"""When the next beat is due."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.pacing import Pace


def test_answered_beats_keep_a_grid() -> None:
    """Round trips of any length up to the interval don't shift the cadence."""
    pace = Pace(1.0, 1, lambda: 1.0)
    assert pace.after_answer(10.0) == 11.0
    assert pace.after_answer(11.3) == 12.0
    assert pace.after_answer(12.9) == 13.0


def test_missed_beats_are_skipped() -> None:
    """After a long stall there is one beat, not a burst."""
    pace = Pace(1.0, 1, lambda: 1.0)
    pace.after_answer(10.0)
    assert pace.after_answer(17.4) == 18.0


def test_backoff_doubles_up_to_its_cap() -> None:
    """Failures wait longer and longer, but never longer than the cap."""
    pace = Pace(1.0, 1, lambda: 1.0)
    waits = [pace.after_failure(0.0) for _ in range(6)]
    assert waits == [1.0, 2.0, 4.0, 4.0, 4.0, 4.0]
    assert pace.longest_wait_s == 4.0


def test_backoff_counts_rounds_over_all_supervisors() -> None:
    """The second supervisor is asked as soon as the first failed."""
    pace = Pace(1.0, 2, lambda: 1.0)
    assert [pace.after_failure(0.0) for _ in range(4)] == [1.0, 1.0, 2.0, 2.0]


def test_answer_ends_the_backoff() -> None:
    """After a recovery the cadence starts anew, at the interval."""
    pace = Pace(1.0, 1, lambda: 1.0)
    for _ in range(5):
        pace.after_failure(0.0)
    assert pace.after_answer(100.25) == 101.25
    assert pace.after_failure(101.25) == 102.25


def test_interval_follows_the_supervisor() -> None:
    """A new interval counts from the next beat on."""
    pace = Pace(1.0, 1, lambda: 1.0)
    pace.after_answer(10.0)
    pace.interval_s = 0.25
    assert pace.after_answer(11.0) == 11.25


@pytest.mark.parametrize(("interval_s", "deadline_s"), [(0.05, 2.0), (1.0, 2.0), (5.0, 10.0)])
def test_request_deadline(interval_s: float, deadline_s: float) -> None:
    """A request may take two intervals, and two seconds at least."""
    assert Pace(interval_s, 1, lambda: 1.0).deadline_s == deadline_s


@given(
    interval_s=st.floats(0.05, 60),
    turns=st.lists(st.tuples(st.booleans(), st.floats(0, 100)), max_size=60),
    jitter=st.floats(0, 1),
)
def test_next_beat_is_ahead_and_bounded(
    interval_s: float, turns: list[tuple[bool, float]], jitter: float
) -> None:
    """Whatever happens, the next beat is later than now and no later than the longest wait."""
    pace, now = Pace(interval_s, 2, lambda: jitter), 0.0
    for answered, late_s in turns:
        due = pace.after_answer(now) if answered else pace.after_failure(now)
        assert now < due <= now + pace.longest_wait_s + 1e-6
        now = due + late_s


def test_beat_out_of_turn_leaves_the_grid_alone() -> None:
    """A beat sent early, for news, neither delays nor skips the next one on the grid."""
    pace = Pace(1.0, 1, lambda: 0.5)
    due = pace.after_answer(10.0)
    assert pace.after_answer(10.3) == due
    assert pace.after_answer(due) == due + 1.0
