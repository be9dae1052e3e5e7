"""What is done for an incident: the next rung, through the rails, ordered, and its report."""

from collections.abc import Iterator, Mapping

from common.topology import Node
from supervisor.core.effects import Action, Effect, Note, NoteKind, Perform, Treatment
from supervisor.core.events import ActionEnded, Result
from supervisor.core.incidents import Incident
from supervisor.core.ledger import Ledger, PastAction
from supervisor.core.policy import Policy
from supervisor.core.proof import proof_in_words
from supervisor.core.rails import ENDS_IN_ESCALATION, Proposal, Refusal, refusals
from supervisor.core.runbooks import Runbook, Step
from supervisor.core.situation import Situation
from supervisor.core.status import IncidentState
from supervisor.core.story import given_up, note, said, saved
from supervisor.core.ways import BY, choose_way

ACTUATOR_GRACE_S = 30.0  # past its own deadline, an actuator that says nothing is given up


class Orders:
    """Climbs ladders, rung by rung. Holds the ledger of what was ordered."""

    def __init__(self, runbooks: Mapping[str, Runbook], policy: Policy) -> None:
        self._runbooks = runbooks
        self._policy = policy
        self.past = Ledger()

    def rungs_left(self, incident: Incident, runbook: Runbook) -> list[int]:
        """Return the rungs, by number, that may still be tried; empty: the ladder is climbed."""
        numbers = range(incident.step, len(runbook.steps))
        return [number for number in numbers if not self._spent(incident, runbook, number)]

    def _spent(self, incident: Incident, runbook: Runbook, number: int) -> bool:
        """What another runbook gave for the same incident counts here too."""
        step = runbook.steps[number]
        ladder = runbook.steps[: number + 1]
        allowed = sum(s.times for s in ladder if s.treatment is step.treatment)
        given = sum(past.treatment == step.treatment for past in self._given(incident))
        attempts = incident.attempt if number == incident.step else 0
        return attempts >= step.times or given >= allowed

    def tried(self, incident: Incident) -> bool:
        """Tell whether anything was really done for it."""
        return any(self._given(incident))

    def cut_power(self, incident: Incident) -> bool:
        """Tell whether its node's port was switched for it."""
        return any(Treatment(past.treatment).cuts_power for past in self._given(incident))

    def _given(self, incident: Incident) -> Iterator[PastAction]:
        return (past for past in self.past if past.id.startswith(f"{incident.id}."))

    def propose(
        self, incident: Incident, node: Node, runbook: Runbook, number: int, given: Situation
    ) -> Iterator[Effect]:
        """Perform a rung, unless a rail holds it back."""
        step = runbook.steps[number]
        want = Proposal(node, step.treatment, incident, runbook, ways=step.ways)
        found = refusals(want, given)
        yield from self._held(incident, found, step, given.now)
        if spent := next((r for r in found if r.rail in ENDS_IN_ESCALATION), None):
            yield from given_up(incident, given, spent.text)
        elif not found:
            if number != incident.step:
                incident.step, incident.attempt = number, 0
            yield from self._perform(incident, node, runbook, step, given)

    def _held(
        self, incident: Incident, found: list[Refusal], step: Step, now: float
    ) -> Iterator[Effect]:
        """Say once for each rail that it holds the treatment back; keep the latest reason."""
        for refusal in found:
            if refusal.rail not in incident.held:
                text = (
                    f"{said(step)} of {incident.node} held back by {refusal.rail}: {refusal.text}"
                )
                yield note(NoteKind.REFUSED, text, incident, rail=str(refusal.rail))
        incident.held = {
            str(r.rail): (r.text, incident.held.get(r.rail, ("", now))[1]) for r in found
        }

    def _perform(
        self, incident: Incident, node: Node, runbook: Runbook, step: Step, given: Situation
    ) -> Iterator[Effect]:
        patient = given.ward[node.name]
        way = choose_way(step.ways, patient, incident.attempt) or step.ways[0]
        incident.attempt, incident.actions = incident.attempt + 1, incident.actions + 1
        incident.action_id = f"{incident.id}.{incident.actions}"
        incident.action_at, incident.retry_at = given.now, None
        incident.action_overdue_at = given.now + step.deadline_s + ACTUATOR_GRACE_S
        incident.boot_before = patient.vitals.boot_id
        incident.enter(IncidentState.TREATING, given.now)
        action = Action(
            incident.action_id,
            node.name,
            step.treatment,
            step.deadline_s,
            dict(step.arguments),
            incident.id,
            runbook.name,
            via=way,
        )
        yield saved(incident)
        by = f" {BY[way]}" if len(step.ways) > 1 else ""
        text = f"{said(step)}{by} {incident.attempt}/{step.times}"
        yield from self.order(action, given.now, text)

    def order(self, action: Action, now: float, said: str) -> Iterator[Effect]:
        """Remember an action for budgets and cool-downs, durably, then have it performed."""
        yield self.past.ordered(action, now)
        yield Note(
            NoteKind.ACTION_STARTED,
            f"{said} of {action.node} ordered by {action.requested_by}",
            action.node,
            action.incident,
            {
                "action": action.id,
                "treatment": str(action.treatment),
                "via": str(action.actuator),
            },
        )
        yield Perform(action)

    # --- what came of it -------------------------------------------------------------------

    def action_ended(self, incident: Incident, ended: ActionEnded, now: float) -> Iterator[Effect]:
        """Take in an actuator's report on an incident's action; one that comes late is ignored."""
        if incident.state is not IncidentState.TREATING:
            return
        runbook = self._runbooks[incident.runbook]
        step = runbook.steps[min(incident.step, len(runbook.steps) - 1)]
        text = f"{said(step)} of {incident.node}: {ended.result}"
        yield note(
            NoteKind.ACTION_FINISHED,
            f"{text}: {ended.detail}" if ended.detail else text,
            incident,
            action=ended.action_id,
            result=str(ended.result),
            treatment=str(step.treatment),
        )
        match ended.result:
            case Result.SUCCEEDED | Result.UNKNOWN:
                incident.idle_since = None
                incident.enter(IncidentState.VERIFYING, now)
                proof = proof_in_words(step)
                yield note(NoteKind.VERIFYING, f"{incident.node}: waiting for {proof}", incident)
            case Result.REFUSED if len(step.ways) > 1 and incident.attempt < step.times:
                incident.enter(IncidentState.OPEN, now, ended.detail)  # somebody else may do it
            case Result.REFUSED if incident.step < len(runbook.steps) - 1:
                incident.step, incident.attempt = incident.step + 1, 0  # the next rung may do
                incident.enter(IncidentState.OPEN, now, ended.detail)
            case Result.NOT_SENT | Result.REFUSED:
                incident.attempt -= 1
                incident.enter(IncidentState.OPEN, now, ended.detail)
                incident.retry_at = now + self._policy.retry_s
            case Result.FAILED:
                incident.idle_since = None
                incident.enter(IncidentState.OPEN, now, ended.detail)
                incident.retry_at = now + self._policy.retry_s
        yield saved(incident)
