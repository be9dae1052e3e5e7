"""A port's history: what it sums up to, and what looks like a machine that boots in a loop."""

import pytest

from supervisor.core.ports import (
    KEPT_STRETCHES,
    LOOP_BEGINNINGS,
    History,
    Link,
    Power,
    Sample,
    new_history,
    note,
    summary,
)

ON, OFF, UP, DOWN = Power.ON, Power.OFF, Link.UP, Link.DOWN
Look = tuple[Power, Link, float | None]


def history(looks: list[Look], every_s: float = 5.0) -> tuple[History, float]:
    """Look at a port every so often; return what is kept and the time of the last look."""
    kept, now = new_history(), 0.0
    for number, (power, link, watts) in enumerate(looks):
        now = number * every_s
        note(kept, Sample(now, power, link, watts))
    return kept, now


HALTS: list[Look] = [(OFF, DOWN, 0.0)]
BOOTS: list[Look] = [(ON, DOWN, 2.2), (ON, UP, 5.1), (ON, DOWN, 5.2), (ON, UP, 4.9)]
IDLES: list[Look] = [(ON, UP, 2.6)] * 8
WORKS: list[Look] = [(ON, UP, 5.0)] * 8

# what is seen, one look every 5 s -> how often the machine began anew
CASES = [
    ("nothing changes", [(ON, UP, 2.6)] * 60, 0),
    ("one boot is one beginning, however often its link goes", HALTS + BOOTS + IDLES, 1),
    ("power off and on, again and again", (HALTS + BOOTS + IDLES[:2]) * 6, 6),
    ("link alone, again and again", ([(ON, UP, None)] * 4 + [(ON, DOWN, None)] * 2) * 6, 5),
    (
        "draw alone, a sawtooth",
        ([(ON, Link.UNKNOWN, 2.5)] * 4 + [(ON, Link.UNKNOWN, 5.0)] * 4) * 6,
        6,
    ),
    ("draw that wanders between the levels", [(ON, UP, 3.1), (ON, UP, 3.9)] * 30, 0),
    ("a meter that shows only zero", [(ON, UP, 0.0)] * 60, 0),
    ("no meter", [(ON, UP, None)] * 60, 0),
    ("power that stays away", HALTS * 60, 0),
    ("a switch that can't be asked in between", [(OFF, DOWN, 0.0), (ON, UP, 2.6)], 1),
    ("work after idleness is one tooth", IDLES + WORKS, 1),
]


@pytest.mark.parametrize(("looks", "beginnings"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_beginnings(looks: list[Look], beginnings: int) -> None:
    """Power or link regained, or a jump of the draw, are beginnings; close ones are one."""
    kept, now = history(looks)
    assert summary(kept, 0.0, now).beginnings == beginnings
    assert summary(kept, 0.0, now).is_looping is (beginnings >= LOOP_BEGINNINGS)


def test_two_cycles_of_ours_are_no_loop() -> None:
    """Two power cycles as close as the cool-down allows, with slow boots, stay below a loop."""
    cycle = HALTS * 2 + BOOTS[:2] + [(ON, UP, 2.6)] * 4 + BOOTS + [(ON, UP, 4.5)] * 6
    rest = [(ON, UP, 2.6)] * (36 - len(cycle))
    kept, now = history(cycle + rest + cycle)
    assert not summary(kept, 0.0, now).is_looping


def test_sums() -> None:
    """Least, most and mean draw, interruptions, lost links, and lost links a minute."""
    looks = [(ON, UP, 2.0), (ON, UP, 3.0), (OFF, DOWN, 0.0), (ON, UP, 4.0), (ON, DOWN, None)]
    kept, now = history(looks, every_s=15.0)
    found = summary(kept, 0.0, now)
    assert (found.least_w, found.most_w, found.mean_w) == (0.0, 4.0, 2.25)
    assert (found.interruptions, found.link_losses, found.span_s) == (1, 2, 60.0)
    assert found.flaps_per_min == 2.0


def test_what_was_seen_before_does_not_count() -> None:
    """Only looks since the given instant are summed up, and only changes since then counted."""
    kept, now = history((HALTS + BOOTS) * 6)
    later = summary(kept, now - 10.0, now)
    assert later.beginnings <= 1
    assert later.span_s == 10.0


def test_nothing_seen() -> None:
    """No look is no figure, and no loop."""
    found = summary(new_history(), 0.0, 100.0)
    assert (found.mean_w, found.beginnings, found.flaps_per_min) == (None, 0, 0.0)


def test_bounded() -> None:
    """However long a port flaps, little is kept, and a loop is still seen in it."""
    kept, now = history((HALTS + BOOTS + IDLES[:1]) * 200)
    assert len(kept) == KEPT_STRETCHES
    assert summary(kept, now - 300.0, now).is_looping
