"""What is held true of each node: three-valued, with its reason, and since when.

Rules
- An agent's report stands while its beats are fresh; then it becomes *unknown*, never false.
- The supervisor's own probes must agree `confirmations` times in a row to make something true,
  and once to clear it.
- Liveness conditions follow the verdict of `liveness.judge`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from common.observations import Observation, Sense, Truth
from common.topology import Cluster
from supervisor.core.liveness import (
    Beats,
    Clients,
    Evidence,
    FencePath,
    Signs,
    Ssh,
    Verdict,
    Vitals,
    is_dark,
    judge,
    read_signs,
    seen_since,
    understood,
)
from supervisor.core.policy import Policy
from supervisor.core.port_words import port_line
from supervisor.core.ports import WITHOUT_POWER, Address, Link, Power

FORGET_S = 900.0
NEVER = float("-inf")
SWITCH = "switch"  # the switch is watched like a node of this name

# Condition -> the verdicts that it says.
_VERDICT_KINDS: Mapping[str, frozenset[Verdict]] = {
    "agent_down": frozenset({Verdict.AGENT_DOWN}),
    "hung": frozenset({Verdict.HUNG}),
    "unpowered": frozenset({Verdict.UNPOWERED, Verdict.UNDETECTED}),
    "unreachable": frozenset({Verdict.UNREACHABLE}),
    "boot_loop": frozenset({Verdict.BOOT_LOOP}),
}
OURS_TO_SAY = frozenset(
    {*_VERDICT_KINDS, "heartbeat_lost", "ssh_refused", "port_disabled", "port_mismatch"}
    | {"clients_stalled"}
) - {"boot_loop"}
"""Drawn from our own senses: a node that speaks can't say that it is silent.
It can tell how often it booted lately, and then it is believed."""
_SSH_REFUSALS: Mapping[str, str] = {
    Ssh.RESET: "resets before its banner",
    Ssh.REFUSED: "refuses connections",
}

PHRASES: Mapping[str, str] = {
    "root_read_only": "root read-only",
    "ssh_refused": "ssh refused",
    "heartbeat_lost": "heartbeat lost",
    "agent_down": "agent down",
    "clock_skewed": "clock wrong",
    "clock_unsynced": "clock not synchronised",
    "unit_failed": "unit failed",
    "name_unresolvable": "own name unresolvable",
    "port_disabled": "port switched off",
    "port_mismatch": "behind another port",
    "clients_stalled": "most of its clients stalled",
    "fence_path_broken": "way to a power act broken",
}


def phrase(kind: str) -> str:
    """Return the condition's name as people say it."""
    return PHRASES.get(kind, kind.replace("_", " "))


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of one node. `subjects` are what it is true of: mounts, units."""

    kind: str
    status: Truth
    since: float
    reason: str
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """A condition that changed its status."""

    node: str
    before: Truth | None
    condition: Condition


@dataclass(frozen=True, slots=True)
class Reading:
    """What the evidence says of one condition right now."""

    status: Truth
    reason: str
    subjects: tuple[str, ...] = ()


_NOTHING_FRESH = Reading(Truth.UNKNOWN, "no fresh evidence")


@dataclass(slots=True)
class Patient:
    """All that is known of one node."""

    vitals: Vitals = field(default_factory=Vitals)
    signs: Signs = field(default_factory=lambda: Signs(Beats.AWAITED))
    verdict: Verdict = Verdict.UNKNOWN
    reports: tuple[Observation, ...] = ()
    steady_until: float = NEVER
    """Until then nothing about it changes unless something new is seen."""
    drawn_from: tuple[object, ...] = ()
    """The evidence that the conditions were last drawn from; unchanged, so are they."""
    conditions: dict[str, Condition] = field(default_factory=dict)
    dark_at: float | None = None
    """When it last left the dark: silent at every sense, or without power."""
    true_kinds: frozenset[str] = frozenset()
    """The conditions that are true; kept up to date by the ward."""

    def status(self, kind: str) -> Truth:
        """Return what is held of `kind`; unknown when nobody ever said."""
        known = self.conditions.get(kind)
        return known.status if known else Truth.UNKNOWN

    def truth(self, kind: str, subjects: frozenset[str]) -> Truth:
        """Return what is held of `kind` as far as `subjects` go; none given: of anything.

        A unit that failed says nothing about another.
        """
        known = self.conditions.get(kind)
        if known is None:
            return Truth.UNKNOWN
        others = known.subjects and subjects and subjects.isdisjoint(known.subjects)
        return Truth.FALSE if known.status is Truth.TRUE and others else known.status


class Ward:
    """Every node's vitals and conditions."""

    def __init__(self, cluster: Cluster, policy: Policy, started_at: float) -> None:
        self._policy = policy
        self._started_at = started_at
        self._ports = {node.name: node.port for node in cluster}
        self._ttl_s = {
            "address": policy.address_ttl_s,
            "fence_path": policy.fence_ttl_s,
            "clients": policy.evidence_ttl_s,
        }
        self.patients = {name: Patient() for name in (*cluster.nodes, SWITCH)}

    def __getitem__(self, node: str) -> Patient:
        return self.patients[node]

    def observe(self, observation: Observation, now: float) -> None:
        """Take in one probe's observation."""
        patient = self.patients.get(observation.node)
        if patient and understood(observation.kind, observation.outcome):
            if not self._said_again(patient, observation, now):
                patient.steady_until = NEVER
            patient.vitals.probed(
                observation.kind,
                observation.outcome,
                now - observation.age,
                observation.detail,
                observation.value,
            )

    def _said_again(self, patient: Patient, observation: Observation, now: float) -> bool:
        known = patient.vitals.probes.get(observation.kind)
        return (
            known is not None
            and known.outcome == observation.outcome
            and known.streak >= self._policy.confirmations
            and known.detail == observation.detail
            and now - known.at <= self._ttl(observation.kind)
        )

    def _ttl(self, kind: str) -> float:
        return self._ttl_s.get(kind, self._policy.evidence_ttl_s)

    def _fresh(self, patient: Patient, kind: str, now: float) -> Evidence | None:
        seen = patient.vitals.probes.get(kind)
        return seen if seen and now - seen.at <= self._ttl(kind) else None

    def forgive(self, nap: float) -> None:
        """We slept for `nap` seconds: nobody is to blame for what we didn't hear meanwhile."""
        for patient in self.patients.values():
            patient.vitals.forgive(nap)
            patient.steady_until = NEVER

    def refresh(self, now: float, nodes: Iterable[str] | None = None) -> list[Change]:
        """Bring the conditions of `nodes` (default: all) up to `now`; return what changed."""
        changes: list[Change] = []
        for name in self.patients if nodes is None else nodes:
            patient = self.patients[name]
            if nodes is None and now <= patient.steady_until:
                continue
            if name != SWITCH:
                signs = read_signs(patient.vitals, now, self._started_at, self._policy)
                if signs != patient.signs:
                    if is_dark(patient.signs):
                        patient.dark_at = now
                    patient.signs, patient.verdict = signs, judge(signs)
            evidence = self._evidence(patient, now)
            if evidence != patient.drawn_from:
                patient.drawn_from = evidence
                changes += self._settle(name, patient, now)
            patient.steady_until = self._steady_until(patient)
        return changes

    def _steady_until(self, patient: Patient) -> float:
        """Return until when a speaking node needs no look, unless something new is seen."""
        vitals, policy = patient.vitals, self._policy
        if patient.signs.beats is not Beats.FRESH or vitals.last_beat is None:
            return NEVER
        if (port := vitals.probes.get("port")) and port.outcome in WITHOUT_POWER:
            return NEVER  # the next beat that is due decides
        least = vitals.last_beat + policy.min_patience_beats * vitals.interval_s
        ends = (seen.at + self._ttl(kind) for kind, seen in vitals.probes.items())
        return min([least, *ends])

    def _evidence(self, patient: Patient, now: float) -> tuple[object, ...]:
        """Return all that conditions are drawn from, to see whether anything is new."""
        probes = patient.vitals.probes
        ssh, port = probes.get("ssh_banner"), probes.get("port")
        switch = probes.get("switch_unreachable")
        return (
            patient.signs,
            self._ssh_word(patient, now),
            self._confirmed(ssh),
            port and port.outcome,
            self._reports_stand(patient, now) and patient.reports,
            switch and (switch.outcome, now - switch.at <= self._policy.evidence_ttl_s),
            *(self._told(patient, kind, now) for kind in self._ttl_s),
        )

    def _told(self, patient: Patient, kind: str, now: float) -> tuple[object, ...] | None:
        seen = self._fresh(patient, kind, now)
        return (seen.outcome, seen.detail, self._confirmed(seen)) if seen else None

    def _reports_stand(self, patient: Patient, now: float) -> bool:
        last = patient.vitals.last_beat
        return last is not None and now - last <= self._policy.evidence_ttl_s

    def _settle(self, name: str, patient: Patient, now: float) -> list[Change]:
        changes: list[Change] = []
        readings = dict(self._readings(name, patient, now))
        for kind, condition in list(patient.conditions.items()):
            if kind not in readings and _forgettable(condition, now):
                del patient.conditions[kind]
            else:
                readings.setdefault(kind, _NOTHING_FRESH)
        for kind, reading in readings.items():
            known = patient.conditions.get(kind)
            changed = known is None or known.status is not reading.status
            since = now if known is None or changed else known.since
            condition = Condition(kind, reading.status, since, reading.reason, reading.subjects)
            patient.conditions[kind] = condition
            if changed:
                changes.append(Change(name, known.status if known else None, condition))
        if changes:
            true = (k for k, c in patient.conditions.items() if c.status is Truth.TRUE)
            patient.true_kinds = frozenset(true)
        return changes

    def _readings(self, name: str, patient: Patient, now: float) -> Iterator[tuple[str, Reading]]:
        if name == SWITCH:
            yield from self._switch_readings(patient, now)
            return
        yield "heartbeat_lost", _heartbeat(patient)
        for kind, verdicts in _VERDICT_KINDS.items():
            yield kind, self._of_verdict(name, verdicts, now)
        yield "ssh_refused", self._ssh(patient, now)
        yield "port_disabled", _port_disabled(patient)
        if address := self._fresh(patient, "address", now):
            yield "port_mismatch", self._confirmable(address, Address.ELSEWHERE)
        if clients := self._fresh(patient, "clients", now):
            yield "clients_stalled", self._confirmable(clients, Clients.STALLED)
        yield from self._reported(patient, now)

    def _ssh(self, patient: Patient, now: float) -> Reading:
        """What the door says, whether or not beats arrive."""
        ssh = self._ssh_word(patient, now)
        if ssh == Ssh.BANNER:
            return Reading(Truth.FALSE, "gave its banner")
        if (
            ssh
            and ssh in _SSH_REFUSALS
            and self._confirmed(patient.vitals.probes.get("ssh_banner"))
        ):
            return Reading(Truth.TRUE, f"ssh {_SSH_REFUSALS[ssh]}, time after time")
        return Reading(Truth.UNKNOWN, f"ssh: {ssh or Ssh.UNKNOWN}")

    def _ssh_word(self, patient: Patient, now: float) -> str | None:
        return seen_since(patient.vitals, "ssh_banner", now - self._policy.evidence_ttl_s)

    def _of_verdict(self, name: str, verdicts: frozenset[Verdict], now: float) -> Reading:
        patient = self.patients[name]
        verdict = patient.verdict
        if verdict is Verdict.UNKNOWN:
            return Reading(Truth.UNKNOWN, "not enough evidence")
        if verdict in verdicts and not self._sure(patient):
            return Reading(Truth.UNKNOWN, "seen once; looking again")
        if verdict is Verdict.ALIVE:
            return Reading(Truth.FALSE, "beats arrive")
        if verdict not in verdicts:
            return Reading(Truth.FALSE, f"it is {phrase(verdict)}")
        seen = port_line(self._ports[name], patient.vitals, patient.signs, verdict, now)
        return Reading(Truth.TRUE, seen)

    def _sure(self, patient: Patient) -> bool:
        """Tell whether one look is enough: a port without power and link is two witnesses."""
        match patient.verdict:
            case Verdict.UNPOWERED | Verdict.UNDETECTED if patient.signs.link is Link.DOWN:
                return True
            case Verdict.BOOT_LOOP:
                return True
            case _:
                return self._confirmed(patient.vitals.probes.get("ssh_banner"))

    def _confirmed(self, evidence: Evidence | None) -> bool:
        return evidence is not None and evidence.streak >= self._policy.confirmations

    def _reported(self, patient: Patient, now: float) -> Iterator[tuple[str, Reading]]:
        """Join the agent's reports by kind: true if any subject is, false only if all are."""
        if not self._reports_stand(patient, now):
            return
        by_kind: dict[str, list[Observation]] = {}
        for report in patient.reports:
            by_kind.setdefault(report.kind, []).append(report)
        for kind, reports in by_kind.items():
            if kind not in OURS_TO_SAY:
                yield kind, _joined(reports)

    def _switch_readings(self, patient: Patient, now: float) -> Iterator[tuple[str, Reading]]:
        if away := self._fresh(patient, "switch_unreachable", now):
            yield "switch_unreachable", Reading(Truth(away.outcome), away.detail)
        if path := self._fresh(patient, "fence_path", now):
            yield "fence_path_broken", self._confirmable(path, FencePath.BROKEN)

    def _confirmable(self, seen: Evidence, bad: str) -> Reading:
        """Read a word that is believed at once when it is good, and at the second time when bad."""
        if seen.outcome != bad:
            return Reading(Truth.FALSE, seen.detail)
        if not self._confirmed(seen):
            return Reading(Truth.UNKNOWN, f"seen once, looking again: {seen.detail}")
        return Reading(Truth.TRUE, seen.detail)


def _forgettable(condition: Condition, now: float) -> bool:
    """A kind nobody has spoken of for long: agents choose the names, so they must not pile up."""
    return condition.status is Truth.UNKNOWN and now - condition.since > FORGET_S


def take_reports(patient: Patient, observations: tuple[Observation, ...]) -> bool:
    """Replace the agent's reports; tell whether they say something else than before."""
    said = tuple(o for o in observations if o.sense is Sense.AGENT)
    if said == patient.reports:
        return False
    before, patient.reports = patient.reports, said
    return {(o.kind, o.subject, o.outcome) for o in said} != {
        (o.kind, o.subject, o.outcome) for o in before
    }


def _joined(reports: list[Observation]) -> Reading:
    true = [r for r in reports if r.outcome == Truth.TRUE]
    unsure = [r for r in reports if r.outcome not in {Truth.TRUE, Truth.FALSE}]
    for status, said in ((Truth.TRUE, true), (Truth.UNKNOWN, unsure)):
        if said:
            return Reading(status, _sentence(said), tuple(r.subject for r in said if r.subject))
    return Reading(Truth.FALSE, _sentence(reports))


def _sentence(reports: list[Observation]) -> str:
    parts = [": ".join(part for part in (r.subject, r.detail) if part) for r in reports]
    return "; ".join(part for part in parts[:4] if part)


def _heartbeat(patient: Patient) -> Reading:
    last = patient.vitals.last_beat
    match patient.signs.beats:
        case Beats.FRESH:
            return Reading(Truth.FALSE, "beats arrive")
        case Beats.AWAITED:
            return Reading(Truth.UNKNOWN, "never heard yet")
        case Beats.LOST:
            return Reading(Truth.TRUE, "never heard" if last is None else "its beats stopped")


def _port_disabled(patient: Patient) -> Reading:
    """Only a person changes this, so the switch's last word stands, however old."""
    if (port := patient.vitals.probes.get("port")) is None or port.outcome == Power.UNKNOWN:
        return Reading(Truth.UNKNOWN, "the switch hasn't told")
    return Reading(
        _truth(port.outcome == Power.DISABLED), f"the switch says its port is {port.outcome}"
    )


def _truth(value: bool) -> Truth:  # noqa: FBT001 - a conversion has one argument
    return Truth.TRUE if value else Truth.FALSE
