"""Nodes as one sees them at the power switch, and the way from what a person types to them."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from common.topology import Cluster, Role, canonical

ALL = "all"
_NEAREST = 3

Kind = Literal["cycle", "off", "on"]


class UnknownTargetError(Exception):
    """A word that is neither node nor group; the text names the nearest ones."""


@dataclass(frozen=True, slots=True)
class Member:
    """A node with its outlet. `dependents` go down with it, directly or not."""

    name: str
    port: int
    role: str
    groups: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    protected: bool = False
    dependents: tuple[str, ...] = ()

    @property
    def never_among_others(self) -> bool:
        """Tell whether it is meant only by its own name: the medic's own node, say."""
        return self.protected or self.role == Role.BACKUP

    @property
    def is_severe(self) -> bool:
        """Tell whether more than this one node is at stake."""
        return bool(self.dependents) or self.role != Role.WORKER


def members_of(cluster: Cluster) -> tuple[Member, ...]:
    """Return every node of an inventory, in its order."""
    return tuple(
        Member(
            node.name,
            node.port,
            str(node.role),
            node.groups,
            node.aliases,
            node.protected,
            cluster.dependents(node.name),
        )
        for node in cluster
    )


def named(word: str, members: Iterable[Member]) -> Member | None:
    """Find the node that `word` names, in any spelling."""
    wanted = canonical(word)
    for member in members:
        if wanted in {canonical(name) for name in (member.name, *member.aliases)}:
            return member
    return None


def meant(word: str, members: Sequence[Member]) -> tuple[Member, ...]:
    """Return whom `word` names: a node in any spelling, a group, or `all` (but the backup).

    Raises `UnknownTargetError`.
    """
    if member := named(word, members):
        return (member,)
    wanted = canonical(word)
    together = [member for member in members if not member.never_among_others]
    if wanted == ALL:
        return tuple(together)
    found = [m for m in together if wanted in {canonical(group) for group in m.groups}]
    if not found:
        raise UnknownTargetError(_unknown(word, members))
    return tuple(found)


def _unknown(word: str, members: Sequence[Member]) -> str:
    names = {canonical(m.name): m.name for m in members}
    names |= {canonical(alias): alias for m in members for alias in m.aliases}
    names |= {canonical(group): group for m in members for group in m.groups}
    names[ALL] = ALL
    near = difflib.get_close_matches(canonical(word), names, _NEAREST, 0.5)
    hint = " or ".join(names[one] for one in near)
    return f"no node or group {word!r}" + (f"; did you mean {hint}?" if hint else "")


def in_order(kind: Kind, members: Iterable[Member]) -> tuple[Member, ...]:
    """Sort for an order, without doubles: what others depend on is cut last and given power first.

    Whoever depends on a node has fewer dependents than it, so their number sorts.
    """
    once = dict.fromkeys(members)
    sign = -1 if kind == "on" else 1
    return tuple(sorted(once, key=lambda member: sign * len(member.dependents)))
