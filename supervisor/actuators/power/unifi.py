"""The `unifi` driver: a UniFi Network controller, which is asked to power-cycle a port.

It can only cycle. Switching a port off or on through the controller means writing the whole list
of the switch's port overrides, which has switched PoE on elsewhere and reset VLANs: not done.

A plain aiohttp client and not aiounifi: the last version that runs on Python 3.11 is years old,
knows nothing of the official API, and brings two libraries for what are three requests here.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import structlog

from common.clock import boottime
from supervisor.actuators.power.driver import (
    Capability,
    CycleOutcome,
    CycleResult,
    Phase,
    PortState,
    PowerError,
    Stage,
)
from supervisor.actuators.power.findings import Finding, Mark
from supervisor.actuators.power.unifi_classic import ClassicApi
from supervisor.actuators.power.unifi_http import ControllerSettings
from supervisor.actuators.power.unifi_integration import IntegrationApi
from supervisor.actuators.power.watch import Watch, judge

_log = structlog.get_logger(__name__)
Api = Literal["integration", "classic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnifiSettings(ControllerSettings):
    """Settings of the driver, beside those of the connection. Durations are in seconds."""

    api: Api = "integration"
    poll_s: float = 2.0  # a controller hears of its switch only every 10 s or so
    settle_s: float = 60.0  # how long a cycle may take to show


class Controller(Protocol):
    """One of the controller's two APIs."""

    capabilities: frozenset[Capability]

    async def ports(self) -> dict[int, PortState]:
        """Return every PoE port."""

    async def power_cycle(self, port: int) -> None:
        """Have the switch cycle one port."""

    async def aclose(self) -> None:
        """Close the session."""


_APIS: Mapping[Api, type[ClassicApi] | type[IntegrationApi]] = {
    "classic": ClassicApi,
    "integration": IntegrationApi,
}


class UnifiDriver:
    """A `PowerDriver` for a controller: cycles, and tells the state of ports."""

    def __init__(self, settings: UnifiSettings) -> None:
        self._settings = settings
        self._controller: Controller = _APIS[settings.api](settings)
        self.capabilities = self._controller.capabilities | {
            Capability.ATOMIC_CYCLE,
            Capability.ENDS_ITSELF,
            Capability.DELIVERY,
        }

    async def validate(self) -> None:
        """Prove certificate, login, site and switch, changing nothing."""
        await self.status()

    async def status(self) -> dict[int, PortState]:
        """Return every PoE port. `observed_at` is when the switch told its controller."""
        states = await self._controller.ports()
        if not states:
            raise PowerError(Phase.NOT_SENT, "the switch has no PoE ports", stage=Stage.TABLE)
        return states

    async def macs(self) -> dict[str, int]:
        """Return the port behind which each address was seen; nothing if the API can't say."""
        if isinstance(self._controller, ClassicApi):
            return await self._controller.macs()
        return {}

    async def off(self, port: int, *, op_id: str) -> None:
        """Refuse: see the module."""
        del op_id
        raise PowerError(
            Phase.REJECTED, f"port {port}: the unifi driver can only cycle, not switch off"
        )

    async def on(self, port: int, *, op_id: str) -> None:
        """Succeed if the port is set to give power, which a cycle never changes; else refuse."""
        del op_id
        if (await self._look(port)).admin != "auto":
            raise PowerError(
                Phase.REJECTED,
                f"port {port} is set off in the controller, and the unifi driver can only cycle:"
                " switch its PoE on there",
            )

    async def cycle(self, port: int, *, off_s: float, op_id: str) -> CycleResult:
        """Have the controller cycle `port`; the switch decides for how long and finishes it.

        `off_s` lengthens how long we look. What the controller tells is some seconds old: a short
        cycle can pass between two of its looks and be called sent, not verified.
        """
        try:
            before = await self._look(port)
        except PowerError as error:
            phase = Phase.NOT_SENT if error.phase is Phase.UNKNOWN else error.phase
            raise PowerError(
                phase, str(error), trips_breaker=error.trips_breaker, stage=error.stage
            ) from None
        if before.admin == "off":
            said = f"port {port} is set off in the controller: a cycle would do nothing"
            return CycleResult(CycleOutcome.REFUSED, said, (before,))
        unknown = ""
        _log.info("power_cycle_sent", port=port, op_id=op_id, api=self._settings.api)
        try:
            await self._controller.power_cycle(port)
        except PowerError as error:
            if error.phase is Phase.NOT_SENT or error.trips_breaker:
                raise
            if error.phase is Phase.REJECTED:
                return CycleResult(CycleOutcome.REFUSED, str(error), (before,))
            unknown = str(error)
        watch = Watch(before)
        await self._watch(port, off_s + self._settings.settle_s, watch)
        return judge(watch, unknown, "")

    async def findings(self) -> Sequence[Finding]:
        """Tell how fresh the controller's word is, and what can't be seen from here."""
        states = await self.status()
        age = boottime() - min(state.observed_at for state in states.values())
        fresh = f"what the controller tells of the switch is {age:.0f} s old"
        return [
            Finding("freshness", Mark.GOOD if age < self._settings.settle_s else Mark.BAD, fresh),
            Finding(
                "device supervisor",
                Mark.WARNING,
                "can't be seen from here: if the controller's own Device Supervisor is on, it"
                " power-cycles silent devices as well; switch it off",
            ),
            Finding(
                "controller",
                Mark.WARNING,
                "it must not run on a machine that this switch powers",
            ),
        ]

    async def aclose(self) -> None:
        """Close the session."""
        await self._controller.aclose()

    async def _look(self, port: int) -> PortState:
        states = await self._controller.ports()
        if type(port) is not int or port not in states:
            raise PowerError(Phase.REJECTED, f"{port!r} is no PoE port of this switch")
        return states[port]

    async def _watch(self, port: int, patience_s: float, watch: Watch) -> None:
        """Look until `watch` has seen the port off and on again, or patience ends."""
        deadline = boottime() + patience_s
        while not watch.is_on_again and boottime() < deadline:
            await asyncio.sleep(self._settings.poll_s)
            try:
                watch.note(await self._look(port))
            except PowerError as error:
                if error.trips_breaker:
                    raise PowerError(
                        Phase.UNKNOWN, str(error), trips_breaker=True, stage=error.stage
                    ) from None
