"""What the heartbeat reads."""

from agents.current_observations import CurrentObservations
from common.observations import Truth
from common.wire import WireObservation


def _seen(kind: str, status: Truth, subject: str = "") -> WireObservation:
    return WireObservation(kind=kind, status=status, subject=subject)


def _told(current: CurrentObservations, now: float) -> list[tuple[str, str, str, float]]:
    return [(one.kind, one.subject, one.status.value, one.age_s) for one in current.snapshot(now)]


def test_age_counts_from_the_look() -> None:
    """Each observation carries how long ago it was seen."""
    current = CurrentObservations()
    current.put("units", [_seen("unit_failed", Truth.TRUE, "ssh.service")], 100.0)
    assert _told(current, 102.5) == [("unit_failed", "ssh.service", "true", 2.5)]


def test_true_comes_first() -> None:
    """What is cut from a full beat is what is fine."""
    current = CurrentObservations()
    current.put("a", [_seen("a", Truth.FALSE), _seen("b", Truth.UNKNOWN)], 0.0)
    current.put("c", [_seen("c", Truth.TRUE)], 0.0)
    assert [kind for kind, *_ in _told(current, 0.0)] == ["c", "b", "a"]


def test_a_look_replaces_the_last() -> None:
    """What a detector no longer speaks of is gone."""
    current = CurrentObservations()
    current.put(
        "units", [_seen("unit_failed", Truth.TRUE, "a"), _seen("unit_failed", Truth.TRUE, "b")], 0.0
    )
    current.put("units", [_seen("unit_failed", Truth.FALSE, "b")], 1.0)
    assert _told(current, 1.0) == [("unit_failed", "b", "false", 0.0)]


def test_failed_look_makes_what_was_known_unknown() -> None:
    """A detector that can't look leaves nothing standing: neither true nor false."""
    current = CurrentObservations()
    current.put(
        "units",
        [_seen("unit_failed", Truth.TRUE, "a"), _seen("unit_failed", Truth.FALSE, "b")],
        0.0,
    )
    current.lose("units", ("unit_failed",), "hangs", 9.0)
    assert _told(current, 10.0) == [
        ("unit_failed", "a", "unknown", 1.0),
        ("unit_failed", "b", "unknown", 1.0),
    ]


def test_failed_first_look_makes_every_kind_unknown() -> None:
    """A detector that never saw anything is unknown in all it might speak of."""
    current = CurrentObservations()
    current.lose("clock", ("clock_skewed", "clock_unsynced"), "raised", 0.0)
    assert [row[:3] for row in _told(current, 0.0)] == [
        ("clock_skewed", "", "unknown"),
        ("clock_unsynced", "", "unknown"),
    ]


def test_other_detectors_are_untouched() -> None:
    """One detector's failure is its own."""
    current = CurrentObservations()
    current.put("good", [_seen("good", Truth.FALSE)], 0.0)
    current.lose("bad", ("bad",), "raised", 0.0)
    assert ("good", "", "false", 0.0) in _told(current, 0.0)
