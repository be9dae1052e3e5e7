"""`pimedic power status`: one row a port."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from common.fleet.members import Member
from console.durations import span
from console.power.picture import Picture, Seat

_WORDS = {"on": "on", "off": "on, no draw", "disabled": "OFF", "unknown": "?"}


def rows(picture: Picture, members: Sequence[Member]) -> Iterator[str]:
    """Yield the lines, in the order of the ports."""
    if picture.reachable != "true":
        yield "the switch doesn't answer: what stands here is old or unknown"
    yield _row("PORT", "NODE", "POWER", "WATTS", "STATE", "")
    for member in sorted(set(members), key=lambda one: one.port):
        seat = picture.seats[member.name]
        watts = "-" if seat.watts is None else f"{seat.watts:.1f}"
        power = _WORDS.get(seat.power, seat.power)
        yield _row(str(member.port), member.name, power, watts, seat.state, _note(seat))


def as_json(picture: Picture, members: Sequence[Member], way: str) -> Mapping[str, Any]:
    """Return the same for programs."""
    seats = [picture.seats[m.name] for m in sorted(set(members), key=lambda one: one.port)]
    return {
        "switch": picture.switch,
        "switch_reachable": picture.reachable,
        "way": way,
        "ports": [
            {
                "port": seat.member.port,
                "node": seat.member.name,
                "protected": seat.member.protected,
                "power": seat.power,
                "watts": seat.watts,
                "state": seat.state,
                "off": seat.off,
                "last": seat.last,
            }
            for seat in seats
        ],
    }


def _row(port: str, node: str, power: str, watts: str, state: str, note: str) -> str:
    return f"{port:>4}  {node:<13} {power:<12} {watts:>5}  {state:<12} {note}".rstrip()


def _note(seat: Seat) -> str:
    """Say the most important thing: who keeps it off, else what was done last."""
    if seat.off:
        left = seat.off["remaining_s"]
        end = "until switched on" if left is None else f"{span(left)} more"
        return f"switched off by {seat.off['author']}, {end}: {seat.off['reason']}"
    if seat.power == "disabled":
        return "switched off, and not through pimedic"
    if seat.last:
        said = seat.last["treatment"].replace("_", " ")
        return f"{said} {seat.last['result'] or 'under way'}, {span(seat.last['age_s'])} ago"
    return "protected" if seat.member.protected else ""
