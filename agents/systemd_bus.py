"""systemd over D-Bus: units and jobs. See org.freedesktop.systemd1(5).

[T] on systemd 252: connecting, subscribing and a first look at three units take about 20 ms; a
unit's death reaches us 1 to 5 ms later.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from agents.bus import BUS, Bus, BusError, Object, Signal
from agents.systemctl import Unit

SERVICE = "org.freedesktop.systemd1"
MANAGER_PATH = "/org/freedesktop/systemd1"
MANAGER = Object(SERVICE, MANAGER_PATH, "org.freedesktop.systemd1.Manager")
_UNIT = "org.freedesktop.systemd1.Unit"
_SERVICE = "org.freedesktop.systemd1.Service"
_PEER = Object(SERVICE, MANAGER_PATH, "org.freedesktop.DBus.Peer")
_KINDS = {
    ".service": _SERVICE,
    ".socket": "org.freedesktop.systemd1.Socket",
    ".mount": "org.freedesktop.systemd1.Mount",
    ".automount": "org.freedesktop.systemd1.Automount",
    ".timer": "org.freedesktop.systemd1.Timer",
    ".path": "org.freedesktop.systemd1.Path",
}
NO_SUCH_UNIT = "org.freedesktop.systemd1.NoSuchUnit"
# Not to be taken for a refusal: the manager, or the bus, is only just coming back.
_ABSENT = frozenset(
    {"org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner"}
)


async def ping(bus: Bus, deadline_s: float) -> None:
    """Make sure that PID 1 answers. Harmless when it is carried out late. Raises `BusError`."""
    await bus.call(_PEER, "Ping", "", deadline_s=deadline_s)


async def look(bus: Bus, name: str, deadline_s: float) -> Unit:
    """Return a unit's state, under the name it was asked for. Raises `BusError`.

    A unit that isn't installed has load state `not-found`.
    """
    path = await path_of(bus, name, deadline_s)
    properties = Object(SERVICE, path, "org.freedesktop.DBus.Properties")
    (general,) = await bus.call(properties, "GetAll", "s", _UNIT, deadline_s=deadline_s)
    own = _kind_of(str(general.get("Id", name)))
    special = [await _get(bus, path, own, key, deadline_s) for key in ("Result", "NRestarts")]
    return unit_from(name, general, *special)


async def path_of(bus: Bus, name: str, deadline_s: float) -> str:
    """Return the path of a unit's object; an alias has its target's. Raises `BusError`."""
    (path,) = await bus.call(MANAGER, "LoadUnit", "s", name, deadline_s=deadline_s)
    return str(path)


def unit_from(name: str, general: dict[str, Any], result: Any, restarts: Any) -> Unit:
    """Read what systemd says of a unit; what it doesn't say of this kind of unit is None."""
    return Unit(
        name=name,
        load=str(general.get("LoadState", "")),
        active=str(general.get("ActiveState", "")),
        sub=str(general.get("SubState", "")),
        result=result if isinstance(result, str) else "",
        invocation=bytes(general.get("InvocationID", b"")).hex(),
        triggered_by=" ".join(general.get("TriggeredBy", ())),
        restarts=restarts if isinstance(restarts, int) else 0,
    )


async def subscribe(bus: Bus, units: Sequence[str], deadline_s: float) -> dict[str, str]:
    """Have changes of `units` told, and PID 1's coming and going; return the units by path."""
    await bus.call(MANAGER, "Subscribe", "", deadline_s=deadline_s)
    paths = {await path_of(bus, unit, deadline_s): unit for unit in units}
    rule = f"type='signal',sender='{BUS.service}',member='NameOwnerChanged',arg0='{SERVICE}'"
    await bus.call(BUS, "AddMatch", "s", rule, deadline_s=deadline_s)
    for path in paths:
        interface, member = "org.freedesktop.DBus.Properties", "PropertiesChanged"
        await match(bus, path, interface, member, deadline_s)
    return paths


async def subscribe_to_jobs(bus: Bus, deadline_s: float) -> None:
    """Have the ends of jobs told, for `Jobs`."""
    await bus.call(MANAGER, "Subscribe", "", deadline_s=deadline_s)
    await match(bus, MANAGER_PATH, MANAGER.interface, "JobRemoved", deadline_s)


async def match(bus: Bus, path: str, interface: str, member: str, deadline_s: float) -> None:
    """Have one kind of PID 1's signals sent to us."""
    rule = f"type='signal',sender='{SERVICE}',path='{path}',interface='{interface}'"
    await bus.call(BUS, "AddMatch", "s", f"{rule},member='{member}'", deadline_s=deadline_s)


class Jobs:
    """The jobs that ended, by their object path; hand `on_signal` to the connection.

    It tells them only to subscribers: see `subscribe_to_jobs`.
    """

    def __init__(self) -> None:
        self._results: dict[str, str] = {}
        self._ended = asyncio.Event()

    def on_signal(self, signal: Signal) -> None:
        """Take note of JobRemoved(id, job, unit, result)."""
        if signal.member == "JobRemoved" and len(signal.body) > 3:  # noqa: PLR2004 - as above
            self._results[str(signal.body[1])] = str(signal.body[3])
            self._ended.set()

    async def result_of(self, job: str) -> str:
        """Wait for a job's end: done, failed, canceled, timeout, dependency or skipped."""
        while job not in self._results:
            self._ended.clear()
            await self._ended.wait()
        return self._results.pop(job)


async def _get(bus: Bus, path: str, interface: str, name: str, deadline_s: float) -> Any:
    """Read a property that not every kind of unit has."""
    try:
        return await bus.get(Object(SERVICE, path, interface), name, deadline_s)
    except BusError as error:
        if error.name.startswith("org.freedesktop.DBus.Error.Unknown") and not absent(error):
            return None
        raise


def _kind_of(name: str) -> str:
    return next((kind for suffix, kind in _KINDS.items() if name.endswith(suffix)), _SERVICE)


def absent(error: BusError) -> bool:
    """Tell whether nobody has the service's name right now."""
    return error.name in _ABSENT
