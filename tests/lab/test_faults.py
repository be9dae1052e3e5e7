"""The table of faults, and what a Pi looks like with them."""

import pytest

from lab.appearance import PiState, appearance
from lab.errors import MisuseError
from lab.faults import FAULTS, Activity, Fault, find
from lab.ports import Mode

UP = PiState.UP


def test_every_fault_says_what_it_does_and_what_cures_it() -> None:
    """The table is what `pimedic lab faults` prints: no row without words."""
    assert all(fault.does and fault.cure and name == fault.name for name, fault in FAULTS.items())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("explode",), "unknown fault 'explode'; expected one of read-only"),
        (("unit-failed",), "unit-failed needs to know which: unit-failed UNIT"),
        (("hang", "now"), "hang takes no argument, found 'now'"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_in_words(words: tuple[str, ...], told: str) -> None:
    """Unknown names and missing or superfluous arguments are told apart."""
    with pytest.raises(MisuseError, match=told):
        find(*words)


def test_underscores_and_capitals_are_forgiven() -> None:
    """People type what they remember."""
    assert find("Read_Only") is FAULTS["read-only"]


@pytest.mark.parametrize(
    ("names", "stalled", "expected"),
    [
        ((), False, (Mode.SERVING, Activity.RUNNING, True)),
        ((), True, (Mode.MUTE, Activity.RUNNING, False)),
        (("read-only",), False, (Mode.RESETTING, Activity.RUNNING, False)),
        (("ssh-reset",), False, (Mode.RESETTING, Activity.RUNNING, True)),
        (("hang",), False, (Mode.MUTE, Activity.FROZEN, False)),
        (("kill-agent",), False, (Mode.SERVING, Activity.DEAD, True)),
        (("power-off",), False, (Mode.DARK, Activity.DEAD, False)),
        (("read-only", "hang"), False, (Mode.MUTE, Activity.FROZEN, False)),
        (("kill-agent", "hang"), False, (Mode.MUTE, Activity.DEAD, False)),
        (("ssh-reset",), True, (Mode.MUTE, Activity.RUNNING, False)),
        (("hang",), True, (Mode.MUTE, Activity.FROZEN, False)),
    ],
)
def test_the_worst_of_several_faults_shows(
    *, names: tuple[str, ...], stalled: bool, expected: tuple[Mode, Activity, bool]
) -> None:
    """How ssh and agent of a running Pi answer, and whether it still serves others."""
    faults: list[Fault] = [FAULTS[name] for name in names]
    looks = appearance(UP, faults, stalled=stalled, usual_watts=4.0)
    assert (looks.ssh, looks.agent, looks.serves) == expected


def test_a_stall_freezes_what_runs_from_the_root() -> None:
    """Always the other programs; the agent too, if it doesn't run from memory."""
    looks = [
        appearance(UP, [], stalled=True, usual_watts=4.0, agent_in_memory=in_memory)
        for in_memory in (True, False)
    ]
    assert [look.agent for look in looks] == [Activity.RUNNING, Activity.FROZEN]
    assert [look.others for look in looks] == [Activity.FROZEN, Activity.FROZEN]


@pytest.mark.parametrize(
    ("state", "names", "watts", "linked"),
    [
        (PiState.OFF, (), 0, False),
        (PiState.BOOTING, (), 2.8, True),
        (PiState.NETBOOTING, (), 2.8, True),
        (UP, (), 4.0, True),
        (UP, ("hang",), 4.0, True),
        (UP, ("power-off",), 0, False),
    ],
)
def test_the_switch_sees_what_is_drawn(
    *, state: PiState, names: tuple[str, ...], watts: float, linked: bool
) -> None:
    """A hung Pi draws power like a healthy one; a dead board draws none though its port is on."""
    looks = appearance(state, [FAULTS[n] for n in names], stalled=False, usual_watts=4.0)
    assert (looks.watts, looks.linked) == (watts, linked)


@pytest.mark.parametrize("state", [PiState.OFF, PiState.BOOTING, PiState.NETBOOTING])
def test_what_is_not_up_is_dark(state: PiState) -> None:
    """Until a Pi has booted nothing of it answers, and it serves nobody."""
    looks = appearance(state, [], stalled=False, usual_watts=4.0)
    assert (looks.ssh, looks.agent, looks.serves) == (Mode.DARK, Activity.DEAD, False)
