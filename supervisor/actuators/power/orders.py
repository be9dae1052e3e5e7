"""What one may ask of the power service, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from common.topology import Cluster

Kind = Literal["cycle", "off", "on"]


@dataclass(frozen=True, slots=True)
class Outlet:
    """Where a node is plugged in. From the inventory, never from the request."""

    port: int
    mac: str
    protected: bool = False


def outlets_of(cluster: Cluster) -> dict[str, Outlet]:
    """Return every node's outlet."""
    return {node.name: Outlet(node.port, node.mac, node.protected) for node in cluster}


@dataclass(frozen=True, slots=True)
class PowerRequest:
    """One order. `off_s` (seconds) concerns a cycle alone; None means the setting's default.

    `action_id` makes it at-most-once: while an earlier attempt of the same action may have had
    an effect, it is refused. Empty for an order by hand.
    `allow_protected` and `skip_cool_down` are a person's explicit word, and never a runbook's.
    """

    node: str
    requested_by: str
    action_id: str = ""
    off_s: float | None = None
    allow_protected: bool = False
    skip_cool_down: bool = False


class Verdict(StrEnum):
    """What may be claimed of an order; never more than was observed."""

    VERIFIED = "verified"  # seen: off and on again; or in the ordered state
    SENT_UNVERIFIED = "sent_unverified"  # the switch took it; nobody saw its effect
    UNKNOWN = "unknown"  # it may or may not have happened; reconciliation goes on
    REFUSED = "refused"  # by us or by the switch; nothing was done
    FAILED = "failed"  # it never reached the switch; trying again is safe


@dataclass(frozen=True, slots=True)
class PortChange:
    """A port that nobody asked for, and which differs before and after."""

    port: int
    before: str
    after: str
    restored: bool | None = None  # only of a port that went off: whether it is on again


@dataclass(frozen=True, slots=True)
class Phase:
    """One step of an operation, `at_s` seconds after it began."""

    name: str
    at_s: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PowerOutcome:
    """What came of an order. `settled` is whether the port's end state was proven.

    `retry_in_s` is set for a refusal that only time heals: nothing was done, and after so many
    seconds the same order may be given again.
    """

    op_id: str
    kind: Kind
    node: str
    port: int | None
    verdict: Verdict
    detail: str
    settled: bool
    other_ports: tuple[PortChange, ...] = ()
    phases: tuple[Phase, ...] = ()
    retry_in_s: float | None = None


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What reconciliation did about one unfinished intent; `story` is for the timeline."""

    op_id: str
    action_id: str
    node: str
    port: int
    story: str


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """One round. `pending` operations still wait; `problem` says why, if the switch is mute."""

    closed: tuple[Reconciled, ...] = ()
    switched_on: tuple[int, ...] = ()
    pending: int = 0
    problem: str = ""


Outlets = Mapping[str, Outlet]
