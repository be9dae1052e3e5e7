"""What comes into the core: everything the world can tell it, each with the time it was told."""

from dataclasses import dataclass, field
from enum import StrEnum

from common.observations import Observation


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat whose signature, session and sequence were found good."""

    node: str
    boot_id: str
    uptime_s: float
    interval_s: float
    observations: tuple[Observation, ...] = ()


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The persistent connection of a node's agent was closed."""

    node: str


@dataclass(frozen=True, slots=True)
class Observed:
    """The supervisor's own senses looked."""

    observations: tuple[Observation, ...]


class Result(StrEnum):
    """What an actuator can say of an action. Whether it *helped* is for verification to find."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"
    NOT_SENT = "not_sent"  # nothing happened: trying again is safe and costs no budget
    UNKNOWN = "unknown"


NOTHING_HAPPENED = frozenset({Result.REFUSED, Result.NOT_SENT})
"""These cost no budget and start no cool-down."""


@dataclass(frozen=True, slots=True)
class ActionEnded:
    """An actuator reports."""

    action_id: str
    result: Result
    detail: str = ""


class OverrideKind(StrEnum):
    """What a person may decree."""

    PAUSE = "pause"  # no automatic action
    MAINTENANCE = "maintenance"  # somebody works on it: no action, no alarm
    OFF = "off"  # a node's port is switched off; the end of it switches the port on


@dataclass(frozen=True, slots=True)
class Override:
    """A person's word, above the runbooks. `until` is in core time; None is for ever.

    `scope` is `all`, `group:NAME`, `node:NAME` or `runbook:NAME`.
    """

    id: str
    kind: OverrideKind
    scope: str
    author: str
    reason: str
    until: float | None

    def covers(self, node: str, groups: tuple[str, ...], runbook: str | None) -> bool:
        """Tell whether an action on `node` by `runbook` lies in the scope."""
        what, _, name = self.scope.partition(":")
        match what:
            case "all":
                return True
            case "group":
                return name in groups
            case "node":
                return name == node
            case "runbook":
                return name == runbook
            case _:
                return True  # a scope nobody understands is taken at its widest


@dataclass(frozen=True, slots=True)
class OverrideSet:
    """A person set (or replaced) an override."""

    override: Override


@dataclass(frozen=True, slots=True)
class OverrideLifted:
    """A person lifted an override before its end."""

    override_id: str
    author: str


@dataclass(frozen=True, slots=True)
class ActRequested:
    """A person asks for a treatment by hand. It passes the rails, but for those named in `skip`.

    `until` (core time; None is for ever) is when a port that is switched off comes on again.
    """

    request_id: str
    node: str
    treatment: str
    author: str
    reason: str
    arguments: dict[str, str] = field(default_factory=dict)
    allow_protected: bool = False
    skip: frozenset[str] = frozenset()
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A person has seen an incident."""

    incident_id: str
    author: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Only time has passed."""


Event = (
    Beat
    | Disconnected
    | Observed
    | ActionEnded
    | OverrideSet
    | OverrideLifted
    | ActRequested
    | Acknowledged
    | Tick
)
