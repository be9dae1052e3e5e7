"""`set_time_sync`: the right time zone, and NTP on (FOE 4.5), through timedated.

See org.freedesktop.timedate1(5). timedated writes /etc/localtime and enables the NTP unit; it
answers only when both are done, and the proof is what it says when asked again.
"""

import asyncio
import re
from collections.abc import Mapping

from agents.bus import Bus, BusError, Object, connected
from agents.systemd_bus import ping
from agents.treatment import TreatmentError
from common.clock import boottime

DEFAULT_ZONE = "Europe/Athens"
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,30}(/[A-Za-z0-9_+-]{1,30}){0,2}")
_TIMEDATE = Object(
    "org.freedesktop.timedate1", "/org/freedesktop/timedate1", "org.freedesktop.timedate1"
)
_PING_S = 1.0
_POLL_S = 0.1


class SetTimeSync:
    """Argument `timezone`, by default the one this node must keep, or Europe/Athens."""

    name = "set_time_sync"
    needs_root = True

    def __init__(self, address: str, timezone: str = "") -> None:
        self._address = address
        self._timezone = timezone or DEFAULT_ZONE

    def refusal(self, arguments: Mapping[str, str]) -> str:
        """Allow at most the name of a time zone."""
        if set(arguments) - {"timezone"}:
            return "expected at most one argument: timezone"
        zone = arguments.get("timezone", self._timezone)
        return "" if _ZONE.fullmatch(zone) else f"{zone!r} is no name of a time zone"

    async def carry_out(self, arguments: Mapping[str, str], deadline_s: float) -> str:
        """Set what isn't set already, then read both back."""
        zone, until = arguments.get("timezone", self._timezone), boottime() + deadline_s
        try:
            async with connected(self._address) as bus:
                await ping(bus, min(_PING_S, deadline_s))  # it starts timedated, which may be off
                await _set(bus, zone, until)
                return await _proof(bus, zone, until)
        except BusError as error:
            raise TreatmentError(f"timedated: {error}") from None


async def _set(bus: Bus, zone: str, until: float) -> None:
    if await bus.get(_TIMEDATE, "Timezone", _left(until)) != zone:
        await bus.call(_TIMEDATE, "SetTimezone", "sb", zone, False, deadline_s=_left(until))
    if not await bus.get(_TIMEDATE, "CanNTP", _left(until)):
        raise TreatmentError("there is no NTP service on this node to be switched on")
    if not await bus.get(_TIMEDATE, "NTP", _left(until)):
        await bus.call(_TIMEDATE, "SetNTP", "bb", True, False, deadline_s=_left(until))


async def _proof(bus: Bus, zone: str, until: float) -> str:
    """Read both back; the NTP service may take a moment to become active."""
    while True:
        found = await bus.get(_TIMEDATE, "Timezone", _left(until))
        ntp = await bus.get(_TIMEDATE, "NTP", _left(until))
        if found == zone and ntp:
            return f"read back: time zone {zone}, NTP on"
        if until - boottime() < 2 * _POLL_S:
            raise TreatmentError(f"read back: time zone {found}, NTP {'on' if ntp else 'off'}")
        await asyncio.sleep(_POLL_S)


def _left(until: float) -> float:
    left_s = until - boottime()
    if left_s <= 0:
        raise TreatmentError("the deadline passed before it was done")
    return left_s
