"""Acting alone: by default not at all, and even when allowed only mildly and a few times."""

from agents.autonomy import MOST_RESTARTS, Alone
from agents.settings import Autonomy
from common.observations import Truth
from common.wire import WireObservation

UNIT = "k3s-agent.service"


def _seen(failed: Truth, stalled: Truth = Truth.FALSE) -> list[WireObservation]:
    return [
        WireObservation(kind="unit_failed", status=failed, subject=UNIT),
        WireObservation(kind="root_stalled", status=stalled, subject="/"),
    ]


def _restarts(alone: Alone, until: int, seen: list[WireObservation], silent: bool) -> list[int]:  # noqa: FBT001
    return [
        now
        for now in range(until)
        if alone.unit_to_restart(float(now), float(now) if silent else 0.0, seen)
    ]


def test_nothing_by_default() -> None:
    """Without a flag the agent only watches."""
    assert _restarts(Alone(Autonomy.NONE, 10), 5000, _seen(Truth.TRUE), silent=True) == []


def test_failed_unit_is_restarted_a_few_times_with_growing_pauses() -> None:
    """First after the silence that was configured, then after 1 and 2 minutes, then no more."""
    alone = Alone(Autonomy.RESTART_UNITS, 10)
    assert _restarts(alone, 5000, _seen(Truth.TRUE), silent=True) == [10, 70, 190]
    assert MOST_RESTARTS == 3


def test_reason_is_told() -> None:
    """Why it was done, in figures."""
    alone = Alone(Autonomy.RESTART_UNITS, 10)
    alone.unit_to_restart(0.0, 30.0, _seen(Truth.TRUE))
    assert alone.unit_to_restart(12.0, 42.0, _seen(Truth.TRUE)) == (
        UNIT,
        "failed for 12 s, supervisor silent for 42 s, restart 1 of 3",
    )


def test_never_while_somebody_answers() -> None:
    """A supervisor that answers decides."""
    alone = Alone(Autonomy.RESTART_UNITS, 10)
    assert _restarts(alone, 500, _seen(Truth.TRUE), silent=False) == []


def test_never_on_a_stalled_or_doubtful_root() -> None:
    """What PID 1 can't do now it would do late."""
    for stalled in (Truth.TRUE, Truth.UNKNOWN):
        alone = Alone(Autonomy.RESTART_UNITS, 10)
        assert _restarts(alone, 500, _seen(Truth.TRUE, stalled), silent=True) == []


def test_unknown_is_not_failed() -> None:
    """A unit that nobody could look at is left alone."""
    alone = Alone(Autonomy.RESTART_UNITS, 10)
    assert _restarts(alone, 500, _seen(Truth.UNKNOWN), silent=True) == []


def test_unit_that_recovers_and_fails_again_keeps_its_count() -> None:
    """A unit that flaps through a long silence gets no more than its three restarts."""
    alone = Alone(Autonomy.RESTART_UNITS, 10)
    restarts = 0
    for now in range(5000):
        failed = Truth.FALSE if now % 100 < 30 else Truth.TRUE
        restarts += bool(alone.unit_to_restart(float(now), float(now), _seen(failed)))
    assert restarts == MOST_RESTARTS
