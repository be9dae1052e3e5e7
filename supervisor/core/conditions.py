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
    Power,
    Signs,
    Ssh,
    Verdict,
    Vitals,
    judge,
    read_signs,
)
from supervisor.core.policy import Policy

FORGET_S = 900.0
SWITCH = "switch"  # the switch is watched like a node of this name

# Verdict -> the condition that says so.
_VERDICT_KINDS = {
    Verdict.AGENT_DOWN: "agent_down",
    Verdict.HUNG: "hung",
    Verdict.UNPOWERED: "unpowered",
    Verdict.UNREACHABLE: "unreachable",
}
_SSH_REFUSALS = {Ssh.RESET: "resets before its banner", Ssh.REFUSED: "refuses connections"}

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


@dataclass(slots=True)
class Patient:
    """All that is known of one node."""

    vitals: Vitals = field(default_factory=Vitals)
    signs: Signs = field(default_factory=lambda: Signs(Beats.AWAITED))
    verdict: Verdict = Verdict.UNKNOWN
    reports: tuple[Observation, ...] = ()
    conditions: dict[str, Condition] = field(default_factory=dict)
    true_kinds: frozenset[str] = frozenset()
    """The conditions that are true; kept up to date by the ward."""

    def status(self, kind: str) -> Truth:
        """Return what is held of `kind`; unknown when nobody ever said."""
        known = self.conditions.get(kind)
        return known.status if known else Truth.UNKNOWN


class Ward:
    """Every node's vitals and conditions."""

    def __init__(self, cluster: Cluster, policy: Policy, started_at: float) -> None:
        self._policy = policy
        self._started_at = started_at
        self.patients = {name: Patient() for name in (*cluster.nodes, SWITCH)}

    def __getitem__(self, node: str) -> Patient:
        return self.patients[node]

    def observe(self, observation: Observation, now: float) -> None:
        """Take in one probe's observation."""
        if patient := self.patients.get(observation.node):
            patient.vitals.probed(
                observation.kind,
                observation.outcome,
                now - observation.age,
                observation.detail,
                observation.value,
            )

    def refresh(self, now: float, nodes: Iterable[str] | None = None) -> list[Change]:
        """Bring the conditions of `nodes` (default: all) up to `now`; return what changed."""
        changes: list[Change] = []
        for name in self.patients if nodes is None else nodes:
            patient = self.patients[name]
            if name != SWITCH:
                patient.signs = read_signs(patient.vitals, now, self._started_at, self._policy)
                patient.verdict = judge(patient.signs)
            changes += self._settle(name, patient, now)
        return changes

    def _settle(self, name: str, patient: Patient, now: float) -> list[Change]:
        changes: list[Change] = []
        readings = dict(self._readings(name, patient, now))
        for kind in patient.conditions.keys() - readings.keys():
            if _forgettable(patient.conditions[kind], now):
                del patient.conditions[kind]
            else:
                readings[kind] = Reading(Truth.UNKNOWN, "no fresh evidence")
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
        yield "heartbeat_lost", _heartbeat(patient, now)
        for verdict, kind in _VERDICT_KINDS.items():
            yield kind, _of_verdict(patient, verdict)
        yield "ssh_refused", self._ssh(patient)
        disabled = patient.signs.power is Power.DISABLED
        yield "port_disabled", Reading(_truth(disabled), "the switch says its port is disabled")
        yield from self._reported(patient, now)

    def _ssh(self, patient: Patient) -> Reading:
        ssh = patient.signs.ssh
        evidence = patient.vitals.probes.get("ssh_banner")
        if ssh is Ssh.BANNER:
            return Reading(Truth.FALSE, "gave its banner")
        if evidence and ssh in _SSH_REFUSALS and evidence.streak >= self._policy.confirmations:
            return Reading(Truth.TRUE, f"ssh {_SSH_REFUSALS[ssh]} ({evidence.streak} times)")
        return Reading(Truth.UNKNOWN, f"ssh: {ssh}")

    def _reported(self, patient: Patient, now: float) -> Iterator[tuple[str, Reading]]:
        """Join the agent's reports by kind: true if any subject is, false only if all are."""
        last = patient.vitals.last_beat
        if last is None or now - last > self._policy.evidence_ttl_s:
            return
        for kind in {report.kind for report in patient.reports}:
            yield kind, _joined([r for r in patient.reports if r.kind == kind])

    def _switch_readings(self, patient: Patient, now: float) -> Iterator[tuple[str, Reading]]:
        evidence = patient.vitals.probes.get("switch_unreachable")
        if evidence and now - evidence.at <= self._policy.evidence_ttl_s:
            yield "switch_unreachable", Reading(Truth(evidence.outcome), evidence.detail)


def _forgettable(condition: Condition, now: float) -> bool:
    """A kind nobody has spoken of for long: agents choose the names, so they must not pile up."""
    return condition.status is Truth.UNKNOWN and now - condition.since > FORGET_S


def take_reports(patient: Patient, observations: tuple[Observation, ...]) -> bool:
    """Replace the agent's reports; tell whether they say something else than before."""
    said = {(o.kind, o.subject, o.outcome) for o in observations}
    before = {(o.kind, o.subject, o.outcome) for o in patient.reports}
    patient.reports = tuple(o for o in observations if o.sense is Sense.AGENT)
    return said != before


def _joined(reports: list[Observation]) -> Reading:
    for status in (Truth.TRUE, Truth.UNKNOWN):
        if said := [r for r in reports if r.outcome == status]:
            return Reading(status, _sentence(said), tuple(r.subject for r in said if r.subject))
    return Reading(Truth.FALSE, _sentence(reports))


def _sentence(reports: list[Observation]) -> str:
    parts = [": ".join(part for part in (r.subject, r.detail) if part) for r in reports]
    return "; ".join(part for part in parts[:4] if part)


def _heartbeat(patient: Patient, now: float) -> Reading:
    last = patient.vitals.last_beat
    match patient.signs.beats:
        case Beats.FRESH:
            return Reading(Truth.FALSE, "beats arrive")
        case Beats.AWAITED:
            return Reading(Truth.UNKNOWN, "never heard yet")
        case Beats.LOST:
            said = "never heard" if last is None else f"silent for {now - last:.0f} s"
            return Reading(Truth.TRUE, said)


def _of_verdict(patient: Patient, verdict: Verdict) -> Reading:
    signs, evidence = patient.signs, patient.vitals.probes.get("ssh_banner")
    if patient.verdict is verdict and evidence and evidence.streak < 2:  # noqa: PLR2004 - one look is none
        return Reading(Truth.UNKNOWN, "seen once; looking again")
    if patient.verdict is Verdict.UNKNOWN:
        return Reading(Truth.UNKNOWN, "not enough evidence")
    seen = f"beats {signs.beats}, ssh {signs.ssh}, kernel {signs.kernel}, power {signs.power}"
    return Reading(_truth(patient.verdict is verdict), seen)


def _truth(value: bool) -> Truth:  # noqa: FBT001 - a conversion has one argument
    return Truth.TRUE if value else Truth.FALSE
