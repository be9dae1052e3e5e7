"""Runbooks as files: the shipped ones load, and a typo is found before the night it matters."""

from pathlib import Path

import pytest

from common.toml_files import ConfigError
from common.units import UNITS_OF_ROLE
from supervisor.core.effects import Actuator, Treatment
from supervisor.runbook_files import load_runbook, load_runbooks

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "runbooks"

GOOD = """\
title = "Title"
foe = "4.3"
why = "Because."

[match]
any = ["ssh_refused"]
roles = ["login"]

[[step]]
treatment = "restart_unit"
arguments = { unit = "ssh.service" }

[[step]]
treatment = "power_cycle"
times = 2
[step.verify]
new_boot = true
"""

MISTAKES = {
    "unknown condition": ('"ssh_refused"', '"ssh_refusd"', 6, "unknown condition 'ssh_refusd'"),
    "unknown role": ('"login"', '"boss"', 7, "'boss'"),
    "unknown treatment": ('"power_cycle"', '"power_cicle"', 14, "'power_cicle'"),
    "unknown key": ("times = 2", "tims = 2", 15, "step.1.tims: unknown key"),
    "no step": (GOOD[GOOD.index("[[step]]") :], "", 1, "step: missing"),
    "wrong type": ("times = 2", 'times = "two"', 15, "'two'"),
    "wrong way": ("times = 2", 'times = 2\nvia = ["ssh"]', 16, "ssh can't give power_cycle"),
    "unknown way": ("times = 2", 'times = 2\nvia = ["pigeon"]', 16, "'pigeon'"),
    "nobody at all": ("any =", "at_most = 0\nany =", 6, "at_most"),
    "no trigger": ('any = ["ssh_refused"]', "any = []", 6, "match.any"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake: str, tmp_path: Path) -> None:
    """Each mistake is named with file, line, key and what was found."""
    right, wrong, line, said = MISTAKES[mistake]
    path = tmp_path / "x.toml"
    path.write_text(GOOD.replace(right, wrong, 1))
    with pytest.raises(ConfigError) as error:
        load_runbook(path)
    assert str(error.value).startswith(f"{path}:{line}: ")
    assert said in str(error.value)


def test_ladder_goes_from_mild_to_drastic(tmp_path: Path) -> None:
    """A step that is milder than one before it is refused."""
    path = tmp_path / "x.toml"
    path.write_text(
        GOOD.replace("restart_unit", "reboot").replace('"power_cycle"', '"restart_agent"')
    )
    with pytest.raises(ConfigError, match="restart_agent is milder than a step before it"):
        load_runbook(path)


def test_good_file(tmp_path: Path) -> None:
    """The file's name is the runbook's, and its steps keep their order."""
    path = tmp_path / "some-illness.toml"
    path.write_text(GOOD)
    runbook = load_runbook(path)
    assert runbook.name == "some-illness"
    steps = [(step.treatment, step.times, step.verify.new_boot) for step in runbook.steps]
    assert steps == [(Treatment.RESTART_UNIT, 1, False), (Treatment.POWER_CYCLE, 2, True)]


def test_every_problem_of_a_folder_is_named(tmp_path: Path) -> None:
    """One reading names the problems of all files."""
    for name in ("a.toml", "b.toml"):
        (tmp_path / name).write_text("title = 1\n")
    with pytest.raises(ConfigError) as error:
        load_runbooks(tmp_path)
    assert "a.toml" in str(error.value)
    assert "b.toml" in str(error.value)


def test_empty_folder(tmp_path: Path) -> None:
    """A folder without runbooks is a mistake, not a quiet supervisor."""
    with pytest.raises(ConfigError, match="at least one"):
        load_runbooks(tmp_path)
    with pytest.raises(ConfigError, match="expected a folder"):
        load_runbooks(tmp_path / "nowhere")


def test_ways(tmp_path: Path) -> None:
    """Who is named carries it out, in that order; nobody named means whoever can."""
    path = tmp_path / "x.toml"
    path.write_text(GOOD.replace("[[step]]\n", '[[step]]\nvia = ["ssh"]\n', 1))
    named, default = load_runbook(path).steps
    assert (named.ways, default.ways) == ((Actuator.SSH,), (Actuator.POWER,))
    path.write_text(GOOD)
    assert load_runbook(path).steps[0].ways == (Actuator.AGENT, Actuator.SSH)


def test_units_that_are_restarted_are_known_ones() -> None:
    """Every unit that a shipped runbook restarts is one that its roles' agents may restart."""
    for runbook in load_runbooks(SHIPPED):
        for step in runbook.steps:
            if unit := step.arguments.get("unit"):
                assert all(unit in UNITS_OF_ROLE[role] for role in runbook.roles), runbook.name


def test_shipped() -> None:
    """The shipped runbooks load; only login's may touch a node that others depend on."""
    runbooks = {runbook.name: runbook for runbook in load_runbooks(SHIPPED)}
    assert {"login-unusable", "node-hung", "node-unpowered", "agent-down"} <= runbooks.keys()
    assert all(len(runbook.why) > 80 for runbook in runbooks.values())
    agent_steps = runbooks["agent-down"].steps
    assert not any(step.treatment.takes_node_down for step in agent_steps)
