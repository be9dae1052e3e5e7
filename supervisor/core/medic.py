"""The medic: `handle(event, now) -> list[Effect]`, and `status(now)` for whoever looks.

Every event takes the same way: into the ward (conditions), through diagnosis (explanations),
to the planner (incidents, rails, actions). Nothing here knows a clock or the world.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import assert_never

from common.observations import Truth
from common.topology import Cluster
from supervisor.core import left_off
from supervisor.core.clients import Witnesses
from supervisor.core.conditions import SWITCH, Change, Ward, phrase, take_reports
from supervisor.core.diagnosis import SILENT, Explanation, explain
from supervisor.core.effects import (
    Action,
    Effect,
    Forget,
    Kept,
    Note,
    NoteKind,
    Save,
    Treatment,
)
from supervisor.core.events import (
    NOTHING_HAPPENED,
    Acknowledged,
    ActionEnded,
    ActRequested,
    Beat,
    Disconnected,
    Event,
    Observed,
    Override,
    OverrideKind,
    OverrideLifted,
    OverrideSet,
    Result,
    Tick,
)
from supervisor.core.liveness import is_late
from supervisor.core.orders import ACTUATOR_GRACE_S
from supervisor.core.picture import draw
from supervisor.core.planner import Planner
from supervisor.core.policy import Policy
from supervisor.core.rails import Proposal, refusals
from supervisor.core.restoring import Restored, remember
from supervisor.core.runbooks import Runbook
from supervisor.core.situation import Situation
from supervisor.core.status import Status
from supervisor.core.tally import Tally
from supervisor.core.ways import choose_way

__all__ = ["Medic", "Restored"]

MANUAL_DEADLINE_S = 120.0


@dataclass(frozen=True, slots=True)
class _ByHand:
    """An action that a person ordered, and when its actuator's silence is given up."""

    action: Action
    overdue_at: float


class Medic:
    """One cluster's medic. Not thread-safe; feed it events in the order of their times."""

    def __init__(
        self,
        cluster: Cluster,
        runbooks: Sequence[Runbook],
        policy: Policy,
        now: float,
        restored: Restored | None = None,
    ) -> None:
        self._cluster = cluster
        self._policy = policy
        self._started_at = self._last_now = now
        self._doubt_until, self._doubt = now, ""
        self._ward = Ward(cluster, policy, now)
        self._witnesses = Witnesses(cluster)
        self._planner = Planner(cluster, runbooks, policy)
        self._manual: dict[str, _ByHand] = {}
        self._off_ends = left_off.Ends()
        self._explanations: Mapping[str, Explanation] = {}
        self._explained_at: dict[tuple[str, str], float] = {}
        self._sick: frozenset[str] = frozenset()
        self._tally = Tally()
        restored = restored or Restored()
        memory = remember(restored, cluster, self._planner.runbooks, now)
        self._planner.incidents, self._planner.next_number = (
            memory.incidents,
            restored.next_incident,
        )
        self._planner.orders.past = memory.past
        self._overrides = memory.overrides
        self._unsaid = memory.said

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take in one event at core time `now` (seconds; if it goes back, it stands still)."""
        now = max(now, self._last_now)
        unsaid, self._unsaid = self._unsaid, []
        effects = [*unsaid, *self._mind_the_gap(now), *self._take_in(event, now)]
        self._tally.count(effects)
        return effects

    def status(self, now: float) -> Status:
        """Draw the picture as of the last event, with ages as of `now`."""
        return draw(self._situation(now), self._planner, self._tally)

    def is_uneasy(self, now: float) -> bool:
        """Tell whether it is worth looking closely: somebody fell silent lately, or is treated."""
        if self._manual or any(i.under_treatment for i in self._planner.incidents.values()):
            return True
        vitals = (self._ward[name].vitals for name in self._cluster.nodes)
        return any(is_late(one, now, self._policy) for one in vitals)

    def knows_boot(self, node: str) -> str | None:
        """Return the boot id of a node's latest beat."""
        return self._ward[node].vitals.boot_id

    # --- events ----------------------------------------------------------------------------

    def _take_in(self, event: Event, now: float) -> Iterator[Effect]:
        match event:
            case Beat():
                if self._beat(event, now):
                    yield from self._conclude(now, [event.node])
            case Disconnected(node):
                self._ward[node].vitals.disconnected_at = now
            case Observed(observations):
                for observation in observations:
                    self._ward.observe(observation, now)
            case ActionEnded():
                yield from self._action_ended(event, now)
            case OverrideSet(override):
                yield from self._override_set(override)
            case OverrideLifted(override_id, author):
                yield from self._lifted(override_id, author, now)
            case ActRequested():
                yield from self._requested(event, now)
            case Acknowledged(incident_id, author):
                yield from self._acknowledged(incident_id, author)
            case Tick():
                yield from self._tick(now)
            case _:
                assert_never(event)

    def _tick(self, now: float) -> Iterator[Effect]:
        yield from self._expire(now)
        for observation in self._witnesses.heard(self._ward):
            self._ward.observe(observation, now)
        yield from self._conclude(now, None)

    def _beat(self, beat: Beat, now: float) -> bool:
        """Take in a heartbeat; tell whether it says anything new."""
        patient = self._ward[beat.node]
        was_lost = patient.status("heartbeat_lost") is not Truth.FALSE
        new_boot = patient.vitals.boot_id != beat.boot_id
        patient.vitals.beat(now, beat.boot_id, beat.uptime_s, beat.interval_s)
        return take_reports(patient, beat.observations) or was_lost or new_boot

    def _conclude(self, now: float, nodes: Iterable[str] | None) -> Iterator[Effect]:
        """Conditions, diagnosis, plan: the way every piece of news takes."""
        for change in self._ward.refresh(now, nodes):
            if note := _change_note(change):
                yield note
            if note := _alarm(change):
                yield note
        self._explanations = explain(self._cluster, self._ward, self._planner.breaking())
        for node, explanation in self._explanations.items():
            if explanation.root in self._planner.incidents:
                self._explained_at.update({(node, kind): now for kind in explanation.kinds})
        self._sick = frozenset(self._unexplained()) - self._planner.given_up()
        yield from self._planner.advance(self._situation(now))

    def _unexplained(self) -> Iterator[str]:
        """Yield the silent nodes. One that gives its ssh banner isn't: our way to it is fine."""
        for node in self._cluster.nodes:
            explanation, true = self._explanations.get(node), self._ward[node].true_kinds
            kinds = true - (explanation.kinds if explanation else set())
            if kinds & SILENT and "agent_down" not in true:
                yield node

    def _situation(self, now: float) -> Situation:
        treated = {i.node for i in self._planner.incidents.values() if i.state == "treating"}
        return Situation(
            now,
            self._started_at,
            self._doubt_until,
            self._doubt if now < self._doubt_until else "",
            self._cluster,
            self._ward,
            self._policy,
            self._explanations,
            tuple(self._overrides.values()),
            tuple(self._planner.incidents.values()),
            self._planner.orders.past,
            self._explained_at,
            self._sick,
            self._planner.given_up(),
            frozenset(treated | {one.action.node for one in self._manual.values()}),
        )

    # --- self-doubt ------------------------------------------------------------------------

    def _mind_the_gap(self, now: float) -> Iterator[Effect]:
        """If we slept, nobody else is to blame for the silence: forgive, and doubt ourselves."""
        nap, self._last_now = now - self._last_now, now
        if nap <= self._policy.nap_s:
            return
        self._ward.forgive(nap)
        self._doubt_until = now + self._policy.doubt_s
        self._doubt = f"the supervisor itself stood still for {nap:.1f} s"
        yield Note(NoteKind.SELF_DOUBT, f"{self._doubt}; nobody is blamed for it", None, None)

    # --- people ----------------------------------------------------------------------------

    def _override_set(self, override: Override, how: str = "") -> Iterator[Effect]:
        self._overrides[override.id] = override
        yield Save(Kept.OVERRIDE, override.id, asdict(override))
        how = how or ("for ever" if override.until is None else "for a time")
        text = f"{override.kind} of {override.scope} by {override.author} {how}: {override.reason}"
        yield Note(NoteKind.OVERRIDE, text, None, None, {"override": override.id})

    def _lifted(self, override_id: str, author: str, now: float) -> Iterator[Effect]:
        override = self._overrides.get(override_id)
        if override and override.kind is OverrideKind.OFF:  # in force until the port is on
            yield from self._override_set(left_off.lifted(override, now), f"lifted by {author}")
        else:
            yield from self._override_lifted(override_id, f"lifted by {author}")

    def _override_lifted(self, override_id: str, why: str) -> Iterator[Effect]:
        if lifted := self._overrides.pop(override_id, None):
            yield Forget(Kept.OVERRIDE, override_id)
            text = f"{lifted.kind} of {lifted.scope} {why}"
            yield Note(NoteKind.OVERRIDE, text, None, None, {"override": override_id})

    def _expire(self, now: float) -> Iterator[Effect]:
        over = [o for o in self._overrides.values() if o.until is not None and o.until <= now]
        for override in over:
            if override.kind is not OverrideKind.OFF:
                yield from self._override_lifted(override.id, "ran out")
        acting_on = self._situation(now).acting_on if over else frozenset[str]()
        for action in self._off_ends.due(self._overrides, acting_on, now):
            yield from self._order_by_hand(action, now)
        yield from self._planner.orders.past.outdated(now)
        for action_id in [key for key, one in self._manual.items() if one.overdue_at < now]:
            lost = ActionEnded(action_id, Result.UNKNOWN, "no report came")
            yield from self._action_ended(lost, now)

    def _requested(self, asked: ActRequested, now: float) -> Iterator[Effect]:
        """Treat by hand: through the rails that bind people, then like any other action."""
        node, treatment = self._cluster.nodes[asked.node], Treatment(asked.treatment)
        want = Proposal(node, treatment, allow_protected=asked.allow_protected, skip=asked.skip)
        said = f"{phrase(treatment)} of {node.name} by hand ({asked.author}: {asked.reason})"
        data = {"request": asked.request_id, "treatment": str(treatment)}
        if found := refusals(want, self._situation(now)):
            for refusal in found:
                text = f"{said} refused by {refusal.rail}: {refusal.text}"
                detail = {**data, "rail": str(refusal.rail)}
                yield Note(NoteKind.REFUSED, text, node.name, None, detail)
            return
        action = Action(
            f"hand-{asked.request_id}",
            node.name,
            treatment,
            MANUAL_DEADLINE_S,
            dict(asked.arguments),
            requested_by=f"{asked.author} ({asked.reason})",
            allow_protected=asked.allow_protected,
            skip=asked.skip,
            via=choose_way(treatment.ways, self._ward[node.name], attempts=0),
        )
        if treatment is Treatment.POWER_OFF:
            yield from self._override_set(left_off.begun(asked))
        yield from self._order_by_hand(action, now)

    def _order_by_hand(self, action: Action, now: float) -> Iterator[Effect]:
        self._manual[action.id] = _ByHand(action, now + action.deadline_s + ACTUATOR_GRACE_S)
        yield from self._planner.orders.order(action, now, phrase(action.treatment))

    def _action_ended(self, ended: ActionEnded, now: float) -> Iterator[Effect]:
        if by_hand := self._manual.pop(ended.action_id, None):
            action = by_hand.action
            text = f"{phrase(action.treatment)} of {action.node}: {ended.result}: {ended.detail}"
            data = {
                "action": action.id,
                "result": str(ended.result),
                "treatment": str(action.treatment),
            }
            yield Note(NoteKind.ACTION_FINISHED, text, action.node, None, data)
            for done in list(left_off.over(action, ended.result, self._overrides)):
                yield from self._override_lifted(done.id, f"is over: {ended.detail}")
        else:
            yield from self._planner.action_ended(ended, now)
        if ended.result in NOTHING_HAPPENED:
            yield from self._planner.orders.past.never_happened(ended.action_id)
        else:
            yield from self._planner.orders.past.ended(ended.action_id, str(ended.result))

    def _acknowledged(self, incident_id: str, author: str) -> Iterator[Effect]:
        for incident in self._planner.incidents.values():
            if incident.id == incident_id:
                incident.acknowledged_by = author
                yield Save(Kept.INCIDENT, incident.id, incident.record())
                text = f"{incident_id} acknowledged by {author}"
                yield Note(NoteKind.OVERRIDE, text, incident.node, incident_id)


def _alarm(change: Change) -> Note | None:
    """Call a person when power acts can't be relied upon, before any is needed; say when over."""
    condition = change.condition
    if change.node != SWITCH or condition.kind != "fence_path_broken":
        return None
    if condition.status is Truth.TRUE:
        text = f"power can't be relied upon: a person is needed: {condition.reason}"
        return Note(NoteKind.ESCALATED, text, None, None, {"condition": condition.kind})
    if condition.status is Truth.FALSE and change.before is Truth.TRUE:
        text = f"power can be relied upon again: {condition.reason}"
        return Note(NoteKind.RECOVERED, text, None, None, {"condition": condition.kind})
    return None


def _change_note(change: Change) -> Note | None:
    """Tell the timeline of a condition that became true, or stopped being so."""
    condition, true = change.condition, Truth.TRUE
    if condition.status is not true and change.before is not true:
        return None
    node = None if change.node == SWITCH else change.node
    said = phrase(condition.kind)
    verb = {Truth.TRUE: "", Truth.FALSE: "no longer ", Truth.UNKNOWN: "no longer known: "}
    text = f"{change.node}: {verb[condition.status]}{said} ({condition.reason})"
    data = {"condition": condition.kind, "status": str(condition.status)}
    return Note(NoteKind.CONDITION, text, node, None, data)
