"""The table of verdicts, and the patience behind it."""

import pytest

from supervisor.core.liveness import (
    Beats,
    Kernel,
    Power,
    Signs,
    Ssh,
    Verdict,
    Vitals,
    judge,
    patience,
    read_signs,
)
from supervisor.core.policy import Policy

POLICY = Policy()
L, F, A = Beats.LOST, Beats.FRESH, Beats.AWAITED

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
    (Signs(L, Ssh.NOTHING, Kernel.SILENT, Power.DISABLED), Verdict.UNPOWERED),
    (Signs(L, Ssh.NOTHING, Kernel.SILENT, Power.UNKNOWN), Verdict.UNREACHABLE),
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
