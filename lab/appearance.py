"""What a virtual Pi looks like from outside, as a pure function of what is the matter with it."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from lab.faults import SSH_FROM_BEST_TO_WORST, Activity, Fault
from lab.ports import Mode


class PiState(StrEnum):
    """Where a virtual Pi is between power and work."""

    OFF = "off"
    BOOTING = "booting"
    NETBOOTING = "netbooting"  # waits for the node that serves its root
    UP = "up"


@dataclass(frozen=True, slots=True)
class Appearance:
    """How a Pi meets the world. `others` are its processes besides the agent."""

    ssh: Mode
    agent: Activity
    others: Activity
    serves: bool
    linked: bool
    watts: float


_BOOT_WATTS = 2.8
_ASLEEP = Appearance(Mode.DARK, Activity.DEAD, Activity.DEAD, serves=False, linked=False, watts=0)


def appearance(
    state: PiState,
    faults: Collection[Fault],
    *,
    stalled: bool,
    usual_watts: float,
    agent_in_memory: bool = True,
) -> Appearance:
    """Join a Pi's state, its faults and whether its root stalls; the worst of each wins.

    A stall freezes every process but an agent that runs from memory.
    """
    if state is PiState.OFF or not all(fault.draws for fault in faults):
        return _ASLEEP
    if state is not PiState.UP:
        return Appearance(
            Mode.DARK,
            Activity.DEAD,
            Activity.DEAD,
            serves=False,
            linked=True,
            watts=_BOOT_WATTS,
        )
    stall = Activity.FROZEN if stalled else Activity.RUNNING
    own_stall = Activity.RUNNING if agent_in_memory else stall
    modes = [Mode.MUTE if stalled else Mode.SERVING, *(fault.ssh for fault in faults)]
    return Appearance(
        ssh=max(modes, key=SSH_FROM_BEST_TO_WORST.index),
        agent=max([own_stall, *(fault.agent for fault in faults)]),
        others=max([stall, *(fault.agent for fault in faults if fault.freezes_all)]),
        serves=not stalled and all(fault.serves for fault in faults),
        linked=True,
        watts=usual_watts,
    )
