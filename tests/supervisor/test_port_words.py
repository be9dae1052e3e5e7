"""What the switch tells, in sentences: each verdict says what it means for the board."""

import pytest

from supervisor.core.liveness import Beats, Kernel, Signs, Ssh, Verdict, Vitals, judge
from supervisor.core.port_words import evidence, port_line
from supervisor.core.ports import Link, Power

L = Beats.LOST


def vitals(power: str, link: str, watts: float | None) -> Vitals:
    """A node whose last beat came at 0 s, and whose port was looked at at 41 s."""
    known = Vitals()
    known.beat(0.0, "b", 1.0, 1.0)
    known.probed("ssh_banner", "nothing", 40.0, "", None)
    known.probed("icmp", "nothing", 39.0, "", None)
    if link:
        known.probed("link", link, 41.0, "", None)
    known.probed("port", power, 41.0, "class 4", watts)
    return known


MUTE = (Ssh.NOTHING, Kernel.SILENT)
CASES = [
    (
        ("on", "up", 4.1),
        Signs(L, *MUTE, Power.ON, Link.UP),
        "port 15: link up, 4.1 W, class 4: the board has power; its kernel answers no ping: hung",
    ),
    (
        ("on", "", 4.1),
        Signs(L, Ssh.SILENT, Kernel.ANSWERS, Power.ON),
        (
            "port 15: 4.1 W, class 4: the board has power; its kernel answers, and nothing above"
            " it: hung"
        ),
    ),
    (
        ("on", "up", None),
        Signs(L, Ssh.RESET, Kernel.ANSWERS, Power.ON, Link.UP),
        (
            "port 15: link up, gives power, class 4: the board has power; it answers, but lets"
            " nobody in"
        ),
    ),
    (
        ("off", "down", 0.0),
        Signs(L, *MUTE, Power.OFF, Link.DOWN),
        (
            "port 15: link down, gives no power, class 4: the port is on and nothing draws power:"
            " a dead board, a PoE hat that latched off, or the cable is out: unpowered"
        ),
    ),
    (
        ("off", "up", 0.0),
        Signs(L, *MUTE, Power.OFF, Link.UP),
        (
            "port 15: link up, gives no power, class 4: the board is powered from elsewhere; its"
            " kernel answers no ping: hung"
        ),
    ),
    (
        ("disabled", "down", 0.0),
        Signs(L, *MUTE, Power.DISABLED, Link.DOWN),
        "port 15: link down, switched off, class 4: somebody switched the port off; it stays off",
    ),
    (
        ("on", "up", 4.1),
        Signs(L, *MUTE, Power.UNKNOWN),
        (
            "port 15: the switch last told of it 9 s ago: silent, and whether it has power is not"
            " known"
        ),
    ),
    (("on", "up", 4.1), Signs(Beats.FRESH, power=Power.ON), "port 15: link up, 4.1 W, class 4"),
]


@pytest.mark.parametrize(("port", "signs", "line"), CASES)
def test_the_switch_s_line(port: tuple[str, str, float | None], signs: Signs, line: str) -> None:
    """Link, draw and class first, then what they mean together with the other senses."""
    assert port_line(15, vitals(*port), signs, judge(signs), 50.0) == line


def test_range_of_the_draw() -> None:
    """Least and most draw are told when they differ."""
    known = vitals("on", "up", 4.1)
    known.probed("port", "on", 42.0, "class 4", 2.2)
    line = port_line(15, known, Signs(Beats.FRESH, power=Power.ON), Verdict.ALIVE, 50.0)
    assert line == "port 15: link up, 2.2 W (2.2 to 4.1), class 4"


def test_a_line_for_each_sense() -> None:
    """Heartbeat, ssh, kernel and port each have a line, with their age."""
    signs = Signs(L, *MUTE, Power.ON, Link.UP)
    lines = list(evidence(15, vitals("on", "up", 4.1), signs, judge(signs), 50.0))
    assert lines[:-1] == [
        "heartbeat: lost, the last 50 s ago",
        "ssh: no answer, 10 s ago",
        "icmp: nothing, 11 s ago",
    ]


def test_never_told() -> None:
    """A port that nobody asked for is said to be so."""
    line = port_line(15, Vitals(), Signs(Beats.AWAITED), Verdict.UNKNOWN, 50.0)
    assert line == "port 15: the switch hasn't told of it: not enough is known yet"
