"""The situation at one instant: everything that rules may look at, and questions asked of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from common.topology import Cluster
from supervisor.core.conditions import NEVER, Ward
from supervisor.core.diagnosis import Explanation
from supervisor.core.events import Override, OverrideKind
from supervisor.core.incidents import Incident
from supervisor.core.ledger import Ledger
from supervisor.core.liveness import is_dark
from supervisor.core.policy import Policy
from supervisor.core.runbooks import Runbook


@dataclass(frozen=True, slots=True)
class Situation:
    """Times are core time, in seconds. The incidents and the ledger are live."""

    now: float
    started_at: float
    doubt_until: float
    doubt: str
    cluster: Cluster
    ward: Ward
    policy: Policy
    explanations: Mapping[str, Explanation]
    overrides: Sequence[Override]
    incidents: Sequence[Incident]
    past: Ledger  # live: what was ordered a moment ago counts
    explained_at: Mapping[tuple[str, str], float]
    """(node, kind) -> when an open incident of another node last explained it."""
    sick: frozenset[str]  # silent nodes that nobody explains, but for those given up
    given_up: frozenset[str]  # nodes that were treated in vain, and a person was called
    acting_on: frozenset[str]  # nodes with an action under way, by anybody

    def covering(self, node: str, runbook: str | None) -> Iterator[Override]:
        """Yield the overrides that forbid automatic actions on `node` by `runbook`."""
        groups = self.cluster.nodes[node].groups
        return (held for held in self.overrides if held.covers(node, groups, runbook))

    def maintained(self, node: str, runbook: str) -> bool:
        """Tell whether somebody works on it, and needs no alarm."""
        nobody_to_call = {OverrideKind.MAINTENANCE, OverrideKind.OFF}
        return any(o.kind in nobody_to_call for o in self.covering(node, runbook))

    def booting(self) -> frozenset[str]:
        """Return the nodes that got power lately and haven't sent a beat of their new boot."""
        since = self.now - self.policy.boot_grace_s
        given = {p.node: p.at for p in self.past if p.gave_power and p.at > since}
        heard = {node: self.ward[node].vitals.boot_heard_at or NEVER for node in given}
        return frozenset(node for node, at in given.items() if heard[node] < at)

    def held_for(self, node: str, runbook: Runbook, kinds: frozenset[str]) -> float:
        """Return for how long, in seconds, `kinds` have called for a runbook on their own.

        That is: the oldest of its `any_of`, but none of its `all_of` and no absence
        of its `none_of` for less.
        """
        age = {kind: self._own_for(node, kind) for kind in kinds}
        oldest = max((age[kind] for kind in kinds & set(runbook.any_of)), default=0.0)
        absent = [self._false_for(node, kind) for kind in runbook.none_of]
        return min([oldest, *(age[kind] for kind in kinds & set(runbook.all_of)), *absent])

    def _false_for(self, node: str, kind: str) -> float:
        """A port that was switched on a moment ago begins a new story."""
        known = self.ward[node].conditions.get(kind)
        return self.now - known.since if known else self.now - self.started_at

    def _own_for(self, node: str, kind: str) -> float:
        since = self.ward[node].conditions[kind].since
        return self.now - max(since, self.explained_at.get((node, kind), NEVER))

    def booting_left(self, node: str) -> float:
        """Return for how long, in seconds, a node that answers again may still be booting.

        One that is dark now isn't: for it the runbook's hold time is the patience.
        """
        patient = self.ward[node]
        if patient.dark_at is None or is_dark(patient.signs):
            return 0.0
        return patient.dark_at + self.policy.boot_grace_s - self.now

    def thaw_left(self, node: str, kinds: frozenset[str]) -> float:
        """Return for how long, in seconds, what others inflicted on a node may still linger."""
        ends = (self.explained_at.get((node, kind), NEVER) for kind in kinds)
        return max(ends, default=NEVER) + self.policy.boot_grace_s - self.now
