"""The `swctrl` driver: a UniFi switch's own command line, over ssh.

Without the word `id` a `swctrl poe` command hits every port, so commands are built in one place
(`_command`) from one checked integer. What a command's exit status says is not believed: the
port is looked at until it shows the effect. A cycle is finished by the switch itself, either
`swctrl poe restart` or one detached line, so that it ends with the port on whatever becomes
of us or of the connection.
"""

import asyncio
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import structlog

from common.clock import boottime
from supervisor.actuators.power import swctrl_links, swctrl_table
from supervisor.actuators.power.driver import (
    Capability,
    CycleOutcome,
    CycleResult,
    Phase,
    PortState,
    PowerError,
    Stage,
)
from supervisor.actuators.power.ssh_link import SshLink, SshSettings
from supervisor.actuators.power.watch import Watch, judge

_log = structlog.get_logger(__name__)
_ERROR_LINE = re.compile(r"^\[error\].*", re.MULTILINE | re.IGNORECASE)
_MAC_LINE = re.compile(
    r"[@u\s]*([0-9]{1,3})\s+[0-9]{1,4}\s+((?:[0-9a-f]{2}:){5}[0-9a-f]{2})(?=\s|$)"
)
_LEAST_OFF_S, _MOST_OFF_S = 1, 120
SECOND_ON_S = 5  # the detached line says `auto` once more, in case the first was lost
_MOST_TEXT = 200
NOT_FOUND = 127  # the shell's exit status for a program that isn't there
Verb = Literal["show", "set off", "set auto", "restart"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SwctrlSettings(SshSettings):
    """Settings of the driver, beside those of the connection. Durations are in seconds."""

    ports: int = 48  # PoE ports are 1 to this
    atomic: bool = True  # use `swctrl poe restart`, which the switch finishes itself
    poll_s: float = 0.5  # between looks at a port
    confirm_s: float = 10.0  # how long an `off` or `on` may take to show
    settle_s: float = 30.0  # how long, beyond its time off, a cycle may take to show


class SwctrlDriver:
    """A `PowerDriver` for UniFi switches."""

    def __init__(self, settings: SwctrlSettings) -> None:
        self._settings = settings
        self._link = SshLink(settings)
        self.capabilities: frozenset[Capability] = frozenset(Capability)
        if not settings.atomic:
            self.capabilities -= {Capability.ATOMIC_CYCLE}

    async def validate(self) -> None:
        """Prove that login, host key and table are as expected, changing nothing."""
        await self.status()

    async def status(self) -> dict[int, PortState]:
        """Return every PoE port the switch shows. Raises PowerError, never guesses."""
        return self._states(await self._send("swctrl poe show"))

    async def macs(self) -> dict[str, int]:
        """Return the port behind which each address (lower case) was seen lately.

        An address seen behind several ports is left out: nothing may rest on it.
        """
        seen: dict[str, set[int]] = {}
        for line in (await self._send("swctrl mac show")).lower().splitlines():
            if found := _MAC_LINE.match(line):
                seen.setdefault(found[2], set()).add(int(found[1]))
        return {mac: ports.pop() for mac, ports in seen.items() if len(ports) == 1}

    async def links(self) -> dict[int, bool]:
        """Return whether each port's Ethernet link is up, as far as the switch tells."""
        return swctrl_links.parse(await self._send("swctrl port show"))

    async def off(self, port: int, *, op_id: str) -> None:
        """Switch `port` off, and only it; returns once it was seen off."""
        command = self._command("set off", port)
        before = await self._before(port)
        watch = Watch(before)
        await self._set(command, port, op_id, watch.is_off)

    async def on(self, port: int, *, op_id: str) -> None:
        """Switch `port` on (auto), and only it; returns once the switch shows it so."""
        command = self._command("set auto", port)
        await self._set(command, port, op_id, lambda s: s.admin == "auto" or s.delivering is True)

    async def cycle(self, port: int, *, off_s: float, op_id: str) -> CycleResult:
        """Switch `port` off and on again; the switch finishes it by itself.

        `swctrl poe restart` knows no duration: `off_s` then only lengthens how long we look.
        Raises PowerError if nothing was sent, or if the switch must not be spoken to any more.
        """
        off_for = self._whole_seconds(off_s)
        before = await self._before(port)
        line, atomic = self._cycle_line(port, off_for, before)
        unknown = ""
        _log.info("power_cycle_sent", port=port, op_id=op_id, line=line)
        try:
            await self._send(line)
        except PowerError as error:
            if error.phase is Phase.NOT_SENT:
                raise
            if error.phase is Phase.REJECTED:
                return CycleResult(CycleOutcome.REFUSED, str(error), (before,))
            unknown = str(error)
        watch = Watch(before)
        await self._watch(port, off_for + self._settings.settle_s, watch)
        detail = "" if watch.is_on_again and not atomic else await self._set_auto_again(port)
        return judge(watch, unknown, detail)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._link.aclose()

    async def _set(
        self, command: str, port: int, op_id: str, done: Callable[[PortState], bool]
    ) -> None:
        _log.info("power_set_sent", port=port, op_id=op_id, line=command)
        trouble: PowerError | None = None
        try:
            await self._send(command)
        except PowerError as error:
            if error.phase is not Phase.UNKNOWN:
                raise
            trouble = error
        last = await self._poll(port, self._settings.confirm_s, done)
        if last is None or not done(last):
            shows = f"port {port} shows {last.raw!r}" if last else f"port {port} can't be seen"
            why = str(trouble) if trouble else f"{command!r} was taken"
            raise PowerError(Phase.UNKNOWN, f"{why}, but {shows}")

    async def _watch(self, port: int, patience_s: float, watch: Watch) -> None:
        """Look until `watch` has seen the port off and on again, or patience ends."""

        def enough(state: PortState) -> bool:
            watch.note(state)
            return watch.is_on_again

        await self._poll(port, patience_s, enough)

    async def _poll(
        self, port: int, patience_s: float, enough: Callable[[PortState], bool]
    ) -> PortState | None:
        """Look at `port` until `enough`; return the last look that succeeded, if any did.

        Raises PowerError only if the switch must not be spoken to any more.
        """
        deadline = boottime() + patience_s
        last: PortState | None = None
        while True:
            try:
                last = await self._look(port)
            except PowerError as error:
                if error.trips_breaker:
                    raise PowerError(Phase.UNKNOWN, str(error), trips_breaker=True) from None
            else:
                if enough(last):
                    return last
            if boottime() >= deadline:
                return last
            await asyncio.sleep(self._settings.poll_s)

    async def _before(self, port: int) -> PortState:
        """Look at `port` before acting: if that fails, nothing was sent."""
        try:
            return await self._look(port)
        except PowerError as error:
            phase = Phase.NOT_SENT if error.phase is Phase.UNKNOWN else error.phase
            raise PowerError(
                phase, str(error), trips_breaker=error.trips_breaker, stage=error.stage
            ) from None

    async def _look(self, port: int) -> PortState:
        states = self._states(await self._send(self._command("show", port)))
        if port not in states:
            raise PowerError(Phase.UNKNOWN, f"the switch's table doesn't show port {port}")
        return states[port]

    async def _set_auto_again(self, port: int) -> str:
        """Leave no port off; return what went wrong with that, if anything did."""
        try:
            await self._send(self._command("set auto", port))
        except PowerError as error:
            return f"; switching it on once more failed: {error}"
        return ""

    async def _send(self, line: str) -> str:
        """Run `line`; return its output. Raises PowerError if the switch said no."""
        answer = await self._link.run(line)
        complaint = _ERROR_LINE.search(answer.out) or _ERROR_LINE.search(answer.err)
        if answer.status != 0 or complaint:
            said = complaint[0] if complaint else (answer.err or answer.out).strip()
            raise PowerError(
                Phase.REJECTED,
                f"{line!r}: exit status {answer.status}: {said[:_MOST_TEXT]!r}",
                stage=Stage.TOOL if answer.status == NOT_FOUND else Stage.COMMAND,
            )
        return answer.out

    def _states(self, text: str) -> dict[int, PortState]:
        try:
            rows = self._parse(text)
        except swctrl_table.TableError as error:
            raise PowerError(
                Phase.UNKNOWN, f"the switch's table can't be read: {error}", stage=Stage.TABLE
            ) from None
        now = boottime()
        return {
            row.port: PortState(
                row.port, row.admin, row.delivering, row.watts, row.pd_class, now, row.raw
            )
            for row in rows.values()
        }

    def _parse(self, text: str) -> dict[int, swctrl_table.PoeRow]:
        """Read the table. Raises TableError."""
        return swctrl_table.parse(text, ports=self._settings.ports)

    def _command(self, verb: Verb, port: int) -> str:
        """Build the one command there is, for one port. Raises PowerError for a bad port."""
        self._check(port)
        return f"swctrl poe {verb} id {port:d}"

    def _check(self, port: int) -> None:
        """Raise PowerError for a bad port."""
        if type(port) is not int or not 1 <= port <= self._settings.ports:
            raise PowerError(
                Phase.REJECTED, f"{port!r} is no PoE port: expected 1 to {self._settings.ports}"
            )

    def _cycle_line(self, port: int, off_for: int, before: PortState) -> tuple[str, bool]:
        """Return the line that cycles, and whether the switch's own `restart` does it."""
        # What `restart` does to a port that is switched off is not known.
        if self._settings.atomic and before.admin == "auto":
            return self._command("restart", port), True
        return self._detached(port, off_for), False

    def _detached(self, port: int, off_for: int) -> str:
        off, on = self._command("set off", port), self._command("set auto", port)
        steps = f"{off}; sleep {off_for:d}; {on}; sleep {SECOND_ON_S:d}; {on}"
        return f"nohup sh -c '{steps}' >/dev/null 2>&1 </dev/null &"

    def _whole_seconds(self, off_s: float) -> int:
        """Round up: the switch's `sleep` takes whole seconds only."""
        if not (math.isfinite(off_s) and _LEAST_OFF_S <= off_s <= _MOST_OFF_S):
            raise PowerError(
                Phase.REJECTED, f"off for {off_s!r} s: expected {_LEAST_OFF_S} to {_MOST_OFF_S}"
            )
        return math.ceil(off_s)
