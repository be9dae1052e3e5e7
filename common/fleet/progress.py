"""How far each node of an operation has come, and when the next may start.

| rule      | the next node waits while                                              |
| --------- | ---------------------------------------------------------------------- |
| one       | the switch still works on another one                                  |
| stagger   | the last one got its power less than `stagger_s` ago                   |
| cap       | `max_booting` nodes are on their way up                                |
| upstream  | cut: one that depends on it is on its way up; on: what it depends on is |
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from common.fleet.members import Kind, Member


class Stage(StrEnum):
    """Where one node is."""

    WAITING = "waiting"
    ORDERED = "ordered"  # the switch is at it
    BOOTING = "booting"  # its port is on
    BACK = "back"
    OFF = "off"
    LATE = "late"  # its port is on, and it isn't back in time
    REFUSED = "refused"
    FAILED = "failed"
    NOT_STARTED = "not started"

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more will come."""
        return self not in {Stage.WAITING, Stage.ORDERED, Stage.BOOTING}


@dataclass(frozen=True, slots=True)
class Limits:
    """What TFTP and the switch's inrush allow."""

    stagger_s: float = 5.0
    max_booting: int = 4


@dataclass(slots=True)
class Progress:
    """One node. Times are in seconds of one monotonic clock; `powered_at` is when it got power."""

    member: Member
    stage: Stage = Stage.WAITING
    since: float = 0.0
    powered_at: float | None = None
    detail: str = ""

    def enter(self, stage: Stage, now: float, detail: str = "") -> None:
        """Move on."""
        self.stage, self.since, self.detail = stage, now, detail


def next_up(
    steps: Sequence[Progress], kind: Kind, limits: Limits, now: float
) -> tuple[Progress | None, str]:
    """Return who may start now, or None and what it waits for (empty: nobody is left)."""
    first = next((step for step in steps if step.stage is Stage.WAITING), None)
    if first is None:
        return None, ""
    why = _hindrance(first.member, steps, kind, limits, now)
    return (None, why) if why else (first, "")


def _hindrance(
    member: Member, steps: Sequence[Progress], kind: Kind, limits: Limits, now: float
) -> str:
    if busy := [step.member.name for step in steps if step.stage is Stage.ORDERED]:
        return f"the switch is at {', '.join(busy)}"
    if kind == "off":
        return ""  # nothing boots
    last = max((step.powered_at for step in steps if step.powered_at is not None), default=None)
    if last is not None and now - last < limits.stagger_s:
        return f"{limits.stagger_s:g} s between two starts"
    booting = [step.member for step in steps if step.stage is Stage.BOOTING]
    if len(booting) >= limits.max_booting:
        return f"{len(booting)} nodes are booting, no more at once"
    bound = [other.name for other in booting if _bound(kind, member, other)]
    return f"{', '.join(bound)} must be back first" if bound else ""


def _bound(kind: Kind, member: Member, other: Member) -> bool:
    """Tell whether one of them can't boot, or go on booting, without the other."""
    if kind == "on":
        return member.name in other.dependents
    return other.name in member.dependents
