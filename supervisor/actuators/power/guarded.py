"""A driver with a deadline on each call, one kind of error, and the breaker in front."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar, runtime_checkable

from supervisor.actuators.power.breaker import Breaker
from supervisor.actuators.power.driver import CycleResult, Phase, PortState, PowerDriver, PowerError
from supervisor.actuators.power.settings import PowerSettings

T = TypeVar("T")


@runtime_checkable
class MacLookup(Protocol):
    """A driver with the capability `mac_lookup`."""

    async def macs(self) -> dict[str, int]:
        """Return the port behind which each address (lower case) was seen lately."""


class GuardedDriver:
    """Every call ends in time with a result or a `PowerError`, whatever the driver does."""

    def __init__(self, driver: PowerDriver, settings: PowerSettings, breaker: Breaker) -> None:
        self._driver = driver
        self._settings = settings
        self._breaker = breaker

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

    async def off(self, port: int, op_id: str) -> None:
        """Switch `port` off."""
        self._refuse_if_tripped()
        await self._call(
            self._driver.off(port, op_id=op_id), self._settings.command_s, Phase.UNKNOWN
        )

    async def on(self, port: int, op_id: str) -> None:
        """Switch `port` on."""
        self._refuse_if_tripped()
        await self._call(
            self._driver.on(port, op_id=op_id), self._settings.command_s, Phase.UNKNOWN
        )

    async def cycle(self, port: int, off_s: float, op_id: str) -> CycleResult:
        """Switch `port` off and on again."""
        self._refuse_if_tripped()
        return await self._call(
            self._driver.cycle(port, off_s=off_s, op_id=op_id),
            off_s + self._settings.cycle_margin_s,
            Phase.UNKNOWN,
        )

    async def aclose(self) -> None:
        """Close the connection."""
        await self._driver.aclose()

    def _refuse_if_tripped(self) -> None:
        if self._breaker.reason:
            raise PowerError(Phase.NOT_SENT, f"the breaker is open: {self._breaker.reason}")

    async def _call(self, work: Coroutine[Any, Any, T], deadline_s: float, lost: Phase) -> T:
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
