"""Flapping: how often a unit started, and when it counts as calm again."""

from agents.flapping import CALM_S, FLAPS, WINDOW_S, Flapping
from agents.systemctl import Unit


def _unit(invocation: str = "0", restarts: int = 0) -> Unit:
    return Unit("k3s.service", "loaded", "active", "running", "success", invocation, "", restarts)


def _flapping(*starts: float) -> Flapping:
    flapping = Flapping()
    flapping.looked(_unit(), 0.0)
    for number, at in enumerate(starts, 1):
        flapping.started("k3s.service", f"{number}", at)
    return flapping


def test_first_sight_is_no_start() -> None:
    """However often it was restarted before we came: that is not known to be now."""
    flapping = Flapping()
    flapping.looked(_unit(restarts=1000), 0.0)
    assert not flapping.verdict("k3s.service", 0.0)


def test_a_few_starts_are_none_of_our_business() -> None:
    """A person who restarts a unit isn't flapping it."""
    assert not _flapping(*range(10, 10 + FLAPS - 1)).verdict("k3s.service", 20.0)


def test_many_starts_are_flapping() -> None:
    """The verdict says how many starts there were, and within what time."""
    flapping = _flapping(10.0, 15.0, 20.0, 25.0)
    assert flapping.verdict("k3s.service", 26.0) == "flapping: 4 starts within 16 s"


def test_the_same_start_counts_once() -> None:
    """Several events and looks tell of the same invocation."""
    flapping = _flapping(10.0)
    for at in range(11, 30):
        flapping.started("k3s.service", "1", float(at))
        flapping.looked(_unit("1", restarts=1), float(at))
    assert not flapping.verdict("k3s.service", 30.0)


def test_look_overtaken_by_an_event_counts_nothing_twice() -> None:
    """A look that was under way when the unit started anew still tells of its old invocation."""
    flapping = _flapping()
    for number in range(1, FLAPS):
        flapping.started("k3s.service", f"{number}", float(number))
        flapping.looked(_unit(f"{number - 1}", restarts=number - 1), float(number))
        flapping.looked(_unit(f"{number}", restarts=number), float(number))
    assert not flapping.verdict("k3s.service", 5.0)
    flapping.started("k3s.service", "last", 6.0)
    assert flapping.verdict("k3s.service", 6.0).startswith(f"flapping: {FLAPS} starts")


def test_starts_whose_events_were_lost_are_counted() -> None:
    """NRestarts grew by more than we were told of."""
    flapping = _flapping(10.0)
    flapping.looked(_unit("7", restarts=FLAPS), 12.0)
    assert flapping.verdict("k3s.service", 12.0).startswith(f"flapping: {FLAPS} starts")


def test_counter_that_was_reset_is_no_start() -> None:
    """Systemd's reset-failed sets NRestarts to 0."""
    flapping = Flapping()
    flapping.looked(_unit(restarts=50), 0.0)
    flapping.looked(_unit(restarts=0), 1.0)
    assert not flapping.verdict("k3s.service", 1.0)


def test_calm_ends_it() -> None:
    """Three times its usual gap, and at least half a minute, without a start: well again."""
    quick = _flapping(10.0, 11.0, 12.0, 13.0)
    assert quick.verdict("k3s.service", 13.0 + CALM_S)
    assert not quick.verdict("k3s.service", 13.1 + CALM_S)
    slow = _flapping(0.0, 40.0, 80.0, 120.0)
    assert slow.verdict("k3s.service", 120.0 + 119.0)
    assert not slow.verdict("k3s.service", 120.0 + 121.0)


def test_old_starts_are_forgotten() -> None:
    """Starts further apart than the window allows are no flapping."""
    assert not _flapping(*(i * WINDOW_S / 2 for i in range(8))).verdict("k3s.service", 1050.0)
