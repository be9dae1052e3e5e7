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
from supervisor.core.conditions import phrase
from supervisor.core.diagnosis import Explanation, is_cause
from supervisor.core.effects import Action, Effect, Kept, Note, NoteKind, Perform, Save
from supervisor.core.events import ActionEnded, Result
from supervisor.core.incidents import Incident, PastAction
from supervisor.core.policy import Policy
from supervisor.core.proof import DEPENDENTS, cure_in_words, missing_proof, proof_in_words
from supervisor.core.rails import (
    ENDS_IN_ESCALATION,
    Proposal,
    Refusal,
    Situation,
    describe,
    refusals,
)
from supervisor.core.runbooks import Runbook, Step, choose, held_for
from supervisor.core.status import IncidentState

ACTUATOR_GRACE_S = 30.0  # past its own deadline, an actuator that says nothing is given up


class Planner:
    """Holds the open incidents and what was done for them."""

    def __init__(self, cluster: Cluster, runbooks: Sequence[Runbook], policy: Policy) -> None:
        self._cluster = cluster
        self._policy = policy
        self.runbooks = {runbook.name: runbook for runbook in runbooks}
        self.incidents: dict[str, Incident] = {}  # by node
        self.past: list[PastAction] = []
        self.next_number = 1

    def breaking(self) -> dict[str, tuple[Service, ...]]:
        """Return, for each node with an open incident, the services its illness breaks."""
        return {node: incident.breaks for node, incident in self.incidents.items()}

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
        if not chosen or held_for(patient, chosen[1], given.now) < chosen[0].confirm_s:
            return
        runbook, kinds = chosen
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
        evidence = {kind: patient.conditions[kind].reason for kind in kinds}
        text = f"{describe(node.name, incident.symptoms)} ({runbook.title})"
        yield _note(NoteKind.INCIDENT_OPENED, text, incident, evidence=evidence, foe=runbook.foe)
        yield _saved(incident)

    # --- living ----------------------------------------------------------------------------

    def _step(self, incident: Incident, node: Node, given: Situation) -> Iterator[Effect]:
        yield from self._explains(incident, given)
        match incident.state:
            case IncidentState.OPEN:
                yield from self._open(incident, node, given)
            case IncidentState.TREATING:
                if incident.action_overdue_at and given.now > incident.action_overdue_at:
                    lost = ActionEnded(incident.action_id or "", Result.UNKNOWN, "no report came")
                    yield from self.action_ended(lost, given.now)
            case IncidentState.VERIFYING:
                yield from self._verify(incident, given)
            case IncidentState.ESCALATED:
                if self._gone(incident, given):
                    yield from _recovered(incident, given.now, "well again after escalation")
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
        text = f"{count} node{'s' if count > 1 else ''} explained by {incident.node}: {_list(new)}"
        yield _note(NoteKind.EXPLAINED, text, incident, nodes=sorted(incident.explains))
        yield _saved(incident)

    def _open(self, incident: Incident, node: Node, given: Situation) -> Iterator[Effect]:
        if self._gone(incident, given):
            yield from _recovered(incident, given.now, "well again by itself")
            return
        if root := _absorbed_by(incident, given):
            yield from _recovered(incident, given.now, f"not its own illness: explained by {root}")
            return
        yield from self._rediagnose(incident, node, given)
        patient, runbook = given.ward[node.name], self.runbooks[incident.runbook]
        kinds = frozenset(incident.symptoms) & patient.true_kinds
        if not kinds or held_for(patient, kinds, given.now) < runbook.hold_s:
            return
        if incident.retry_at and given.now < incident.retry_at:
            return
        step = self._rung(incident, runbook, given)
        if step is None:
            yield from _escalated(incident, given.now, "every treatment of its ladder was tried")
            return
        yield from self._propose(incident, node, runbook, step, given)

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
            yield _saved(incident)

    def _rung(self, incident: Incident, runbook: Runbook, given: Situation) -> Step | None:
        """Return the rung to try next, climbing past those that are spent or don't apply."""
        patient = given.ward[incident.node]
        while incident.step < len(runbook.steps):
            step = runbook.steps[incident.step]
            if step.applies(patient) and incident.attempt < step.times:
                return step
            incident.step, incident.attempt = incident.step + 1, 0
        return None

    def _propose(
        self, incident: Incident, node: Node, runbook: Runbook, step: Step, given: Situation
    ) -> Iterator[Effect]:
        found = refusals(Proposal(node, step.treatment, incident, runbook), given)
        yield from self._held(incident, found, step, given.now)
        if spent := next((r for r in found if r.rail in ENDS_IN_ESCALATION), None):
            yield from _escalated(incident, given.now, spent.text)
        elif not found:
            yield from self._perform(incident, node, runbook, step, given)

    def _held(
        self, incident: Incident, found: list[Refusal], step: Step, now: float
    ) -> Iterator[Effect]:
        """Say once for each rail that it holds the treatment back; keep the latest reason."""
        for refusal in found:
            if refusal.rail not in incident.held:
                text = (
                    f"{_said(step)} of {incident.node} held back by {refusal.rail}: {refusal.text}"
                )
                yield _note(NoteKind.REFUSED, text, incident, rail=str(refusal.rail))
        incident.held = {
            str(r.rail): (r.text, incident.held.get(r.rail, ("", now))[1]) for r in found
        }

    def _perform(
        self, incident: Incident, node: Node, runbook: Runbook, step: Step, given: Situation
    ) -> Iterator[Effect]:
        incident.attempt, incident.actions = incident.attempt + 1, incident.actions + 1
        incident.action_id = f"{incident.id}.{incident.actions}"
        incident.action_at, incident.retry_at = given.now, None
        incident.action_overdue_at = given.now + step.deadline_s + ACTUATOR_GRACE_S
        incident.boot_before = given.ward[node.name].vitals.boot_id
        incident.enter(IncidentState.TREATING, given.now)
        action = Action(
            incident.action_id,
            node.name,
            step.treatment,
            step.deadline_s,
            dict(step.arguments),
            incident.id,
            runbook.name,
        )
        yield _saved(incident)
        yield from self.order(action, given.now, f"{_said(step)} {incident.attempt}/{step.times}")

    def order(self, action: Action, now: float, said: str) -> Iterator[Effect]:
        """Remember an action for budgets and cool-downs, durably, then have it performed."""
        past = PastAction(
            action.id,
            action.node,
            str(action.treatment),
            action.runbook,
            action.treatment.takes_node_down,
            now,
        )
        self.past.append(past)
        yield Save(Kept.ACTION, past.id, past.record())
        yield Note(
            NoteKind.ACTION_STARTED,
            f"{said} of {action.node} ordered by {action.requested_by}",
            action.node,
            action.incident,
            {"action": action.id, "treatment": str(action.treatment)},
        )
        yield Perform(action)

    # --- what came of it -------------------------------------------------------------------

    def action_ended(self, ended: ActionEnded, now: float) -> Iterator[Effect]:
        """Take in an actuator's report on an incident's action."""
        incident = next(
            (i for i in self.incidents.values() if i.action_id == ended.action_id), None
        )
        if incident is None or incident.state is not IncidentState.TREATING:
            return
        runbook = self.runbooks[incident.runbook]
        step = runbook.steps[min(incident.step, len(runbook.steps) - 1)]
        text = f"{_said(step)} of {incident.node}: {ended.result}"
        yield _note(
            NoteKind.ACTION_FINISHED,
            f"{text}: {ended.detail}" if ended.detail else text,
            incident,
            action=ended.action_id,
            result=str(ended.result),
            treatment=str(step.treatment),
        )
        match ended.result:
            case Result.SUCCEEDED | Result.UNKNOWN:
                incident.enter(IncidentState.VERIFYING, now)
                proof = proof_in_words(step)
                yield _note(NoteKind.VERIFYING, f"{incident.node}: waiting for {proof}", incident)
            case Result.NOT_SENT:
                incident.attempt -= 1
                incident.enter(IncidentState.OPEN, now, ended.detail)
                incident.retry_at = now + self._policy.retry_s
                self.past = [p for p in self.past if p.id != ended.action_id]
            case Result.FAILED | Result.REFUSED:
                incident.enter(IncidentState.OPEN, now, ended.detail)
                incident.retry_at = now + self._policy.retry_s
        yield _saved(incident)

    def _verify(self, incident: Incident, given: Situation) -> Iterator[Effect]:
        step = self.runbooks[incident.runbook].steps[incident.step]
        missing = missing_proof(incident, step, given)
        own = [what for what in missing if what != DEPENDENTS]
        incident.own_well_since = None if own else (incident.own_well_since or given.now)
        incident.well_since = None if missing else (incident.well_since or given.now)
        incident.reason = "" if not missing else f"waiting for {', '.join(missing)}"
        if incident.well_since is not None:
            if given.now - incident.well_since >= step.verify.settle_s:
                yield from _recovered(incident, given.now, cure_in_words(incident, step))
            return
        if incident.own_well_since is not None:
            if given.now - incident.own_well_since >= self._policy.dependents_s:
                yield from _recovered(incident, given.now, "well, but not all its dependents are")
            return
        if given.now - incident.state_since >= step.verify.deadline_s:
            unproven = f"not proven within {step.verify.deadline_s:.0f} s: {', '.join(missing)}"
            yield _note(NoteKind.VERIFYING, f"{incident.node}: {unproven}", incident)
            incident.enter(IncidentState.OPEN, given.now, unproven)
            yield _saved(incident)

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
    """Return the node that turned out to explain all of this incident's symptoms."""
    explanation: Explanation | None = given.explanations.get(incident.node)
    true = frozenset(incident.symptoms) & given.ward[incident.node].true_kinds
    if explanation and true and true <= explanation.kinds:
        return explanation.root
    return None


def _recovered(incident: Incident, now: float, why: str) -> Iterator[Effect]:
    incident.enter(IncidentState.RECOVERED, now, why)
    took = now - incident.opened_at
    text = f"{incident.node}: {why}"
    yield _note(
        NoteKind.RECOVERED, text, incident, seconds=round(took, 3), actions=incident.actions
    )
    yield _saved(incident)


def _escalated(incident: Incident, now: float, why: str) -> Iterator[Effect]:
    incident.enter(IncidentState.ESCALATED, now, why)
    text = f"{describe(incident.node, incident.symptoms)}: a person is needed: {why}"
    yield _note(NoteKind.ESCALATED, text, incident)
    yield _saved(incident)


def _note(kind: NoteKind, text: str, incident: Incident, **data: object) -> Note:
    return Note(kind, text, incident.node, incident.id, data)


def _saved(incident: Incident) -> Save:
    return Save(Kept.INCIDENT, incident.id, incident.record())


def _said(step: Step) -> str:
    arguments = " ".join(step.arguments.values())
    return f"{phrase(step.treatment)}{' ' + arguments if arguments else ''}"


def _list(names: set[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:6]) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "")  # noqa: PLR2004 - fits a line
