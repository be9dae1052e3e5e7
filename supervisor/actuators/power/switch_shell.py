"""The `swctrl` driver as it is used: with the switch's other command line where there is no swctrl.

Which of the two there is, is found out by the first question, and again if it has gone (a firmware
update may take it away). A switch that has neither is refused in one sentence.
"""

from collections.abc import Sequence

import structlog

from supervisor.actuators.power import switch_cli
from supervisor.actuators.power.driver import (
    Capability,
    CycleResult,
    Phase,
    PortState,
    PowerError,
    Stage,
)
from supervisor.actuators.power.findings import Finding, Mark
from supervisor.actuators.power.swctrl import (
    NOT_FOUND,
    SECOND_ON_S,
    SwctrlDriver,
    SwctrlSettings,
    Verb,
)
from supervisor.actuators.power.swctrl_table import PoeRow

_log = structlog.get_logger(__name__)
_ONLY_SWCTRL = frozenset({Capability.ATOMIC_CYCLE, Capability.MAC_LOOKUP})
_SEARCH = "swctrl poe show id 1"


class SwitchShellDriver(SwctrlDriver):
    """A `PowerDriver` for UniFi switches with `swctrl`, `telnet localhost` or `cli`."""

    def __init__(self, settings: SwctrlSettings) -> None:
        super().__init__(settings)
        self._can = self.capabilities
        self._program: switch_cli.Program | None = None
        self._known = False

    async def status(self) -> dict[int, PortState]:
        """Return every PoE port. Raises PowerError, never guesses."""
        await self._find_out()
        if self._program is None:
            return await super().status()
        return self._states(await self._send(switch_cli.show(self._program)))

    async def macs(self) -> dict[str, int]:
        """Return the port behind which each address was seen; nothing without swctrl."""
        await self._find_out()
        return {} if self._program else await super().macs()

    async def off(self, port: int, *, op_id: str) -> None:
        """Switch `port` off, and only it; returns once it was seen off."""
        await self._prepare(port)
        await super().off(port, op_id=op_id)

    async def on(self, port: int, *, op_id: str) -> None:
        """Switch `port` on (auto), and only it; returns once the switch shows it so."""
        await self._prepare(port)
        await super().on(port, op_id=op_id)

    async def cycle(self, port: int, *, off_s: float, op_id: str) -> CycleResult:
        """Switch `port` off and on again; the switch finishes it by itself."""
        await self._prepare(port)
        return await super().cycle(port, off_s=off_s, op_id=op_id)

    async def findings(self) -> Sequence[Finding]:
        """Tell which command line it is, and what can't be seen from here."""
        await self._find_out()
        found = (
            "swctrl" if self._program is None else f"no swctrl; its command line ({self._program})"
        )
        atomic = Capability.ATOMIC_CYCLE in self.capabilities
        return [
            Finding("command line", Mark.WARNING if self._program else Mark.GOOD, found),
            Finding(
                "cycle",
                Mark.WARNING if atomic else Mark.GOOD,
                "by `swctrl poe restart`: for how long it stays off is the firmware's secret until"
                " it was watched once; atomic = false waits off_s"
                if atomic
                else "one detached line: off, wait, on",
            ),
            Finding(
                "device supervisor",
                Mark.WARNING,
                "can't be seen from here: if the controller's own Device Supervisor is on, it"
                " power-cycles silent devices as well; switch it off",
            ),
            Finding(
                "provisioning",
                Mark.WARNING,
                "what is switched by hand is lost when the controller provisions the switch",
            ),
        ]

    async def _find_out(self) -> None:
        """Find out which command line there is, if it isn't known."""
        if self._known:
            return
        program = await self._search()
        self._program, self._known = program, True
        self.capabilities = self._can - _ONLY_SWCTRL if program else self._can
        if program:
            _log.warning("switch_without_swctrl", program=program)

    async def _search(self) -> switch_cli.Program | None:
        answer = await self._link.run(_SEARCH)
        if answer.status != NOT_FOUND:
            return None
        for program in switch_cli.PROGRAMS:
            answer = await self._link.run(switch_cli.greet(program))
            if answer.status != NOT_FOUND and switch_cli.is_session(switch_cli.plain(answer.out)):
                return program
        raise PowerError(
            Phase.REJECTED,
            "this switch has neither swctrl nor a command line (telnet localhost, cli):"
            " choose the driver unifi or snmp",
            stage=Stage.TOOL,
        )

    async def _prepare(self, port: int) -> None:
        """Prove that the port has a mode of its own; else what is typed next hits every port."""
        await self._find_out()
        if self._program is None:
            return
        self._check(port)
        try:
            text = await self._send(switch_cli.enters(self._program, port))
        except PowerError as error:
            phase = Phase.NOT_SENT if error.phase is Phase.UNKNOWN else error.phase
            raise PowerError(
                phase, str(error), trips_breaker=error.trips_breaker, stage=error.stage
            ) from None
        if not switch_cli.entered(text, port):
            raise PowerError(Phase.REJECTED, f"the command line has no interface 0/{port}")

    async def _send(self, line: str) -> str:
        """Run `line`; return its output. Raises PowerError if the switch said no."""
        try:
            if self._program is None:
                return await super()._send(line)
            answer = await self._link.run(line)
        except PowerError as error:
            self._known = self._known and error.stage is not Stage.TOOL
            raise
        if answer.status == NOT_FOUND:
            self._known = False
            raise PowerError(Phase.REJECTED, f"{self._program}: not found", stage=Stage.TOOL)
        text = switch_cli.plain(answer.out)
        if said := switch_cli.complaint(text):
            raise PowerError(Phase.REJECTED, f"{self._program}: {said!r}")
        return text

    def _parse(self, text: str) -> dict[int, PoeRow]:
        if self._program is None:
            return super()._parse(text)
        return switch_cli.parse(text, ports=self._settings.ports)

    def _command(self, verb: Verb, port: int) -> str:
        if self._program is None:
            return super()._command(verb, port)
        self._check(port)
        if verb == "show":
            return switch_cli.show(self._program)
        return switch_cli.opmode(self._program, port, "shutdown" if verb == "set off" else "auto")

    def _cycle_line(self, port: int, off_for: int, before: PortState) -> tuple[str, bool]:
        if self._program is None:
            return super()._cycle_line(port, off_for, before)
        self._check(port)
        return switch_cli.cycle(self._program, port, off_for, SECOND_ON_S), False
