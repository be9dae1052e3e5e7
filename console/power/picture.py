"""What `GET /v1/ports` says, as the commands use it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.fleet.members import Member
from common.fleet.progress import Limits


@dataclass(frozen=True, slots=True)
class Seat:
    """A node's port now. `boot` is empty where nobody can tell one boot from another."""

    member: Member
    power: str
    watts: float | None
    state: str
    alive: bool
    boot: str | None
    off: Mapping[str, Any] | None
    last: Mapping[str, Any] | None
    boot_age_s: float | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """The whole switch."""

    switch: str
    reachable: str
    limits: Limits
    seats: Mapping[str, Seat]

    @property
    def members(self) -> Sequence[Member]:
        """Return every node, in the inventory's order."""
        return [seat.member for seat in self.seats.values()]


def picture_of(ports: Mapping[str, Any]) -> Picture:
    """Read the answer of `GET /v1/ports`, schema 1."""
    limits = Limits(ports["stagger_s"], ports["max_booting"])
    seats = {one["node"]: _seat(one) for one in ports["ports"]}
    return Picture(ports["switch"], ports["switch_reachable"], limits, seats)


def _seat(one: Mapping[str, Any]) -> Seat:
    member = Member(
        one["node"],
        one["port"],
        one["role"],
        tuple(one["groups"]),
        tuple(one["aliases"]),
        one["protected"],
        tuple(one["dependents"]),
    )
    return Seat(
        member,
        one["power"],
        one["watts"],
        one["state"],
        one["alive"],
        one["boot"],
        one["off"],
        one["last"],
        one["boot_age_s"],
    )
