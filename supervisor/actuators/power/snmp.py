"""The `snmp` driver: any switch with a writable POWER-ETHERNET-MIB (RFC 3621).

What an agent answers to a SET is not believed: the port is read until it shows the effect, as
agents are known that say yes and do nothing. `ifAdminStatus` is never touched: it takes the link
down and may leave the power on.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import structlog

from common.clock import boottime
from supervisor.actuators.power import two_commands
from supervisor.actuators.power.driver import (
    Capability,
    CycleResult,
    Phase,
    PortState,
    PowerError,
    Stage,
)
from supervisor.actuators.power.findings import Finding, Mark
from supervisor.actuators.power.snmp_agent import AgentSettings, SnmpAgent

_log = structlog.get_logger(__name__)
_PORT_ENTRY = "1.3.6.1.2.1.105.1.1.1"
_MAIN_PSE = "1.3.6.1.2.1.105.1.3.1.1"
_ADMIN, _DETECTION, _CLASS = 3, 6, 10  # columns of pethPsePortTable
_PSE_WATTS, _PSE_DRAWN = 2, 4  # columns of pethMainPseTable
_TRUTH: dict[Literal["on", "off"], int] = {"on": 1, "off": 2}
_ADMIN_WORD: dict[int | None, Literal["auto", "off", "unknown"]] = {1: "auto", 2: "off"}
_DETECTION_WORD: dict[int | None, str] = {
    1: "disabled", 2: "searching", 3: "delivering", 4: "fault", 5: "test", 6: "other fault",
}  # fmt: skip
_PORTS_A_QUESTION = 8  # of three integers each: fits any agent's smallest answer


@dataclass(frozen=True, slots=True, kw_only=True)
class SnmpSettings(AgentSettings):
    """Settings of the driver. Durations are in seconds."""

    group: int = 1  # pethPsePortGroupIndex: the unit of a stack, 1 for a single switch
    ports: int = 48  # PoE ports are 1 to this
    poll_s: float = 0.5  # between looks at a port
    confirm_s: float = 10.0  # how long a SET may take to show


class SnmpDriver:
    """A `PowerDriver` for RFC 3621."""

    capabilities = frozenset({Capability.OFF_AND_ON, Capability.DELIVERY})

    def __init__(self, settings: SnmpSettings) -> None:
        self._settings = settings
        self._agent = SnmpAgent(settings)

    async def validate(self) -> None:
        """Prove that the agent answers us and has the MIB, changing nothing."""
        await self.status()

    async def status(self) -> dict[int, PortState]:
        """Return every port of the group that has PoE."""
        every = range(1, self._settings.ports + 1)
        states: dict[int, PortState] = {}
        for first in range(0, len(every), _PORTS_A_QUESTION):
            states |= await self._read(every[first : first + _PORTS_A_QUESTION])
        if not states:
            raise PowerError(
                Phase.NOT_SENT,
                f"the agent has no PoE ports in group {self._settings.group} (RFC 3621,"
                f" {_PORT_ENTRY}), or doesn't show them to us",
                stage=Stage.TOOL,
            )
        return states

    async def off(self, port: int, *, op_id: str) -> None:
        """Switch `port` off, and only it; returns once it was seen off."""
        await self._set(port, "off", op_id)

    async def on(self, port: int, *, op_id: str) -> None:
        """Switch `port` on, and only it; returns once the agent shows it so."""
        await self._set(port, "on", op_id)

    async def cycle(self, port: int, *, off_s: float, op_id: str) -> CycleResult:
        """Off, wait, on: two commands, the second of which needs us."""
        before = await self._look(port)
        return await two_commands.cycle(before, lambda to: self._set(port, to, op_id), off_s)

    async def findings(self) -> Sequence[Finding]:
        """Tell the budget of the power supply, which the MIB knows per group only."""
        group = self._settings.group
        watts, drawn = (f"{_MAIN_PSE}.{column}.{group}" for column in (_PSE_WATTS, _PSE_DRAWN))
        found = await self._agent.get([watts, drawn])
        if found.get(watts) is None:
            return [Finding("power supply", Mark.WARNING, "the agent doesn't tell its watts")]
        text = f"{found.get(drawn)} of {found[watts]} W drawn"
        return [Finding("power supply", Mark.GOOD, text)]

    async def aclose(self) -> None:
        """Close the socket."""
        self._agent.close()

    async def _set(self, port: int, to: Literal["off", "on"], op_id: str) -> PortState:
        """Set, and read until it shows."""
        oid = self._oid(_ADMIN, port)
        _log.info("power_set_sent", port=port, op_id=op_id, to=to)
        trouble = "the agent took it"
        try:
            await self._agent.set(oid, _TRUTH[to])
        except PowerError as error:
            if error.phase is not Phase.UNKNOWN:
                raise
            trouble = str(error)
        deadline = boottime() + self._settings.confirm_s
        shows = "can't be seen"
        while True:
            try:
                state = await self._look(port)
            except PowerError as error:
                if error.trips_breaker:
                    raise PowerError(
                        Phase.UNKNOWN, str(error), trips_breaker=True, stage=error.stage
                    ) from None
            else:
                if _shows(state, to):
                    return state
                shows = f"shows {state.raw!r}"
            if boottime() >= deadline:
                raise PowerError(Phase.UNKNOWN, f"{to}: {trouble}, but port {port} {shows}")
            await asyncio.sleep(self._settings.poll_s)

    async def _look(self, port: int) -> PortState:
        states = await self._read([port])
        if port not in states:
            raise PowerError(Phase.REJECTED, f"the agent lists no PoE port {port}")
        return states[port]

    async def _read(self, ports: Sequence[int]) -> dict[int, PortState]:
        oids = {
            (port, column): self._oid(column, port)
            for port in ports
            for column in (_ADMIN, _DETECTION, _CLASS)
        }
        found = await self._agent.get(list(oids.values()))
        states: dict[int, PortState] = {}
        for port in ports:
            admin, detection, pd_class = (
                found.get(oids[port, column]) for column in (_ADMIN, _DETECTION, _CLASS)
            )
            if admin is not None or detection is not None:
                states[port] = _state(port, admin, detection, pd_class)
        return states

    def _oid(self, column: int, port: int) -> str:
        """Name one cell of one checked port. Raises PowerError for a bad port."""
        if type(port) is not int or not 1 <= port <= self._settings.ports:
            raise PowerError(
                Phase.REJECTED, f"{port!r} is no PoE port: expected 1 to {self._settings.ports}"
            )
        return f"{_PORT_ENTRY}.{column}.{self._settings.group}.{port}"


def _state(port: int, admin: int | None, detection: int | None, pd_class: int | None) -> PortState:
    told = _ADMIN_WORD.get(admin, "unknown")
    word = _DETECTION_WORD.get(detection, f"detection {detection}")
    delivering = None if detection is None else word == "delivering"
    return PortState(
        port=port,
        admin=told,
        delivering=delivering,
        watts=None,
        pd_class=f"Class {pd_class - 1}" if delivering and pd_class else None,
        observed_at=boottime(),
        raw=f"{told}, {word}",
    )


def _shows(state: PortState, to: Literal["off", "on"]) -> bool:
    """Whether the port is as told. Off is more than told: the power must be gone."""
    if to == "on":
        return state.admin == "auto"
    return state.admin == "off" and state.delivering is not True
