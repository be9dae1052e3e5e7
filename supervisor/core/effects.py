"""What the core wants done. The shell turns each effect into one call and adds nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Actuator(StrEnum):
    """Who carries an action out."""

    AGENT = "agent"  # a signed command in the heartbeat's reply
    SSH = "ssh"
    POWER = "power"


class Treatment(StrEnum):
    """Every treatment the supervisor knows, with the actuators that can give it."""

    RESTART_UNIT = "restart_unit"
    FIX_HOSTS = "fix_hosts"
    SET_TIME_SYNC = "set_time_sync"
    FIX_KERNEL_IMAGE = "fix_kernel_image"
    REMOUNT_RW = "remount_rw"
    AGENT_REBOOT = "agent_reboot"
    SYSRQ = "sysrq"
    RESTART_AGENT = "restart_agent"
    REBOOT = "reboot"
    POWER_CYCLE = "power_cycle"
    POWER_ON = "power_on"
    POWER_OFF = "power_off"

    @property
    def ways(self) -> tuple[Actuator, ...]:
        """Return the actuators that can give this treatment, the best first.

        Only what may safely be done twice has more than one: when it is not known whether one
        actuator did it, another may be asked.
        """
        return _GIVEN_BY[self]

    @property
    def takes_node_down(self) -> bool:
        """Tell whether the node is away for a while because of it."""
        return self in _DISRUPTIVE

    @property
    def cuts_power(self) -> bool:
        """Tell whether the node's port loses power."""
        return self in {Treatment.POWER_CYCLE, Treatment.POWER_OFF}

    @property
    def gives_power(self) -> bool:
        """Tell whether the node boots because of it: inrush, then DHCP, TFTP and NFS."""
        return self in {Treatment.POWER_CYCLE, Treatment.POWER_ON}


_GIVEN_BY: Mapping[Treatment, tuple[Actuator, ...]] = {
    Treatment.RESTART_UNIT: (Actuator.AGENT, Actuator.SSH),
    Treatment.FIX_HOSTS: (Actuator.AGENT,),
    Treatment.SET_TIME_SYNC: (Actuator.AGENT,),
    Treatment.FIX_KERNEL_IMAGE: (Actuator.AGENT,),
    Treatment.REMOUNT_RW: (Actuator.AGENT,),
    Treatment.AGENT_REBOOT: (Actuator.AGENT,),
    Treatment.SYSRQ: (Actuator.AGENT,),
    Treatment.RESTART_AGENT: (Actuator.SSH,),
    Treatment.REBOOT: (Actuator.SSH,),
    Treatment.POWER_CYCLE: (Actuator.POWER,),
    Treatment.POWER_ON: (Actuator.POWER,),
    Treatment.POWER_OFF: (Actuator.POWER,),
}
_DISRUPTIVE = {
    Treatment.AGENT_REBOOT,
    Treatment.SYSRQ,
    Treatment.REBOOT,
    Treatment.POWER_CYCLE,
    Treatment.POWER_OFF,
}


@dataclass(frozen=True, slots=True)
class Action:
    """One treatment of one node, ordered once. `deadline_s` bounds the actuator."""

    id: str
    node: str
    treatment: Treatment
    deadline_s: float
    arguments: Mapping[str, str] = field(default_factory=dict)
    incident: str | None = None
    runbook: str | None = None
    requested_by: str = "pimedic"
    allow_protected: bool = False
    skip: frozenset[str] = frozenset()
    """Rails that a person skips by name; actuators with rules of the same name skip them too."""
    via: Actuator | None = None
    """By whom; None: by the best of its ways."""

    @property
    def actuator(self) -> Actuator:
        """Return who carries it out."""
        return self.via or self.treatment.ways[0]


@dataclass(frozen=True, slots=True)
class Perform:
    """Carry out an action and answer with `ActionEnded`."""

    action: Action


class NoteKind(StrEnum):
    """The timeline's vocabulary."""

    SUPERVISOR_STARTED = "supervisor_started"
    CONDITION = "condition"
    INCIDENT_OPENED = "incident_opened"
    EXPLAINED = "explained"
    ACTION_STARTED = "action_started"
    ACTION_FINISHED = "action_finished"
    REFUSED = "refused"
    VERIFYING = "verifying"
    RECOVERED = "recovered"
    ESCALATED = "escalated"
    OVERRIDE = "override"
    SELF_DOUBT = "self_doubt"
    POWER = "power"
    WITNESSED = "witnessed"  # what an agent saw and did while it couldn't tell us


@dataclass(frozen=True, slots=True)
class Note:
    """One line of the timeline. `data` holds what the text was made from."""

    kind: NoteKind
    text: str
    node: str | None = None
    incident: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


class Kept(StrEnum):
    """What outlives a restart of the supervisor."""

    INCIDENT = "incident"
    ACTION = "action"  # for budgets and cool-downs
    OVERRIDE = "override"


@dataclass(frozen=True, slots=True)
class Save:
    """Keep this record, durably, before the next effect is carried out."""

    kept: Kept
    id: str
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop a record."""

    kept: Kept
    id: str


Effect = Perform | Note | Save | Forget
