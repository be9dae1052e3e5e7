"""The table of verdicts, and the patience behind it."""

import pytest

from supervisor.core.liveness import (
    Beats,
    Kernel,
    Signs,
    Ssh,
    Verdict,
    Vitals,
    is_late,
    judge,
    patience,
    read_signs,
)
from supervisor.core.policy import Policy
from supervisor.core.ports import Link, Power

POLICY = Policy()
L, F, A = Beats.LOST, Beats.FRESH, Beats.AWAITED
UP, DOWN = Link.UP, Link.DOWN

TABLE = [
    (Signs(F, Ssh.RESET, Kernel.ANSWERS, Power.ON), Verdict.ALIVE),
    (Signs(A, Ssh.NOTHING, Kernel.SILENT, Power.OFF), Verdict.UNKNOWN),
    (Signs(L, Ssh.BANNER, Kernel.ANSWERS, Power.ON), Verdict.AGENT_DOWN),
    (Signs(L, Ssh.RESET, Kernel.ANSWERS, Power.ON), Verdict.USERLAND_SICK),
    (Signs(L, Ssh.REFUSED, Kernel.ANSWERS, Power.ON), Verdict.USERLAND_SICK),
    (Signs(L, Ssh.SILENT, Kernel.ANSWERS, Power.ON), Verdict.HUNG),
    (Signs(L, Ssh.NOTHING, Kernel.ANSWERS, Power.ON), Verdict.HUNG),
    (Signs(L, Ssh.NOTHING, Kernel.SILENT, Power.ON), Verdict.HUNG),
    (Signs(L, Ssh.NOTHING, Kernel.SILENT, Power.OFF), Verdict.UNPOWERED),
    (Signs(L, Ssh.NOTHING, Kernel.SILENT, Power.DISABLED), Verdict.OFF_BY_HAND),
    (Signs(L, Ssh.NOTHING, Kernel.SILENT, Power.UNKNOWN), Verdict.UNREACHABLE),
    (Signs(L, Ssh.UNKNOWN, Kernel.UNKNOWN, Power.OFF, DOWN), Verdict.UNPOWERED),
    (Signs(L, Ssh.NOTHING, Kernel.UNKNOWN, Power.OFF, DOWN), Verdict.UNPOWERED),
    (Signs(L, Ssh.UNKNOWN, Kernel.UNKNOWN, Power.OFF), Verdict.UNKNOWN),
    (Signs(L, Ssh.UNKNOWN, Kernel.ANSWERS, Power.OFF, DOWN), Verdict.UNKNOWN),
    (Signs(L, Ssh.NOTHING, Kernel.SILENT, Power.OFF, DOWN, delivered=False), Verdict.UNDETECTED),
    (Signs(L, Ssh.NOTHING, Kernel.SILENT, Power.ON, DOWN, delivered=False), Verdict.HUNG),
    (Signs(L, Ssh.UNKNOWN, Kernel.UNKNOWN, Power.DISABLED, DOWN), Verdict.OFF_BY_HAND),
    (Signs(L, Ssh.NOTHING, Kernel.SILENT, Power.OFF, UP), Verdict.HUNG),
    (Signs(L, Ssh.NOTHING, Kernel.SILENT, Power.DISABLED, UP), Verdict.HUNG),
    (Signs(L, Ssh.NOTHING, Kernel.SILENT, Power.ON, DOWN), Verdict.HUNG),
    (Signs(L, Ssh.NOTHING, Kernel.SILENT, Power.ON, UP, looping=True), Verdict.BOOT_LOOP),
    (Signs(L, Ssh.NOTHING, Kernel.SILENT, Power.OFF, DOWN, looping=True), Verdict.BOOT_LOOP),
    (Signs(L, Ssh.REFUSED, Kernel.ANSWERS, Power.ON, UP, looping=True), Verdict.BOOT_LOOP),
    (Signs(L, Ssh.BANNER, Kernel.ANSWERS, Power.ON, UP, looping=True), Verdict.AGENT_DOWN),
    (Signs(F, Ssh.NOTHING, Kernel.SILENT, Power.OFF, DOWN, looping=True), Verdict.ALIVE),
    (Signs(A, Ssh.NOTHING, Kernel.SILENT, Power.OFF, DOWN, looping=True), Verdict.UNKNOWN),
    (Signs(L), Verdict.UNKNOWN),
    (Signs(L, Ssh.UNKNOWN, Kernel.ANSWERS, Power.ON), Verdict.UNKNOWN),
]


@pytest.mark.parametrize(("signs", "verdict"), TABLE, ids=str)
def test_verdicts(signs: Signs, verdict: Verdict) -> None:
    """Each combination of senses has its verdict; without an ssh look there is none."""
    assert judge(signs) is verdict


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [
        ([], 3.0),
        ([1.0] * 30, 3.0),
        ([1.0, 2.0, 3.0] * 10, pytest.approx(2 + 4 * 0.8165, abs=0.01)),
        ([1.0, 30.0] * 15, 12.0),
    ],
)
def test_patience(gaps: list[float], expected: float) -> None:
    """Patience grows with irregularity, from three beats to twelve."""
    vitals, now = Vitals(), 0.0
    for gap in (0.0, *gaps):
        now += gap
        vitals.beat(now, "a", now, 1.0)
    assert patience(vitals, POLICY) == expected


def test_never_heard_is_awaited_first() -> None:
    """A node that never beat is awaited through the warm-up, and lost after it."""
    vitals = Vitals()
    assert read_signs(vitals, 10.0, 0.0, POLICY).beats is Beats.AWAITED
    assert read_signs(vitals, 40.0, 0.0, POLICY).beats is Beats.LOST


def test_a_beat_of_a_new_boot_starts_afresh() -> None:
    """The gap that a reboot makes says nothing about the node's regularity."""
    vitals = Vitals()
    for at, boot in [(1.0, "a"), (2.0, "a"), (100.0, "b"), (101.0, "b")]:
        vitals.beat(at, boot, 1.0, 1.0)
    assert list(vitals.gaps) == [1.0]


def test_old_evidence_says_nothing() -> None:
    """A probe's word expires, and with it what it proved."""
    vitals = Vitals()
    vitals.beat(0.0, "a", 1.0, 1.0)
    vitals.probed("ssh_banner", "banner", 0.0, "", None)
    vitals.probed("port", "on", 1.0, "", None)
    unheard = Signs(Beats.LOST, Ssh.UNKNOWN, Kernel.UNKNOWN, Power.ON)
    assert read_signs(vitals, 13.0, 0.0, POLICY) == unheard
    assert read_signs(vitals, 32.0, 0.0, POLICY).power is Power.UNKNOWN


def test_forgiven() -> None:
    """What we slept through is not held against a node."""
    vitals = Vitals()
    vitals.beat(0.0, "a", 1.0, 1.0)
    vitals.forgive(3600)
    assert read_signs(vitals, 3602.0, 0.0, POLICY).beats is Beats.FRESH


def seen_at_the_switch(power: str, link: str, at: float) -> Vitals:
    """A node whose last beat came at 0 s, and whose port was seen so at `at`."""
    vitals = Vitals()
    vitals.beat(0.0, "a", 1.0, 1.0)
    vitals.probed("link", link, at, "", None)
    vitals.probed("port", power, at, "", 0.0)
    return vitals


@pytest.mark.parametrize(
    ("power", "link", "at", "beats"),
    [
        ("off", "down", 1.1, Beats.LOST),
        ("disabled", "down", 1.1, Beats.LOST),
        (
            "off",
            "down",
            0.9,
            Beats.FRESH,
        ),  # its next beat was not yet due: it may have beaten since
        ("off", "up", 1.1, Beats.FRESH),
        ("on", "down", 1.1, Beats.FRESH),
        ("on", "up", 1.1, Beats.FRESH),
    ],
)
def test_no_patience_without_power(power: str, link: str, at: float, beats: Beats) -> None:
    """A node whose port gives neither power nor link is lost with the first missing beat."""
    vitals = seen_at_the_switch(power, link, at)
    assert read_signs(vitals, 1.2, 0.0, POLICY).beats is beats


def test_a_beat_refutes_the_switch() -> None:
    """Whatever the switch says, a node that beats is alive: it may be powered from elsewhere."""
    vitals = seen_at_the_switch("off", "down", 1.1)
    vitals.beat(1.3, "a", 2.3, 1.0)
    assert judge(read_signs(vitals, 1.4, 0.0, POLICY)) is Verdict.ALIVE


@pytest.mark.parametrize(
    ("silence", "closed", "late"),
    [
        (1.0, False, False),
        (1.0, True, True),
        (1.3, False, True),
        (200.0, False, True),
        (301.0, False, False),
        (301.0, True, False),
    ],
)
def test_late(*, silence: float, closed: bool, late: bool) -> None:
    """A closed connection or an overdue beat makes uneasy, for a while; old silence doesn't."""
    vitals = Vitals()
    vitals.beat(0.0, "a", 1.0, 1.0)
    vitals.disconnected_at = 0.5 if closed else None
    assert is_late(vitals, silence, POLICY) is late


def test_never_heard_is_not_late() -> None:
    """A node without an agent makes nobody uneasy for ever."""
    assert not is_late(Vitals(), 100.0, POLICY)
