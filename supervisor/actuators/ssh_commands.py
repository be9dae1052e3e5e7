"""The lines that may ever be run on a node over ssh: tables of constants, nothing built from input.

`config/sudoers/pimedic` allows exactly these, word for word; a test compares them.
"""

from collections.abc import Mapping

from common.topology import Role
from common.units import AGENT_UNIT, UNITS_OF_ROLE
from supervisor.core.effects import Action, Treatment

_SYSTEMCTL = "/usr/bin/systemctl"


def _restart(unit: str) -> str:
    """Forget its failures first, or systemd may refuse; a restart that ends well isn't life."""
    return (
        f"sudo -n {_SYSTEMCTL} reset-failed {unit}; sudo -n {_SYSTEMCTL} restart {unit}"
        f" && {_SYSTEMCTL} is-active --quiet {unit}"
    )


COMMANDS: Mapping[Treatment, str] = {
    Treatment.RESTART_AGENT: _restart(AGENT_UNIT),
    Treatment.REBOOT: f"sudo -n {_SYSTEMCTL} reboot",
}
RESTARTS: Mapping[Role, Mapping[str, str]] = {
    role: {unit: _restart(unit) for unit in units} for role, units in UNITS_OF_ROLE.items()
}


def command_for(action: Action, role: Role) -> str | None:
    """Return the line for `action` on a node of `role`, or None: ssh has no way to do it."""
    if action.treatment is Treatment.RESTART_UNIT:
        return RESTARTS[role].get(action.arguments.get("unit", ""))
    return COMMANDS.get(action.treatment)
