"""A runbook: a frequently occurring error and its ladder of treatments, as data.

Files are read by `supervisor.runbook_files`; here they are plain values and the pure questions
asked of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from common.observations import Truth
from common.topology import Node, Role
from supervisor.core.conditions import Patient
from supervisor.core.effects import Actuator, Treatment


@dataclass(frozen=True, slots=True)
class Verify:
    """What proves that a step helped. All of it must hold for `settle_s`, within `deadline_s`."""

    false: tuple[str, ...] = ("heartbeat_lost",)
    """Conditions that must be false: unknown is not enough."""
    new_boot: bool = False
    """The node must have booted since the treatment."""
    dependents: bool = False
    """Nodes whose symptoms this illness explained must be well again."""
    settle_s: float = 5.0
    deadline_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Step:
    """One rung of the ladder, tried up to `times`."""

    treatment: Treatment
    verify: Verify
    arguments: Mapping[str, str] = field(default_factory=dict)
    times: int = 1
    deadline_s: float = 60.0
    only_if: tuple[str, ...] = ()
    """Skipped unless all of these are true."""
    unless: tuple[str, ...] = ()
    """Skipped if any of these is true."""
    via: tuple[Actuator, ...] = ()
    """By whom, the first whose door is open; empty: whoever can give the treatment."""

    @property
    def ways(self) -> tuple[Actuator, ...]:
        """Return by whom it may be given, the best first."""
        return self.via or self.treatment.ways


@dataclass(frozen=True, slots=True)
class Runbook:
    """When `any_of` (at least one) and `all_of` hold on a node of `roles`, climb `steps`."""

    name: str
    title: str
    why: str
    foe: str
    any_of: tuple[str, ...]
    steps: tuple[Step, ...]
    all_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()
    subjects: frozenset[str] = frozenset()
    """Only these units (or mounts) count, where a condition names any; empty: all do."""
    at_most: int | None = None
    """Not called for when more nodes than this show it at once: then its cause is elsewhere."""
    roles: tuple[Role, ...] = tuple(Role)
    confirm_s: float = 5.0
    """How long the symptoms must hold before an incident is opened."""
    hold_s: float = 10.0
    """How long they must hold before the first treatment."""
    budget: int = 3
    """Actions per node and window; exhausted means escalated."""
    window_s: float = 3600.0
    priority: int = 100
    """Lower is asked first."""

    def trigger(self, node: Node, patient: Patient, explained: frozenset[str]) -> frozenset[str]:
        """Return the node's own true conditions that call for this runbook, or nothing."""
        true = patient.true_kinds
        own = {
            kind for kind in true - explained if patient.truth(kind, self.subjects) is Truth.TRUE
        }
        if node.role not in self.roles or not own & set(self.any_of):
            return frozenset()
        if not set(self.all_of) <= own or true & set(self.none_of):
            return frozenset()
        return frozenset(own & (set(self.any_of) | set(self.all_of)))

    def fits(self, step: Step, patient: Patient) -> bool:
        """Tell whether a rung makes sense for what is true of the node now.

        Restarting a unit that is among `subjects` does only while that one has failed.
        """
        true = patient.true_kinds
        if not set(step.only_if) <= true or true & set(step.unless):
            return False
        unit = step.arguments.get("unit", "")
        if unit not in self.subjects:
            return True
        return any(unit in patient.conditions[kind].subjects for kind in true & set(self.any_of))


def choose(
    runbooks: Iterable[Runbook], node: Node, patient: Patient, explained: frozenset[str]
) -> tuple[Runbook, frozenset[str]] | None:
    """Return the first of `runbooks` (in order of priority) called for, and by which conditions."""
    for runbook in runbooks if patient.true_kinds else ():
        if kinds := runbook.trigger(node, patient, explained):
            return runbook, kinds
    return None
