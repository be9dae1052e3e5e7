"""The switch's ports as a pure model: what is set, what is powered, and every change of either.

A command changes a port's *admin* state at once; its *power* follows after a latency, as a PSE
needs to discharge the line or to detect and classify what hangs on it. Nothing here sleeps:
`run_due` applies what has come due on the injected clock and `next_due` says when to call again.
The transition log is what tests judge by.
"""

import heapq
import itertools
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Literal

Admin = Literal["auto", "off"]
Watcher = Callable[[int, bool], None]
Figure = float | Callable[[], float]
Flag = bool | Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Latencies:
    """How long things take on the switch, in seconds of the injected clock."""

    off: float = 0.5  # from the command until power is gone
    on: float = 2.0  # detection and classification, until power is there
    restart: float = 3.0  # how long `restart` keeps a port without power


@dataclass(frozen=True, slots=True)
class Transition:
    """One change. `what` is `admin` (auto, off) or `power` (on, off); `at` is the clock's."""

    at: float
    port: int
    what: Literal["admin", "power"]
    before: str
    after: str
    cause: str
    session: int


@dataclass(slots=True)
class Port:
    """One port. The lab sets what is plugged in: `watts`, `pd_class`, `mac`, `link`.

    `watts` and `link` may be functions, so that a virtual device tells what it draws. Without
    `link` the link follows the power. An empty `pd_class` means that nothing wants power.
    `stays_down` is a note for the lab: the device doesn't come back although power does.
    """

    number: int
    poe: bool = True
    admin: Admin = "auto"
    powered: bool = False
    pd_class: str = ""
    mac: str = ""
    ip: str = ""
    hostname: str = ""
    watts: Figure = 3.4
    link: Flag | None = None
    stays_down: bool = False

    def draw(self) -> float:
        """Return what the device draws now, in watts: nothing without power."""
        if not self.powered:
            return 0.0
        return self.watts() if callable(self.watts) else self.watts

    def is_linked(self) -> bool:
        """Return whether the link is up."""
        if self.link is None:
            return self.powered or (not self.poe and bool(self.mac))
        return self.link() if callable(self.link) else self.link


@dataclass(order=True, slots=True)
class _Change:
    at: float
    order: int
    port: int = field(compare=False)
    run: Callable[[], None] = field(compare=False)


class Ports:
    """Every port of the switch, 48 with PoE and 4 SFP by default."""

    def __init__(
        self,
        clock: Callable[[], float],
        latencies: Latencies | None = None,
        *,
        poe_count: int = 48,
        sfp_count: int = 4,
        restart_revives: bool = False,
    ) -> None:
        self.log: list[Transition] = []
        self.latencies = latencies or Latencies()
        # Nobody has recorded what `restart` does to a port that is switched off.
        self.restart_revives = restart_revives
        self._clock = clock
        self._ports = {
            number: Port(number, poe=number <= poe_count)
            for number in range(1, poe_count + sfp_count + 1)
        }
        self._due: list[_Change] = []
        self._order = itertools.count()
        self._watchers: list[Watcher] = []
        self._wakers: list[Callable[[], None]] = []

    def __getitem__(self, number: int) -> Port:
        return self._ports[number]

    def __contains__(self, number: object) -> bool:
        return number in self._ports

    def __iter__(self) -> Iterator[Port]:
        return iter(self._ports.values())

    @property
    def poe(self) -> list[Port]:
        """The ports that can give power."""
        return [port for port in self if port.poe]

    def on_power(self, watcher: Watcher) -> None:
        """Have `watcher(port, powered)` called whenever a port's power really changes."""
        self._watchers.append(watcher)

    def on_schedule(self, waker: Callable[[], None]) -> None:
        """Have `waker()` called when something new is due later: look at `next_due` again."""
        self._wakers.append(waker)

    def history(self, port: int, what: str = "power") -> list[str]:
        """Return what `port` went through, oldest first: `["off", "on"]` is a power cycle."""
        return [one.after for one in self.log if one.port == port and one.what == what]

    def touched(self) -> set[int]:
        """Return every port that the log mentions."""
        return {one.port for one in self.log}

    def plug(self, number: int, *, pd_class: str = "Class 4", mac: str = "") -> Port:
        """Plug a device in and power it at once, without a trace in the log."""
        port = self._ports[number]
        port.pd_class, port.mac = pd_class, mac
        port.powered = port.poe and port.admin == "auto"
        return port

    def unplug(self, number: int) -> None:
        """Pull the cable: whatever was powered there is gone at once."""
        port = self._ports[number]
        port.pd_class, port.mac = "", ""
        self._power(port, "unplugged", 0, on=False)

    def set_admin(self, numbers: Collection[int], to: Admin, cause: str, session: int) -> None:
        """Carry out `set auto|off`. During a restart of the port `auto` changes nothing."""
        for number in numbers:
            port = self._ports[number]
            if port.admin == to:
                continue
            self._record(port, "admin", port.admin, to, cause, session)
            port.admin = to
            self._cancel(number)
            wait = self.latencies.off if to == "off" else self.latencies.on
            self._power_later(port, wait, cause, session, on=to == "auto")

    def restart(self, numbers: Collection[int], cause: str, session: int) -> None:
        """Carry out `restart`: the switch finishes it by itself."""
        for number in numbers:
            port = self._ports[number]
            if port.admin == "off":
                if self.restart_revives:
                    self.set_admin([number], "auto", cause, session)
                continue
            self._cancel(number)
            lag = self.latencies
            self._power_later(port, lag.off, cause, session, on=False)
            self._power_later(port, lag.off + lag.restart, cause, session, on=True)

    def blackout(self, seconds: float, cause: str) -> None:
        """Reboot: all power goes at once, settings made by hand are lost, power comes back."""
        self._due.clear()
        for port in self.poe:
            if port.admin == "off":
                self._record(port, "admin", "off", "auto", cause, 0)
                port.admin = "auto"
            self._power(port, cause, 0, on=False)
            self._power_later(port, seconds, cause, 0, on=True)

    def schedule(self, port: int, wait: float, run: Callable[[], None]) -> None:
        """Have `run` called `wait` seconds from now, on the injected clock."""
        change = _Change(self._clock() + wait, next(self._order), port, run)
        heapq.heappush(self._due, change)
        for waker in self._wakers:
            waker()

    def next_due(self) -> float | None:
        """Return when `run_due` has something to do, on the injected clock."""
        return self._due[0].at if self._due else None

    def run_due(self) -> None:
        """Apply every change whose time has come."""
        while self._due and self._due[0].at <= self._clock():
            heapq.heappop(self._due).run()

    def _cancel(self, number: int) -> None:
        self._due = [change for change in self._due if change.port != number]
        heapq.heapify(self._due)

    def _power_later(self, port: Port, wait: float, cause: str, session: int, *, on: bool) -> None:
        self.schedule(port.number, wait, lambda: self._power(port, cause, session, on=on))

    def _power(self, port: Port, cause: str, session: int, *, on: bool) -> None:
        on = on and port.poe and port.admin == "auto" and bool(port.pd_class)
        if port.powered == on:
            return
        port.powered = on
        before, after = ("off", "on") if on else ("on", "off")
        self._record(port, "power", before, after, cause, session)
        for watcher in self._watchers:
            watcher(port.number, on)

    def _record(
        self,
        port: Port,
        what: Literal["admin", "power"],
        before: str,
        after: str,
        cause: str,
        session: int,
    ) -> None:
        self.log.append(Transition(self._clock(), port.number, what, before, after, cause, session))
