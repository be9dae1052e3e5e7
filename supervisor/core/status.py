"""The core's picture of the cluster at one instant, for whoever shows it.

Ages and remaining times are in seconds. Made by `Medic.status(now)`; never changed afterwards.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from common.observations import Truth
from supervisor.core.events import OverrideKind
from supervisor.core.liveness import Verdict


class NodeState(StrEnum):
    """One word for a node's tile, worst last."""

    HEALTHY = "healthy"
    LATE = "late"  # a beat is due; within patience or not yet judged
    UNKNOWN = "unknown"
    OFF = "off"  # its port is switched off, by somebody's will
    EXPLAINED = "explained"  # has symptoms, and somebody else's illness explains them
    TREATING = "treating"
    SICK = "sick"


class IncidentState(StrEnum):
    """Where an incident is between first evidence and proof of cure."""

    OPEN = "open"
    TREATING = "treating"
    VERIFYING = "verifying"
    RECOVERED = "recovered"
    ESCALATED = "escalated"


@dataclass(frozen=True, slots=True)
class ConditionStatus:
    """One condition of one node."""

    kind: str
    status: Truth
    age_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class PowerAct:
    """The latest act at a node's port. `result` is empty while it runs."""

    treatment: str
    result: str
    age_s: float


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node."""

    name: str
    role: str
    groups: tuple[str, ...]
    port: int
    protected: bool
    state: NodeState
    verdict: Verdict
    beat_age_s: float | None
    boot_id: str | None
    uptime_s: float
    conditions: tuple[ConditionStatus, ...]
    explained_by: str | None = None
    incident: str | None = None
    port_power: str = "unknown"
    watts: float | None = None
    link: str = "unknown"
    evidence: tuple[str, ...] = ()
    """What each sense says of it, in sentences; the last is the switch's."""
    boot_age_s: float | None = None  # since this boot's first beat
    last_power: PowerAct | None = None


@dataclass(frozen=True, slots=True)
class HeldStatus:
    """An action that a rail holds back, and why."""

    rail: str
    text: str
    for_s: float


@dataclass(frozen=True, slots=True)
class IncidentStatus:
    """One incident, open or just closed."""

    id: str
    node: str
    runbook: str
    title: str
    state: IncidentState
    opened_s: float
    state_s: float
    doing: str
    symptoms: tuple[str, ...]
    explains: tuple[str, ...] = ()
    held: tuple[HeldStatus, ...] = ()
    acknowledged_by: str | None = None


@dataclass(frozen=True, slots=True)
class OverrideStatus:
    """One override in force. `remaining_s` is None for one that lasts for ever."""

    id: str
    kind: OverrideKind
    scope: str
    author: str
    reason: str
    remaining_s: float | None


@dataclass(frozen=True, slots=True)
class FenceStatus:
    """The last check of everything that a power act needs: login, ports, journal, credentials."""

    ok: Truth
    detail: str
    age_s: float
    ok_age_s: float | None = None
    """How long ago it was last found good; None if it never was."""


@dataclass(frozen=True, slots=True)
class Status:
    """Everything."""

    verdict: str
    healthy: bool
    up_s: float
    doubt: str  # why we distrust ourselves right now; empty: we don't
    nodes: tuple[NodeStatus, ...]
    incidents: tuple[IncidentStatus, ...]  # open ones, oldest first
    overrides: tuple[OverrideStatus, ...]
    switch_reachable: Truth = Truth.UNKNOWN
    fence_path: FenceStatus | None = None
    """None before the first check."""
    actions: Mapping[tuple[str, str], int] = field(default_factory=dict)  # (treatment, result)
    refusals: Mapping[str, int] = field(default_factory=dict)  # rail -> times
    incidents_total: Mapping[str, int] = field(default_factory=dict)  # state reached -> times
