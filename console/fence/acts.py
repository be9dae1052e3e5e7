"""The actions that need the switch. Each returns the agent's exit code."""

import asyncio
import math
from collections.abc import Mapping
from pathlib import Path

from common.fleet.members import Kind, named
from common.fleet.orders import Order, OrderRefusedError, Way
from console.client import Client, ConsoleError
from console.fence.options import UsageError
from console.power.picture import Picture, Seat, picture_of
from console.power.ways import way_to_switch

ON, FAILED, OFF = 0, 1, 2
_POLL_S = 0.5
_HOURS_S = 3600.0  # Pacemaker says 0 when it keeps the time itself
_KINDS: Mapping[str, Kind] = {"on": "on", "off": "off", "reboot": "cycle"}
_WAITS_ITS_TURN = frozenset({"starts", "busy"})
_DONE_LATELY = frozenset({"cool_down", "busy"})


async def perform(options: Mapping[str, str]) -> tuple[int, str]:
    """Return the exit code and what to say. Raises what `main` turns into exit code 1."""
    token = Path(options["token_file"]) if options["token_file"] else None
    client = Client(options["supervisor"], token)
    timeout_s = _seconds(options["power_timeout"])
    async with way_to_switch(client, Path(options["config"])) as (way, _):
        picture = picture_of(await way.look())
        match options["action"]:
            case "monitor":
                return _monitor(picture)
            case "list":
                seats = picture.seats.values()
                return ON, "\n".join(f"{s.member.name},port {s.member.port}" for s in seats)
            case "status":
                return _status(_seat(picture, options["plug"]))
            case action:
                seat = _seat(picture, options["plug"])
                try:
                    async with asyncio.timeout(timeout_s):
                        return await _act(way, _KINDS[action], seat, options["reason"])
                except TimeoutError:
                    return FAILED, f"no end within {timeout_s:g} s; what was ordered goes on"


def _monitor(picture: Picture) -> tuple[int, str]:
    if picture.reachable == "true":
        return ON, f"{picture.switch} answers"
    return FAILED, f"{picture.switch} can't be reached"


def _status(seat: Seat) -> tuple[int, str]:
    """Only a port that is switched off is off: one that draws nothing may draw any moment."""
    name = seat.member.name
    match seat.power:
        case "disabled":
            return OFF, f"Status: OFF ({name})"
        case "on" | "off":
            return ON, f"Status: ON ({name})"
        case _:
            return FAILED, f"the switch doesn't tell of {name}'s port {seat.member.port}"


def _seat(picture: Picture, plug: str) -> Seat:
    if not plug:
        raise UsageError("which node? say it as plug")
    for seat in picture.seats.values():
        if plug == str(seat.member.port):
            return seat
    member = named(plug, picture.members)
    if member is None:
        raise UsageError(f"no node {plug!r}; action list names them")
    return picture.seats[member.name]


async def _act(way: Way, kind: Kind, seat: Seat, reason: str) -> tuple[int, str]:
    name = seat.member.name
    # A cool-down protects a node that boots; one that must be off must be off now.
    skip = ("cool_down",) if kind == "off" else ()
    order = Order(kind, name, reason, off_for="forever", skip_rails=skip)
    while True:
        try:
            action = await way.order(order)
        except OrderRefusedError as error:
            rails = set(error.rails)
            now = picture_of(await way.look()).seats[name]
            if kind == "cycle" and rails & _DONE_LATELY and _was_cycled(now):
                return ON, f"Success: {name} was rebooted {_age(now):.0f} s ago; not done twice"
            if not rails <= _WAITS_ITS_TURN and not _is_under_way(now):
                raise
            await asyncio.sleep(_POLL_S)
        else:
            return await _end(way, kind, seat, action)


async def _end(way: Way, kind: Kind, before: Seat, action: str) -> tuple[int, str]:
    """Wait for the report; what the switch couldn't prove, a new boot may."""
    name, unproven = before.member.name, ""
    while True:
        for ended in await way.ended():
            if ended.action != action:
                continue
            if ended.result == "succeeded":
                return ON, f"Success: {name} {ended.detail}"
            if ended.result != "unknown" or kind != "cycle":
                return FAILED, f"{name}: {ended.result}: {ended.detail}"
            unproven = ended.detail
        if unproven:
            now = picture_of(await way.look()).seats[name]
            if now.boot is not None and before.boot is not None and now.boot != before.boot:
                return ON, f"Success: {name} has a new boot id; {unproven}"
        await asyncio.sleep(_POLL_S)


def _was_cycled(seat: Seat) -> bool:
    """Tell whether the last act at its port is a cycle that is proven: seen off, or a new boot."""
    last = seat.last
    if last is None or last["treatment"] != "power_cycle":
        return False
    booted_since = seat.boot_age_s is not None and seat.boot_age_s < last["age_s"]
    return last["result"] == "succeeded" or booted_since


def _is_under_way(seat: Seat) -> bool:
    return seat.last is not None and not seat.last["result"]


def _age(seat: Seat) -> float:
    return float(seat.last["age_s"]) if seat.last else 0.0


def _seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not found >= 0 or math.isinf(found):
        raise UsageError(f"power_timeout: expected seconds, found {text!r}")
    return found or _HOURS_S


def check(options: Mapping[str, str]) -> None:
    """Look at the options for `validate-all`, without asking anybody; raises what is wrong."""
    _seconds(options["power_timeout"])
    token = options["token_file"]
    Client(options["supervisor"])
    if token and not Path(token).is_file():
        raise ConsoleError(f"{token}: no such token file")
