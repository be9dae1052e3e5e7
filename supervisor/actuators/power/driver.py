"""What every kind of power switch must offer. One small interface; drivers stand beside it.

A driver speaks to one switch and keeps one connection. It knows nothing of nodes, budgets,
journals or protected ports: `supervisor.actuators.power.service` owns all of that.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol


class Phase(StrEnum):
    """How far a failed command got: decides whether trying again is safe."""

    NOT_SENT = "not_sent"  # the switch never saw it: safe to retry
    REJECTED = "rejected"  # the switch refused: don't retry
    UNKNOWN = "unknown"  # it may or may not have happened: look first


class Stage(StrEnum):
    """Where on the way to a port it failed, in the order in which a driver gets there."""

    CREDENTIALS = "credentials"  # the files that prove who we are can't be used
    REACH = "reach"  # nobody answers there
    IDENTITY = "identity"  # it answers, and isn't the switch that was pinned
    LOGIN = "login"  # it is, and doesn't let us in
    TOOL = "tool"  # it lets us in, and lacks what this driver drives
    TABLE = "table"  # it tells of its ports, and can't be understood
    COMMAND = "command"  # anything later, or anywhere


class PowerError(Exception):
    """The switch could not be spoken to, or did not do as asked. Its text is for people."""

    def __init__(
        self,
        phase: Phase,
        message: str,
        *,
        trips_breaker: bool = False,
        stage: Stage = Stage.COMMAND,
    ) -> None:
        super().__init__(message)
        self.phase = phase
        self.trips_breaker = trips_breaker  # authentication or host key: stop and alarm
        self.stage = stage


class Capability(StrEnum):
    """What not every driver can. What is missing, the service and the survey live without."""

    OFF_AND_ON = "off_and_on"  # `off` and `on` apart; without it, only whole cycles
    ATOMIC_CYCLE = "atomic_cycle"  # one command of the switch's own does a cycle
    ENDS_ITSELF = "ends_itself"  # a cycle that began ends with the port on whatever becomes of us
    DELIVERY = "delivery"  # tells whether power flows, beside what the port was told
    PER_PORT_WATTS = "per_port_watts"
    MAC_LOOKUP = "mac_lookup"


@dataclass(frozen=True, slots=True)
class PortState:
    """One port as the switch describes it. `observed_at` is in seconds of CLOCK_BOOTTIME."""

    port: int
    admin: Literal["auto", "off", "unknown"]
    delivering: bool | None
    watts: float | None
    pd_class: str | None
    observed_at: float
    raw: str
    link: bool | None = None
    """Whether its Ethernet link is up; None when the switch wasn't asked or doesn't say."""


class CycleOutcome(StrEnum):
    """What is known of a power cycle."""

    VERIFIED = "verified"  # the port was seen off, then on
    SENT_UNVERIFIED = "sent_unverified"  # the switch took the command; nobody saw the port off
    UNKNOWN = "unknown"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class CycleResult:
    """How a cycle went, with the states seen on the way."""

    outcome: CycleOutcome
    detail: str
    seen: tuple[PortState, ...] = ()


class PowerDriver(Protocol):
    """One switch. Every method has a deadline of its own and raises `PowerError`."""

    capabilities: frozenset[Capability]

    async def validate(self) -> None:
        """Prove that login, host key and output are as expected, changing nothing."""

    async def status(self) -> dict[int, PortState]:
        """Return every PoE port, by number."""

    async def off(self, port: int, *, op_id: str) -> None:
        """Switch `port` off, and only it."""

    async def on(self, port: int, *, op_id: str) -> None:
        """Switch `port` on (PoE auto), and only it."""

    async def cycle(self, port: int, *, off_s: float, op_id: str) -> CycleResult:
        """Switch `port` off and on again such that the switch finishes it without us."""

    async def aclose(self) -> None:
        """Close the connection."""
