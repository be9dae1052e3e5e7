"""The lines that may be run over ssh, and the sudoers file that allows them and nothing else."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from common.topology import Role
from common.units import UNITS_OF_ROLE
from supervisor.actuators.ssh_commands import COMMANDS, RESTARTS, command_for
from supervisor.core.effects import Action, Actuator, Treatment

SUDOERS = Path(__file__).resolve().parents[3] / "config" / "sudoers" / "pimedic"
VISUDO = shutil.which("visudo") or shutil.which("visudo", path="/usr/sbin")


def an_action(treatment: Treatment, **arguments: str) -> Action:
    return Action("a1", "pi_login", treatment, 10.0, arguments)


@pytest.mark.parametrize(
    "unit",
    [
        "nfs-server",
        "snapd.service",
        "k3s.service",
        "nfs-server.service; reboot",
        "--now",
        "",
        "$(id)",
    ],
)
def test_only_the_role_s_units(unit: str) -> None:
    """A unit that isn't the role's own, or is no name at all, has no line."""
    assert command_for(an_action(Treatment.RESTART_UNIT, unit=unit), Role.LOGIN) is None


def test_no_unit_no_line() -> None:
    """A restart of nothing has no line, nor has what ssh can't give."""
    assert command_for(an_action(Treatment.RESTART_UNIT), Role.LOGIN) is None
    for treatment in Treatment:
        if Actuator.SSH not in treatment.ways:
            assert command_for(an_action(treatment), Role.LOGIN) is None


@pytest.mark.parametrize("role", list(Role))
def test_every_unit_of_a_role_has_its_line(role: Role) -> None:
    """What an agent may restart, ssh may restart too; a restart that ends well isn't believed."""
    for unit in UNITS_OF_ROLE[role]:
        line = command_for(an_action(Treatment.RESTART_UNIT, unit=unit), role)
        assert line
        assert line.endswith(f"restart {unit} && /usr/bin/systemctl is-active --quiet {unit}")


def test_what_may_be_done_twice_has_two_ways() -> None:
    """Only a treatment that keeps the node up may be given by a second actuator after a first."""
    for treatment in Treatment:
        assert len(treatment.ways) == 1 or not treatment.takes_node_down


def test_sudoers_allows_these_lines_and_no_others() -> None:
    """Every command run with sudo is allowed word for word, and nothing else is."""
    lines = [*COMMANDS.values(), *(line for role in RESTARTS.values() for line in role.values())]
    needed = {one for line in lines for one in re.findall(r"sudo -n ([^;&]+?) *(?:;|&&|$)", line)}
    text = SUDOERS.read_text(encoding="utf-8").replace("\\\n", " ")
    aliases = re.findall(r"^Cmnd_Alias (\w+) = (.*)$", text, re.MULTILINE)
    allowed = {one.strip() for _, commands in aliases for one in commands.split(",")}
    assert allowed == needed
    (rule,) = [line for line in text.splitlines() if "ALL" in line and not line.startswith("#")]
    assert rule == f"pimedic ALL = (root) NOPASSWD: {', '.join(name for name, _ in aliases)}"


@pytest.mark.skipif(VISUDO is None, reason="visudo isn't installed (Debian package sudo)")
def test_sudoers_is_well_formed() -> None:
    """What sudo itself says of the file."""
    found = subprocess.run(
        [str(VISUDO), "-c", "-f", str(SUDOERS)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
