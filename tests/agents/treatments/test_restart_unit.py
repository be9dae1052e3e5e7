"""`restart_unit`: what it may touch, and what counts as proof."""

from pathlib import Path

import pytest

from agents.programs import Programs
from agents.restarting import RestarterByProgram
from agents.systemctl import Systemctl
from agents.treatment import TreatmentError
from agents.treatments.restart_unit import RestartUnit


def _treatment(*command: str) -> RestartUnit:
    restarter = RestarterByProgram(Systemctl(Programs(), command))
    return RestartUnit(restarter, ("ssh.service", "x.socket"))


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        ({"unit": "ssh"}, False),
        ({"unit": "ssh.service"}, False),
        ({"unit": "x.socket"}, False),
        ({"unit": "x"}, True),
        ({"unit": "k3s"}, True),
        ({"unit": "--now"}, True),
        ({"unit": ""}, True),
        ({}, True),
        ({"unit": "ssh", "signal": "KILL"}, True),
    ],
)
def test_only_configured_units(arguments: dict[str, str], refused: bool) -> None:  # noqa: FBT001
    """One argument, a configured unit, and nothing else."""
    assert bool(_treatment("true").refusal(arguments)) is refused


async def test_restart_without_a_new_invocation_is_no_success(tmp_path: Path) -> None:
    """Systemctl's word isn't enough: the same invocation means that nothing was restarted."""
    script = tmp_path / "systemctl"
    script.write_text("[ $1 != show ] || printf 'ActiveState=active\\nInvocationID=old\\n'\n")
    with pytest.raises(TreatmentError, match="its invocation is the old one"):
        await _treatment("sh", str(script)).carry_out({"unit": "ssh"}, 3)


async def test_unit_that_dies_again_is_no_success(tmp_path: Path) -> None:
    """A new invocation that isn't active at the deadline failed."""
    script = tmp_path / "systemctl"
    script.write_text(
        "[ $1 != show ] || { printf 'ActiveState=failed\\nInvocationID='; date +%N; }\n"
    )
    with pytest.raises(TreatmentError, match=r"ssh\.service is failed; its invocation is new"):
        await _treatment("sh", str(script)).carry_out({"unit": "ssh"}, 3)


async def test_missing_systemctl_is_explained() -> None:
    """A program that can't be started is the reason given."""
    with pytest.raises(TreatmentError, match="can't be started"):
        await _treatment("/no/such/systemctl").carry_out({"unit": "ssh"}, 5)
