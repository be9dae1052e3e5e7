"""Draw `Status` from the core's situation. Pure presentation: decides nothing."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from common.observations import Truth
from common.topology import Node
from supervisor.core.conditions import SWITCH, Patient, phrase
from supervisor.core.incidents import Incident
from supervisor.core.liveness import Beats, Verdict
from supervisor.core.planner import Planner
from supervisor.core.port_words import evidence
from supervisor.core.ports import Power
from supervisor.core.rails import Rail, describe
from supervisor.core.situation import Situation
from supervisor.core.status import (
    ConditionStatus,
    FenceStatus,
    HeldStatus,
    IncidentState,
    IncidentStatus,
    NodeState,
    NodeStatus,
    OverrideStatus,
    PowerAct,
    Status,
)

_LATE_BEATS = 2.2  # a beat is late when over two intervals passed since the last
_NOT = {Truth.TRUE: Truth.FALSE, Truth.FALSE: Truth.TRUE, Truth.UNKNOWN: Truth.UNKNOWN}
_WORST_FIRST = (
    IncidentState.TREATING,
    IncidentState.VERIFYING,
    IncidentState.ESCALATED,
    IncidentState.OPEN,
)


class Counts(Protocol):
    """What was counted since start."""

    @property
    def actions(self) -> Mapping[tuple[str, str], int]:
        """(treatment, result) -> times."""

    @property
    def refusals(self) -> Mapping[str, int]:
        """Rail -> times."""

    @property
    def incidents(self) -> Mapping[str, int]:
        """State reached -> times."""


def draw(given: Situation, planner: Planner, counts: Counts) -> Status:
    """Return everything that can be shown, as of `given.now`."""
    nodes = tuple(_node(node, given, planner) for node in given.cluster)
    incidents = tuple(
        _incident(incident, given, planner)
        for incident in sorted(given.incidents, key=lambda i: i.opened_at)
    )
    return Status(
        _verdict(nodes, incidents),
        not incidents and all(node.state is NodeState.HEALTHY for node in nodes),
        given.now - given.started_at,
        given.doubt,
        nodes,
        incidents,
        tuple(_overrides(given)),
        _reachable(given.ward[SWITCH]),
        _fence_path(given),
        dict(counts.actions),
        {str(rail): counts.refusals.get(rail, 0) for rail in Rail},
        dict(counts.incidents),
    )


def _verdict(nodes: tuple[NodeStatus, ...], incidents: tuple[IncidentStatus, ...]) -> str:
    """One sentence: is it well, and if not, what is wrong and what is being done."""
    well = sum(node.state is NodeState.HEALTHY for node in nodes)
    if incidents:
        worst = min(incidents, key=lambda i: (_WORST_FIRST.index(i.state), i.opened_s))
        word = "WATCHING" if worst.state is IncidentState.OPEN else worst.state.upper()
        word = "TREATING" if worst.state is IncidentState.VERIFYING else word
        more = f"; {len(incidents) - 1} more" if len(incidents) > 1 else ""
        explained = f"; {len(worst.explains)} nodes explained by it" if worst.explains else ""
        return f"{word} {describe(worst.node, worst.symptoms)}, {worst.doing}{explained}{more}"
    if well == len(nodes):
        return f"HEALTHY {well}/{len(nodes)}"
    odd = [f"{node.name} {node.state}" for node in nodes if node.state is not NodeState.HEALTHY]
    shown = ", ".join(odd[:3]) + (f" and {len(odd) - 3} more" if len(odd) > 3 else "")  # noqa: PLR2004 - fits a line
    return f"DEGRADED {well}/{len(nodes)}: {shown}"


def _node(node: Node, given: Situation, planner: Planner) -> NodeStatus:
    patient = given.ward[node.name]
    incident = planner.incidents.get(node.name)
    explanation = given.explanations.get(node.name)
    port = patient.vitals.probes.get("port")
    last, booted = patient.vitals.last_beat, patient.vitals.boot_heard_at
    return NodeStatus(
        node.name,
        str(node.role),
        node.groups,
        node.port,
        node.protected,
        _state(patient, incident, explanation.kinds if explanation else frozenset(), given.now),
        patient.verdict,
        None if last is None else given.now - last,
        patient.vitals.boot_id,
        patient.vitals.uptime_s,
        tuple(
            ConditionStatus(c.kind, c.status, given.now - c.since, c.reason)
            for c in sorted(patient.conditions.values(), key=lambda c: c.kind)
        ),
        explanation.root if explanation else None,
        incident.id if incident else None,
        str(patient.signs.power),
        port.value if port else None,
        str(patient.signs.link),
        tuple(evidence(node.port, patient.vitals, patient.signs, patient.verdict, given.now)),
        None if booted is None else given.now - booted,
        _last_power(node, given),
    )


def _last_power(node: Node, given: Situation) -> PowerAct | None:
    acts = [past for past in given.past if past.node == node.name and past.switched_power]
    last = max(acts, key=lambda past: past.at, default=None)
    return PowerAct(last.treatment, last.result, given.now - last.at) if last else None


def _state(
    patient: Patient, incident: Incident | None, explained: frozenset[str], now: float
) -> NodeState:
    true = patient.true_kinds
    if incident and incident.under_treatment:
        return NodeState.TREATING
    if patient.verdict is Verdict.UNPOWERED and patient.signs.power is Power.DISABLED:
        return NodeState.OFF
    if true - explained or incident:
        return NodeState.SICK
    if true:
        return NodeState.EXPLAINED
    vitals = patient.vitals
    if patient.signs.beats is Beats.AWAITED or vitals.last_beat is None:
        return NodeState.UNKNOWN
    late = now - vitals.last_beat > _LATE_BEATS * vitals.interval_s
    if late or patient.verdict is not Verdict.ALIVE:
        return NodeState.LATE
    return NodeState.HEALTHY


def _incident(incident: Incident, given: Situation, planner: Planner) -> IncidentStatus:
    held = tuple(
        HeldStatus(rail, text, given.now - since) for rail, (text, since) in incident.held.items()
    )
    return IncidentStatus(
        incident.id,
        incident.node,
        incident.runbook,
        incident.title,
        incident.state,
        given.now - incident.opened_at,
        given.now - incident.state_since,
        _doing(incident, given, planner),
        incident.symptoms,
        incident.explains,
        held,
        incident.acknowledged_by,
    )


def _doing(incident: Incident, given: Situation, planner: Planner) -> str:
    """Say what is being done, or what it waits for."""
    runbook = planner.runbooks[incident.runbook]
    step = runbook.steps[min(incident.step, len(runbook.steps) - 1)]
    act = f"{phrase(step.treatment)} {max(incident.attempt, 1)}/{step.times}"
    for_s = f"({given.now - incident.state_since:.0f} s)"
    match incident.state:
        case IncidentState.TREATING:
            return f"{act}, under way {for_s}"
        case IncidentState.VERIFYING:
            why = f": {incident.reason}" if incident.reason else ""
            return f"{act}, verifying {for_s}{why}"
        case IncidentState.ESCALATED:
            return f"a person is needed: {incident.reason}"
        case IncidentState.RECOVERED:
            return incident.reason
        case IncidentState.OPEN:
            pass
    if incident.held:
        rail, (text, _) = next(iter(incident.held.items()))
        return f"{phrase(step.treatment)} held back by {rail}: {text}"
    patient = given.ward[incident.node]
    kinds = frozenset(incident.symptoms) & patient.true_kinds
    wait = max(runbook.hold_s - given.held_for(incident.node, runbook, kinds), 0.0)
    if incident.retry_at:
        wait = max(wait, incident.retry_at - given.now)
    return f"{phrase(step.treatment)} in {wait:.0f} s if it holds"


def _overrides(given: Situation) -> Iterator[OverrideStatus]:
    for o in given.overrides:
        remaining = None if o.until is None else o.until - given.now
        yield OverrideStatus(o.id, o.kind, o.scope, o.author, o.reason, remaining)


def _fence_path(given: Situation) -> FenceStatus | None:
    switch = given.ward[SWITCH]
    if (checked := switch.vitals.probes.get("fence_path")) is None:
        return None
    ok = _NOT[switch.status("fence_path_broken")]
    good_at = switch.vitals.fence_ok_at
    good = None if good_at is None else given.now - good_at
    return FenceStatus(ok, checked.detail, given.now - checked.at, good)


def _reachable(switch: Patient) -> Truth:
    return _NOT[switch.status("switch_unreachable")]
