"""`agent_reboot`: reboot gently, by order of this node's agent: every service is stopped first.

Asked of logind, which keeps to inhibitors; without logind PID 1 is asked to start
reboot.target, as `systemctl reboot` does (its own Reboot() method stops nothing properly).

The result is `accepted`: the proof is a new boot id, which only the supervisor can see. [T] with
a stalled NFS root Reboot() is accepted in 11 ms and nothing happens for as long as the server
is away; therefore PID 1 must answer first, and the desk refuses while the root is stalled.
"""

from collections.abc import Mapping

from agents.bus import Bus, BusError, Object, connected
from agents.systemd_bus import MANAGER, absent, ping
from agents.treatment import TreatmentError

_LOGIND = Object(
    "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"
)
_PING_S = 1.0


class AgentReboot:
    """Takes no arguments."""

    name = "agent_reboot"
    needs_root = True

    def __init__(self, address: str) -> None:
        self._address = address

    def refusal(self, arguments: Mapping[str, str]) -> str:
        """Allow no arguments."""
        return "expected no arguments" if arguments else ""

    async def carry_out(self, arguments: Mapping[str, str], deadline_s: float) -> str:  # noqa: ARG002 - a port
        """Ask once, and never again: a late second reboot would hit the next boot."""
        try:
            async with connected(self._address) as bus:
                await ping(bus, min(_PING_S, deadline_s))
                return await _reboot(bus, deadline_s)
        except BusError as error:
            raise TreatmentError(f"reboot: {error}") from None


async def _reboot(bus: Bus, deadline_s: float) -> str:
    try:
        await bus.call(_LOGIND, "Reboot", "b", False, deadline_s=deadline_s)
    except BusError as error:
        if not absent(error) and not error.name.startswith("org.freedesktop.systemd1."):
            raise  # logind is there, and said no
    else:
        return "accepted by logind"
    job = ("reboot.target", "replace-irreversibly")
    await bus.call(MANAGER, "StartUnit", "ss", *job, deadline_s=deadline_s)
    return "accepted by systemd"
