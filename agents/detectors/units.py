"""`unit_failed`: a unit that must be active isn't, or comes and goes.

Over D-Bus where there is a bus: systemd tells at once ([T] seen 1 to 5 ms after the death of a
service, see `agents.systemd_bus`), and a full look is the backstop for signals that got lost
and for the time without a connection. Otherwise from `systemctl show`, again and again.

While PID 1 doesn't answer nothing is known, so the status is unknown; it isn't asked a second
time before it answered the first (`agents.bus`).
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from agents.bus import Bus, BusError, Signal
from agents.detector import DetectorError
from agents.flapping import Flapping
from agents.systemctl import Systemctl, Unit
from agents.systemd_bus import look, subscribe
from common.clock import boottime
from common.observations import Truth
from common.wire import WireObservation

KIND = "unit_failed"

# ActiveState, from systemd's unit life cycle; what is on its way is not yet known.
_VERDICTS = {
    "active": Truth.FALSE,
    "reloading": Truth.FALSE,
    "refreshing": Truth.FALSE,
    "failed": Truth.TRUE,
    "inactive": Truth.TRUE,
}
# LoadState: what isn't installed here, or was switched off by a person, is no data.
_ABSENT = frozenset({"not-found", "masked"})
_ASK_S = 2.0


class Units:
    """Asks systemctl about a fixed list of units, all in one call."""

    name = "units"
    kinds = (KIND,)
    period_s = 5.0
    deadline_s = 4.0

    def __init__(self, systemctl: Systemctl, units: Sequence[str]) -> None:
        self._systemctl = systemctl
        self._units = tuple(units)
        self._flapping = Flapping()

    def observe(self) -> list[WireObservation]:
        """Ask once."""
        if not self._units:
            return []
        return report(self._systemctl.show(self._units, self.deadline_s), self._flapping)


class UnitsOnBus:
    """Is told by systemd of what happens to a fixed list of units."""

    name = "units"
    kinds = (KIND,)
    period_s = 10.0
    deadline_s = 4.0

    def __init__(self, address: str, units: Sequence[str]) -> None:
        self._address = address
        self._units = tuple(units)
        self._flapping = Flapping()
        self._bus: Bus | None = None
        self._trouble = "not yet connected to the bus"
        self._first = asyncio.Event()

    async def observe(self) -> list[WireObservation]:
        """Ask over the connection that `watch` keeps."""
        if not self._units:
            return []
        await self._first.wait()
        if self._bus is None:
            raise DetectorError(self._trouble)
        try:
            async with asyncio.timeout(self.deadline_s):
                shown = [await look(self._bus, unit, _ASK_S) for unit in self._units]
        except BusError as error:
            raise DetectorError(str(error)) from None
        return report(shown, self._flapping)

    async def watch(self, look_now: Callable[[], None]) -> None:
        """Keep one connection, and ring at each change. Raises when it is lost."""
        if not self._units:
            await asyncio.Event().wait()
        try:
            await self._connected(look_now)
            raise BusError("the connection to the bus has ended")
        except BusError as error:
            self._trouble = str(error)
            raise DetectorError(str(error)) from None
        finally:
            bus, self._bus = self._bus, None
            self._first.set()
            look_now()  # unknown at once, not at the next period
            if bus:
                await bus.close()

    async def _connected(self, look_now: Callable[[], None]) -> None:
        paths: dict[str, str] = {}
        renewed = asyncio.Event()

        def on_signal(signal: Signal) -> None:
            if signal.member == "NameOwnerChanged":
                renewed.set()  # PID 1 was executed anew, or is back: who is subscribed?
            elif unit := paths.get(signal.path):
                self._flapping.started(unit, _invocation(signal), boottime())
                look_now()

        bus = await Bus.open(self._address, on_signal)
        try:
            paths.update(await subscribe(bus, self._units, _ASK_S))
        except BaseException:
            await bus.close()
            raise
        self._bus = bus
        self._first.set()
        look_now()
        renewal = asyncio.get_running_loop().create_task(renewed.wait(), name="renewal of PID 1")
        try:
            await asyncio.wait({bus.closed, renewal}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            renewal.cancel()


def _invocation(signal: Signal) -> str:
    """Return the new InvocationID in PropertiesChanged(interface, changed, invalidated), if any."""
    changed: Any = signal.body[1] if len(signal.body) > 1 else None
    found = changed.get("InvocationID", b"") if isinstance(changed, dict) else b""
    return bytes(found).hex()


def report(units: Sequence[Unit], flapping: Flapping) -> list[WireObservation]:
    """Judge every unit that is installed here."""
    now, found = boottime(), list[WireObservation]()
    for unit in units:
        if unit.load in _ABSENT:
            continue
        flapping.looked(unit, now)
        found.append(judge(unit, flapping.verdict(unit.name, now)))
    return found


def judge(unit: Unit, flaps: str = "") -> WireObservation:
    """Say whether `unit` fails to run though it must."""
    status = _VERDICTS.get(unit.active, Truth.UNKNOWN)
    detail = f"{unit.active or 'no state'} ({unit.sub})"
    if unit.result not in {"", "success"}:
        detail += f", result {unit.result}"
    if unit.load not in {"loaded", ""}:
        status, detail = Truth.TRUE, f"can't be loaded: {unit.load}"
    elif unit.sub.startswith("auto-restart"):  # fails, waits, starts, fails: no sign of life
        status = Truth.TRUE
    elif unit.active == "inactive" and unit.triggered_by:
        status, detail = Truth.FALSE, f"started on demand by {unit.triggered_by}"
    if flaps:
        status, detail = Truth.TRUE, f"{detail}; {flaps}"
    return WireObservation(kind=KIND, status=status, subject=unit.name, detail=detail[:400])
