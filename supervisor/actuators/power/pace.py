"""How often each kind of driver can be asked, how long it takes, and how long its word stands.

One table, because they differ by an order of magnitude: an ssh command answers in milliseconds, a
fence agent is a process for every port, and a controller knows what its switch last told it.
"""

from dataclasses import dataclass

from supervisor.core.policy import Policy
from supervisor.settings import Settings

_A_RUN_S = 1.0  # of a fence agent on a Pi: an interpreter, its imports, a login
_FENCE_EVERY_S = 30.0
_UNIFI_EVERY_S = 10.0  # more would be answered with 429, and tell nothing new
_UNIFI_INFORM_S = 60.0  # a switch that told its controller nothing for so long is lost to it


@dataclass(frozen=True, slots=True)
class Pace:
    """In seconds. `tells_delivery`: whether the driver knows if power flows, beside the setting."""

    every_s: float
    look_s: float
    command_s: float
    port_ttl_s: float
    tells_delivery: bool = True


def pace_of(settings: Settings, nodes: int) -> Pace:
    """Return the pace of the chosen driver for so many nodes."""
    given, every_s = settings.switch, settings.senses.switch_every_s
    look_s, command_s = given.command_timeout_s, 2 * given.command_timeout_s
    if given.driver == "fence" and given.fence:
        every_s = max(every_s, _FENCE_EVERY_S)
        look_s = max(look_s, given.fence.status_s + _A_RUN_S * nodes / given.fence.parallel)
        command_s = max(command_s, given.fence.switch_s + 2 * given.fence.status_s)
        return Pace(every_s, look_s, command_s, 2 * every_s + look_s, tells_delivery=False)
    if given.driver == "unifi":
        every_s = max(every_s, _UNIFI_EVERY_S)
        return Pace(every_s, look_s, command_s, 2 * every_s + look_s + _UNIFI_INFORM_S)
    return Pace(every_s, look_s, command_s, max(Policy().port_ttl_s, 2 * every_s + look_s))
