"""The incident's life: open → treating → verifying → recovered, or escalated to a person.

One incident a node. Each `advance` moves every incident at most one step, by the table:

| state     | when                                             | then                          |
| --------- | ------------------------------------------------ | ----------------------------- |
| open      | symptoms provably gone                           | recovered (by itself)         |
| open      | held long enough, and no rail refuses            | treating: perform the step    |
| open      | ladder climbed, or its budget spent              | escalated, once               |
| treating  | actuator reports done, or can't know             | verifying                     |
| treating  | actuator reports failed                          | open: next attempt            |
| verifying | everything the step must prove holds and settles | recovered                     |
| verifying | deadline over                                    | open: next attempt or step    |
| escalated | symptoms provably gone                           | recovered                     |
"""

from collections.abc import Iterator, Sequence

from common.observations import Truth
from common.topology import Cluster, Node, Service
from supervisor.core.diagnosis import doubtful_upstream, is_cause
from supervisor.core.effects import Effect, NoteKind
from supervisor.core.events import ActionEnded, Result
from supervisor.core.incidents import Incident
from supervisor.core.orders import Orders
from supervisor.core.policy import Policy
from supervisor.core.proof import DEPENDENTS, cure_in_words, missing_proof
from supervisor.core.rails import Situation, describe
from supervisor.core.runbooks import Runbook, choose
from supervisor.core.status import IncidentState
from supervisor.core.story import escalated, listed, note, recovered, saved


class Planner:
    """Holds the open incidents and what was done for them."""

    def __init__(self, cluster: Cluster, runbooks: Sequence[Runbook], policy: Policy) -> None:
        self._cluster = cluster
        self._policy = policy
        by_priority = sorted(runbooks, key=lambda r: (r.priority, r.name))
        self.runbooks = {runbook.name: runbook for runbook in by_priority}
        self.incidents: dict[str, Incident] = {}  # by node
        self.orders = Orders(self.runbooks, policy)
        self.next_number = 1

    def breaking(self) -> dict[str, tuple[Service, ...]]:
        """Return, for each node with an open incident, the services its illness breaks."""
        return {node: incident.breaks for node, incident in self.incidents.items()}

    def given_up(self) -> frozenset[str]:
        """Return the nodes that were treated in vain, and a person was called."""
        return frozenset(
            node
            for node, incident in self.incidents.items()
            if incident.state is IncidentState.ESCALATED and self.orders.tried(incident)
        )

    def advance(self, given: Situation) -> Iterator[Effect]:
        """Open what must be opened, and move every incident on."""
        for node in self._cluster:
            if node.name in self.incidents:
                yield from self._step(self.incidents[node.name], node, given)
            else:
                yield from self._maybe_open(node, given)
        for node_name in [n for n, i in self.incidents.items() if not i.is_open]:
            del self.incidents[node_name]

    # --- opening ---------------------------------------------------------------------------

    def _maybe_open(self, node: Node, given: Situation) -> Iterator[Effect]:
        patient = given.ward[node.name]
        chosen = choose(self.runbooks.values(), node, patient, _explained(node, given))
        if not chosen or given.held_for(node.name, chosen[1]) < chosen[0].confirm_s:
            return
        runbook, kinds = chosen
        if doubtful_upstream(self._cluster, given.ward, node.name, kinds):
            return  # who could explain it hasn't been heard: there is time
        if given.thaw_left(node.name, kinds) > 0:
            return
        incident = Incident(
            f"inc-{self.next_number:04d}",
            node.name,
            runbook.name,
            runbook.title,
            tuple(sorted(kinds)),
            given.now,
            state_since=given.now,
        )
        self.next_number += 1
        self.incidents[node.name] = incident
        incident.breaks = tuple(s for s in Service if is_cause(patient, s))
        evidence = {kind: patient.conditions[kind].reason for kind in incident.symptoms}
        text = f"{describe(node.name, incident.symptoms)} ({runbook.title})"
        yield note(NoteKind.INCIDENT_OPENED, text, incident, evidence=evidence, foe=runbook.foe)
        yield saved(incident)

    # --- living ----------------------------------------------------------------------------

    def _step(self, incident: Incident, node: Node, given: Situation) -> Iterator[Effect]:
        yield from self._explains(incident, given)
        match incident.state:
            case IncidentState.OPEN:
                yield from self._open(incident, node, given)
            case IncidentState.TREATING:
                if incident.action_overdue_at and given.now > incident.action_overdue_at:
                    lost = ActionEnded(incident.action_id or "", Result.UNKNOWN, "no report came")
                    yield from self.orders.action_ended(incident, lost, given.now)
            case IncidentState.VERIFYING:
                yield from self._verify(incident, given)
            case IncidentState.ESCALATED:
                if self._gone(incident, given):
                    yield from recovered(incident, given.now, "well again after escalation")
            case IncidentState.RECOVERED:
                return

    def _explains(self, incident: Incident, given: Situation) -> Iterator[Effect]:
        """Note which nodes this illness explains, as the set grows."""
        explained = {n for n, e in given.explanations.items() if e.root == incident.node}
        new = explained - set(incident.explains)
        if not new:
            return
        incident.explains = tuple(n for n in self._cluster.nodes if n in {*incident.explains, *new})
        count = len(incident.explains)
        text = f"{count} node{'s' if count > 1 else ''} explained by {incident.node}: {listed(new)}"
        yield note(NoteKind.EXPLAINED, text, incident, nodes=sorted(incident.explains))
        yield saved(incident)

    def _open(self, incident: Incident, node: Node, given: Situation) -> Iterator[Effect]:
        if self._gone(incident, given):
            yield from recovered(incident, given.now, "well again by itself")
            return
        if root := _absorbed_by(incident, given):
            yield from recovered(incident, given.now, f"not its own illness: explained by {root}")
            return
        yield from self._rediagnose(incident, node, given)
        patient, runbook = given.ward[node.name], self.runbooks[incident.runbook]
        kinds = frozenset(incident.symptoms) & patient.true_kinds
        if not kinds or given.held_for(node.name, kinds) < runbook.hold_s:
            return
        if incident.retry_at and given.now < incident.retry_at:
            return
        step = self.orders.rung(incident, runbook, given)
        if step is None:
            yield from escalated(incident, given.now, "every treatment of its ladder was tried")
            return
        yield from self.orders.propose(incident, node, runbook, step, given)

    def _rediagnose(self, incident: Incident, node: Node, given: Situation) -> Iterator[Effect]:
        """Follow the evidence: more symptoms, or another runbook before anything was tried."""
        patient = given.ward[node.name]
        chosen = choose(self.runbooks.values(), node, patient, _explained(node, given))
        if not chosen:
            return
        runbook, kinds = chosen
        changed = set(kinds) - set(incident.symptoms)
        if runbook.name != incident.runbook and not incident.actions:
            incident.runbook, incident.title = runbook.name, runbook.title
            incident.symptoms, incident.step, incident.attempt = (), 0, 0
            changed = set(kinds)
        if changed:
            incident.symptoms = tuple(sorted({*incident.symptoms, *kinds}))
            incident.breaks = tuple(
                s for s in Service if s in incident.breaks or is_cause(patient, s)
            )
            yield saved(incident)

    # --- what came of it -------------------------------------------------------------------

    def action_ended(self, ended: ActionEnded, now: float) -> Iterator[Effect]:
        """Take in an actuator's report, if it is on an incident's action."""
        for incident in self.incidents.values():
            if incident.action_id == ended.action_id:
                yield from self.orders.action_ended(incident, ended, now)

    def _verify(self, incident: Incident, given: Situation) -> Iterator[Effect]:
        runbook = self.runbooks[incident.runbook]
        step = runbook.steps[min(incident.step, len(runbook.steps) - 1)]  # the file may be new
        missing = missing_proof(incident, step, given)
        own = [what for what in missing if what != DEPENDENTS]
        incident.own_well_since = None if own else (incident.own_well_since or given.now)
        incident.well_since = None if missing else (incident.well_since or given.now)
        incident.reason = "" if not missing else f"waiting for {', '.join(missing)}"
        if incident.well_since is not None:
            if given.now - incident.well_since >= step.verify.settle_s:
                yield from recovered(incident, given.now, cure_in_words(incident, step))
            return
        if incident.own_well_since is not None:
            if given.now - incident.own_well_since >= self._policy.dependents_s:
                yield from recovered(incident, given.now, "well, but not all its dependents are")
            return
        if given.now - incident.state_since >= step.verify.deadline_s:
            unproven = f"not proven within {step.verify.deadline_s:.0f} s: {', '.join(missing)}"
            yield note(NoteKind.VERIFYING, f"{incident.node}: {unproven}", incident)
            incident.enter(IncidentState.OPEN, given.now, unproven)
            yield saved(incident)

    def _gone(self, incident: Incident, given: Situation) -> bool:
        """Tell whether all its symptoms have been provably false for a while."""
        patient, now = given.ward[incident.node], given.now
        conditions = [patient.conditions.get(kind) for kind in incident.symptoms]
        return all(
            c is not None and c.status is Truth.FALSE and now - c.since >= self._policy.clear_s
            for c in conditions
        )


def _explained(node: Node, given: Situation) -> frozenset[str]:
    explanation = given.explanations.get(node.name)
    return explanation.kinds if explanation else frozenset()


def _absorbed_by(incident: Incident, given: Situation) -> str | None:
    """Return the node whose own incident turned out to explain all of this one's symptoms."""
    explanation = given.explanations.get(incident.node)
    true = frozenset(incident.symptoms) & given.ward[incident.node].true_kinds
    patients = {other.node for other in given.incidents}
    if explanation and explanation.root in patients and true and true <= explanation.kinds:
        return explanation.root
    return None
