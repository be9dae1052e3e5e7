"""Reading a table of ports: is it on, what differs. Pure functions.

PortState.admin is what the switch was told; `delivering` is whether power flows now. A port
that is told `auto` with nothing plugged in delivers nothing and is on all the same.
"""

from collections.abc import Collection, Mapping

from supervisor.actuators.power.driver import PortState
from supervisor.actuators.power.orders import PortChange

Table = Mapping[int, PortState]


def is_on(state: PortState | None) -> bool:
    """Whether the port is provably on; where the switch won't say, flowing power proves it."""
    if state is None:
        return False
    return state.admin == "auto" or (state.admin == "unknown" and state.delivering is True)


def is_on_and_delivering(state: PortState | None) -> bool:
    """Whether the port is on and power flows: nothing is left to be done."""
    return state is not None and is_on(state) and state.delivering is True


def is_off(state: PortState | None) -> bool:
    """Whether the port is provably switched off, and not merely without a device."""
    if state is None:
        return False
    return state.admin == "off" or (state.admin == "unknown" and state.delivering is False)


def was_seen_off(seen: Collection[PortState], before: PortState | None, port: int) -> bool:
    """Whether a look found the port off, or without the power that it had before."""
    had_power = before is not None and before.delivering is True
    return any(
        state.port == port and (state.admin == "off" or (had_power and state.delivering is False))
        for state in seen
    )


def went_off(before: Table, after: Table, port: int) -> bool:
    """Whether the port was on before and is not provably on after."""
    return is_on(before.get(port)) and not is_on(after.get(port))


def changes(before: Table, after: Table, *, but: int) -> list[PortChange]:
    """Return every other port that differs in what it was told or in whether power flows."""
    return [
        PortChange(port, in_words(before.get(port)), in_words(after.get(port)))
        for port in sorted({*before, *after} - {but})
        if in_words(before.get(port)) != in_words(after.get(port))
    ]


def in_words(state: PortState | None) -> str:
    """Say it for people: `auto, delivering`."""
    if state is None:
        return "not listed"
    power = {True: "delivering", False: "no power", None: "power unknown"}[state.delivering]
    return f"{state.admin}, {power}"
