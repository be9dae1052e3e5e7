"""A person has to mean it: what goes down is named, and what others depend on is said again."""

import signal
import sys
from collections.abc import Iterator, Sequence

from common.fleet.members import Kind, Member
from common.topology import canonical
from console.client import ConsoleError
from console.power.picture import Picture

Meant = Sequence[tuple[str, Sequence[Member]]]
"""Each word that was typed, with the nodes it means."""


def preview(kind: Kind, members: Sequence[Member], picture: Picture) -> Iterator[str]:
    """Yield lines that name each port, in order, and what else goes down with it."""
    limits = picture.limits
    pace = f", at most {limits.max_booting} booting at once, {limits.stagger_s:g} s apart"
    many = len(members) > 1 and kind != "off"
    yield f"{kind} of {_count(len(members), 'port')} of {picture.switch}{pace if many else ''}:"
    for member in members:
        seat = picture.seats[member.name]
        down = "" if kind == "on" or not member.dependents else _down(member)
        yield f"  port {member.port:>2}  {member.name:<13} {seat.power}{down}"
    for name in _sick_upstream(kind, members, picture):
        yield f"  note: {name} isn't well; what depends on it can't boot before it is: do it first"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _down(member: Member) -> str:
    names = " ".join(member.dependents)
    return f"; takes down with it {_count(len(member.dependents), 'node')}: {names}"


def _sick_upstream(kind: Kind, members: Sequence[Member], picture: Picture) -> Iterator[str]:
    meant = {member.name for member in members}
    for seat in picture.seats.values():
        member = seat.member
        others = meant & set(member.dependents)
        if kind != "off" and others and not seat.alive and not (kind == "on" and seat.off):
            yield member.name


def agreed(kind: Kind, meant: Meant, confirm: Sequence[str], *, yes: bool) -> None:
    """Make sure that a person means it; raises `ConsoleError`. Switching on harms nobody.

    A worker wants --yes; whatever others depend on wants the word that meant it said again.
    """
    if kind == "on":
        return
    said = {canonical(word) for word in confirm}
    for word, members in meant:
        severe = any(member.is_severe for member in members)
        name = members[0].name if len(members) == 1 else word
        if said & {canonical(name), canonical(word)} or (yes and not severe):
            continue
        _ask(kind, name, severe=severe)


def _ask(kind: Kind, name: str, *, severe: bool) -> None:
    if not sys.stdin.isatty():
        how = f"--confirm={name}" if severe else "--yes"
        raise ConsoleError(f"not confirmed: the power {kind} of {name} needs {how}", 2)
    wanted = name if severe else "yes"
    # asyncio's handler would only note a Ctrl-C, and go on waiting for the answer.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        said = input(f"Type {wanted!r} to go on: ")
    except (EOFError, KeyboardInterrupt):
        said = ""
    finally:
        signal.signal(signal.SIGINT, before)
    if canonical(said) != canonical(wanted):
        raise ConsoleError("not confirmed; nothing was done", 1)
