"""An incident: one root cause, from first evidence to proof of cure. Records, no rules."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from common.topology import Service
from supervisor.core.status import IncidentState

RESUME_GRACE_S = 60.0  # how long a restarted supervisor waits to hear of an action it had ordered


@dataclass(slots=True)
class Incident:
    """All that must be remembered of an incident, also over a restart. Times are core time."""

    id: str
    node: str
    runbook: str
    title: str
    symptoms: tuple[str, ...]
    opened_at: float
    state: IncidentState = IncidentState.OPEN
    state_since: float = 0.0
    subjects: tuple[str, ...] = ()
    """The units (or mounts) that it can be about; empty: any."""
    skipped: tuple[int, ...] = ()
    """Rungs that were passed over because nobody could have carried them out."""
    breaks: tuple[Service, ...] = ()
    """Services this illness takes from the node's dependents."""
    explains: tuple[str, ...] = ()
    """Nodes whose symptoms it has explained so far."""
    step: int = 0
    attempt: int = 0
    """Attempts of this step so far."""
    actions: int = 0
    """Actions ordered so far; numbers their ids."""
    action_id: str | None = None
    action_at: float | None = None
    action_overdue_at: float | None = None
    boot_before: str | None = None
    well_since: float | None = None
    own_well_since: float | None = None
    retry_at: float | None = None
    idle_since: float | None = None
    """Since when nothing could be done for it, though nobody forbade it."""
    called: bool = False
    """A person was called. Never twice for one incident."""
    given_up: bool = False
    """Nothing more will be tried."""
    reason: str = ""
    acknowledged_by: str | None = None
    held: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Rail -> (why, since): what keeps the next action back."""

    @property
    def is_open(self) -> bool:
        """Tell whether it still needs watching; an escalated one does."""
        return self.state is not IncidentState.RECOVERED

    @property
    def under_treatment(self) -> bool:
        """Tell whether an action runs or its effect is being verified."""
        return self.state in {IncidentState.TREATING, IncidentState.VERIFYING}

    def enter(self, state: IncidentState, now: float, reason: str = "") -> None:
        """Change state. Who was called stays called: open again means escalated."""
        if state is IncidentState.OPEN and self.called:
            state = IncidentState.ESCALATED
        self.state, self.state_since, self.reason = state, now, reason
        self.well_since = self.own_well_since = None

    def turn_to(self, runbook: str, title: str, subjects: Iterable[str]) -> None:
        """Follow another runbook from its first step; what its illness breaks is seen anew."""
        self.runbook, self.title, self.subjects = runbook, title, tuple(sorted(subjects))
        self.skipped = ()
        self.symptoms, self.breaks, self.step, self.attempt = (), (), 0, 0

    def resume(self, now: float) -> None:
        """Go on after a restart: nobody verified while we were away, so deadlines start anew."""
        if self.state is IncidentState.ESCALATED and not self.called:  # saved by an older version
            self.called = self.given_up = True
        if self.under_treatment:
            self.enter(self.state, now, self.reason)
            self.action_overdue_at = now + RESUME_GRACE_S

    def not_after(self, now: float) -> None:
        """Mend times that lie in the future: they would hold things up for as long."""
        self.opened_at = min(float(self.opened_at), now)
        self.state_since = min(float(self.state_since), now)
        self.action_at = None if self.action_at is None else min(float(self.action_at), now)
        self.retry_at = None if self.retry_at is None else min(float(self.retry_at), now)
        self.idle_since = None if self.idle_since is None else min(float(self.idle_since), now)
        self.held = {rail: (text, min(since, now)) for rail, (text, since) in self.held.items()}

    def record(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return asdict(self)

    @classmethod
    def restored(cls, record: Mapping[str, Any]) -> "Incident":
        """Rebuild it from `record()`, after a trip through JSON."""
        known = dict(record)
        known["state"] = IncidentState(known["state"])
        known["breaks"] = tuple(Service(s) for s in known["breaks"])
        for key in {"symptoms", "explains", "subjects", "skipped"} & known.keys():
            known[key] = tuple(known[key])
        known["held"] = {rail: (text, since) for rail, (text, since) in known["held"].items()}
        return cls(**known)
