"""The incident's life: open → treating → verifying → recovered, or escalated to a person.

One incident a node. Each `advance` moves every incident at most one step, by the table:

| state     | when                                             | then                          |
| --------- | ------------------------------------------------ | ----------------------------- |
| open      | symptoms provably gone, and no others            | recovered (by itself)         |
| open      | its port switched off by somebody                | recovered (closed)            |
| open      | an incident of another node explains it          | recovered (closed)            |
| open      | another runbook fits, and its own no longer      | open: that ladder instead     |
| open      | held long enough, and no rail refuses            | treating: perform the step    |
| open      | nothing could be done for `idle_s`               | escalated, and goes on trying |
| open      | ladder climbed, or its budget spent              | escalated: given up           |
| treating  | actuator reports done, or can't know             | verifying                     |
| treating  | actuator reports failed                          | open: next attempt            |
| treating  | actuator reports refused                         | open: next step, or again     |
| treating  | actuator reports not sent                        | open: again, at no cost       |
| verifying | everything the step must prove holds and settles | recovered                     |
| verifying | deadline over                                    | open: next attempt or step    |
| escalated | as open, unless given up                         | as open                       |
| escalated | given up, and become another illness             | recovered (closed)            |

A person is called once an incident; open again then means escalated again, without a word.
"""

from collections.abc import Iterator, Sequence

from common.topology import Cluster, Node, Service
from supervisor.core.diagnosis import doubtful_upstream, is_cause
from supervisor.core.effects import Effect, NoteKind
from supervisor.core.endings import Call, ending
from supervisor.core.events import ActionEnded, Result
from supervisor.core.incidents import Incident
from supervisor.core.orders import Orders
from supervisor.core.policy import Policy
from supervisor.core.proof import DEPENDENTS, cure_in_words, missing_proof
from supervisor.core.rails import describe
from supervisor.core.runbooks import Runbook, choose
from supervisor.core.situation import Situation
from supervisor.core.status import IncidentState
from supervisor.core.story import (
    given_up,
    listed,
    note,
    person_called,
    recovered,
    saved,
    skipped,
)
from supervisor.core.ways import open_ways


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
            if incident.given_up and self.orders.tried(incident)
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
        if not patient.true_kinds or not (called_for := self._called_for(node, given)):
            return
        runbook, kinds = called_for
        if given.held_for(node.name, runbook, kinds) < runbook.confirm_s:
            return
        if self._is_everywhere(runbook, given):
            return  # the conditions show; no single node is the patient
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
            subjects=tuple(sorted(runbook.subjects)),
        )
        self.next_number += 1
        self.incidents[node.name] = incident
        incident.breaks = tuple(s for s in Service if is_cause(patient, s))
        evidence = {kind: patient.conditions[kind].reason for kind in incident.symptoms}
        text = f"{describe(node.name, incident.symptoms)} ({runbook.title})"
        yield note(NoteKind.INCIDENT_OPENED, text, incident, evidence=evidence, foe=runbook.foe)
        yield saved(incident)

    def _is_everywhere(self, runbook: Runbook, given: Situation) -> bool:
        if runbook.at_most is None:
            return False
        patients = ((node, given.ward[node.name]) for node in self._cluster)
        ill = sum(bool(runbook.trigger(node, one, frozenset())) for node, one in patients)
        return ill > runbook.at_most

    # --- living ----------------------------------------------------------------------------

    def _step(self, incident: Incident, node: Node, given: Situation) -> Iterator[Effect]:
        yield from self._explains(incident, given)
        match incident.state:
            case IncidentState.OPEN | IncidentState.ESCALATED:
                yield from self._wait(incident, node, given)
            case IncidentState.TREATING:
                if incident.action_overdue_at and given.now > incident.action_overdue_at:
                    lost = ActionEnded(incident.action_id or "", Result.UNKNOWN, "no report came")
                    yield from self.orders.action_ended(incident, lost, given.now)
            case IncidentState.VERIFYING:
                yield from self._verify(incident, given)
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

    def _wait(self, incident: Incident, node: Node, given: Situation) -> Iterator[Effect]:
        """Follow the evidence, close what is over, and treat what may be treated."""
        called_for = self._called_for(node, given)
        if called_for and not incident.given_up:
            yield from self._rediagnose(incident, node, called_for, given)
        cut = self.orders.cut_power(incident)
        if why := ending(incident, called_for, given, power_cut=cut):
            yield from recovered(incident, given.now, why)
        elif not incident.given_up:
            yield from self._treat(incident, node, given)
            yield from self._mind_idleness(incident, given)

    def _called_for(self, node: Node, given: Situation) -> Call | None:
        explanation = given.explanations.get(node.name)
        explained = explanation.kinds if explanation else frozenset[str]()
        return choose(self.runbooks.values(), node, given.ward[node.name], explained)

    def _rediagnose(
        self,
        incident: Incident,
        node: Node,
        called_for: Call,
        given: Situation,
    ) -> Iterator[Effect]:
        """Take in more symptoms, or follow another runbook.

        Only before anything was tried, or when its own no longer fits.
        """
        (runbook, kinds), patient = called_for, given.ward[node.name]
        known = set(incident.symptoms)
        if runbook.name != incident.runbook:
            still = self.runbooks[incident.runbook].trigger(node, patient, frozenset())
            if still and incident.actions:
                return
            if given.held_for(node.name, runbook, kinds) < runbook.confirm_s:
                return
            incident.turn_to(runbook.name, runbook.title, runbook.subjects)
            known = set()
        if kinds <= known:
            return
        incident.symptoms = tuple(sorted(known | kinds))
        incident.breaks = tuple(s for s in Service if s in incident.breaks or is_cause(patient, s))
        yield saved(incident)

    def _treat(self, incident: Incident, node: Node, given: Situation) -> Iterator[Effect]:
        runbook = self.runbooks[incident.runbook]
        kinds = runbook.trigger(node, given.ward[node.name], frozenset())
        if not kinds or given.held_for(node.name, runbook, kinds) < runbook.hold_s:
            return
        if incident.retry_at is not None and given.now < incident.retry_at:
            return
        left = self.orders.rungs_left(incident, runbook)
        patient = given.ward[node.name]
        fit = [n for n in left if runbook.fits(runbook.steps[n], patient)]
        reachable = [n for n in fit if open_ways(runbook.steps[n].ways, patient)]
        if not left:
            yield from given_up(incident, given, "every treatment of its ladder was tried")
        elif fit:
            number = (reachable or fit)[0]
            yield from skipped(incident, runbook, [n for n in fit if n < number])
            yield from self.orders.propose(incident, node, runbook, number, given)

    def _mind_idleness(self, incident: Incident, given: Situation) -> Iterator[Effect]:
        """Call a person when nothing can be done for long, but go on trying."""
        forbidden = any(given.covering(incident.node, incident.runbook))
        if forbidden:
            incident.idle_since = None
        if forbidden or incident.called or incident.under_treatment:
            return  # an order may yet turn out never to have been sent
        if incident.idle_since is None:
            incident.idle_since = given.now
        if given.now - incident.idle_since >= self._policy.idle_s:
            held = "; ".join(f"{rail}: {text}" for rail, (text, _) in incident.held.items())
            why = held or incident.reason or "its symptoms come and go"
            minutes = f"{self._policy.idle_s / 60:.0f} min"
            yield from person_called(incident, given.now, f"nothing done for {minutes}: {why}")

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
