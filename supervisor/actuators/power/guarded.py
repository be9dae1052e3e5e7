"""A driver with a deadline on each call, one kind of error, and the breaker in front."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Protocol, TypeVar, runtime_checkable

import structlog

from common import clock, tasks
from supervisor.actuators.power.breaker import Breaker
from supervisor.actuators.power.driver import CycleResult, Phase, PortState, PowerDriver, PowerError
from supervisor.actuators.power.settings import PowerSettings

T = TypeVar("T")
_LINKS_AGAIN_S = 300.0  # a switch that can't tell of links isn't asked for them all the time
_log = structlog.get_logger(__name__)


@runtime_checkable
class MacLookup(Protocol):
    """A driver with the capability `mac_lookup`."""

    async def macs(self) -> dict[str, int]:
        """Return the port behind which each address (lower case) was seen lately."""


@runtime_checkable
class LinkLookup(Protocol):
    """A driver whose switch tells of Ethernet links apart from power."""

    async def links(self) -> dict[int, bool]:
        """Return whether each port's link is up, as far as the switch tells."""


class GuardedDriver:
    """Every call ends in time with a result or a `PowerError`, whatever the driver does."""

    def __init__(self, driver: PowerDriver, settings: PowerSettings, breaker: Breaker) -> None:
        self._driver = driver
        self._settings = settings
        self._breaker = breaker
        self._look: asyncio.Task[dict[int, PortState] | PowerError] | None = None
        self._ordered_at = float("-inf")
        self._no_links_until = float("-inf")

    @property
    def is_tripped(self) -> bool:
        """Whether the breaker forbids every call but `validate`."""
        return bool(self._breaker.reason)

    async def macs(self) -> dict[str, int]:
        """Return the port behind which each address was seen; nothing if the driver can't say."""
        if not isinstance(self._driver, MacLookup):
            return {}
        self._refuse_if_tripped()
        return await self._call(self._driver.macs(), self._settings.status_s, Phase.NOT_SENT)

    async def validate(self) -> None:
        """Test login, host key and output; success resets the breaker. Goes past the breaker."""
        await self._call(self._driver.validate(), self._settings.status_s, Phase.NOT_SENT)
        self._breaker.reset("a successful login")

    async def status(self) -> dict[int, PortState]:
        """Return every port. A failure is always NOT_SENT: looking changes nothing."""
        self._refuse_if_tripped()
        return await self._call(self._driver.status(), self._settings.status_s, Phase.NOT_SENT)

    async def look(self) -> dict[int, PortState] | None:
        """Return every port with its link, for whoever only watches; None if it gave way.

        An order waits for a look no longer than `look_s`, and then ends it; and none begins in
        the first `look_s` of an order. Raises `PowerError`.
        """
        self._refuse_if_tripped()
        if clock.boottime() - self._ordered_at < self._settings.look_s:
            return None
        look = self._look = tasks.spawn(self._see(), "look at the switch")
        try:
            seen: dict[int, PortState] | PowerError = await look
        except asyncio.CancelledError:
            if (me := asyncio.current_task()) and me.cancelling():
                raise
            return None  # an order ended it
        if isinstance(seen, PowerError):
            raise seen
        return seen

    async def _see(self) -> dict[int, PortState] | PowerError:
        patience = self._settings.status_s
        try:
            ports = await self._ask(self._driver.status(), patience, Phase.NOT_SENT)
            links = await self._links(patience)
        except PowerError as error:
            return error
        return {n: replace(port, link=links.get(n, port.link)) for n, port in ports.items()}

    async def _links(self, patience_s: float) -> dict[int, bool]:
        """Ask for the links; a switch that can't tell isn't asked again for a while."""
        if not isinstance(self._driver, LinkLookup) or clock.boottime() < self._no_links_until:
            return {}
        try:
            links = await self._ask(self._driver.links(), patience_s, Phase.NOT_SENT)
            problem = "" if links else "its table isn't understood"
        except PowerError as error:
            if error.phase is not Phase.REJECTED:
                raise
            links, problem = {}, str(error)
        if problem:
            _log.warning("links_not_told", why=problem, again_in_s=_LINKS_AGAIN_S)
            self._no_links_until = clock.boottime() + _LINKS_AGAIN_S
        return links

    async def _make_way(self) -> None:
        """End a look that is under way, unless it ends soon by itself."""
        look, self._look = self._look, None
        if look is None or look.done():
            return
        await asyncio.wait({look}, timeout=self._settings.look_s)
        if look.cancel():
            await asyncio.wait({look}, timeout=self._settings.look_s)

    async def off(self, port: int, op_id: str) -> None:
        """Switch `port` off."""
        self._begin_order()
        await self._call(
            self._driver.off(port, op_id=op_id), self._settings.command_s, Phase.UNKNOWN
        )

    async def on(self, port: int, op_id: str) -> None:
        """Switch `port` on."""
        self._begin_order()
        await self._call(
            self._driver.on(port, op_id=op_id), self._settings.command_s, Phase.UNKNOWN
        )

    async def cycle(self, port: int, off_s: float, op_id: str) -> CycleResult:
        """Switch `port` off and on again."""
        self._begin_order()
        return await self._call(
            self._driver.cycle(port, off_s=off_s, op_id=op_id),
            off_s + self._settings.cycle_margin_s,
            Phase.UNKNOWN,
        )

    async def aclose(self) -> None:
        """Close the connection."""
        await self._driver.aclose()

    def _begin_order(self) -> None:
        self._refuse_if_tripped()
        self._ordered_at = clock.boottime()

    def _refuse_if_tripped(self) -> None:
        if self._breaker.reason:
            raise PowerError(Phase.NOT_SENT, f"the breaker is open: {self._breaker.reason}")

    async def _call(self, work: Coroutine[Any, Any, T], deadline_s: float, lost: Phase) -> T:
        """Await `work`, before any look."""
        try:
            await self._make_way()
        except asyncio.CancelledError:
            work.close()
            raise
        return await self._ask(work, deadline_s, lost)

    async def _ask(self, work: Coroutine[Any, Any, T], deadline_s: float, lost: Phase) -> T:
        """Await `work`; a timeout or an error that the driver didn't foresee is phase `lost`."""
        try:
            async with asyncio.timeout(deadline_s):
                return await work
        except PowerError as error:
            if error.trips_breaker:
                self._breaker.trip(str(error))
            raise
        except TimeoutError:
            raise PowerError(lost, f"no answer from the switch in {deadline_s:g} s") from None
        except Exception as error:
            raise PowerError(lost, f"the driver failed: {error!r}") from error
