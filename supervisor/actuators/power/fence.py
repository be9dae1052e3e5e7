"""The `fence` driver: any fence agent (ClusterLabs' interface) as a child process.

Every run says its `action`: without one an agent reboots. `reboot` itself is never used: it ends
with status 0 once *off* succeeded. An agent tells whether an outlet is on, and nothing of watts or
of which node hangs there.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import structlog

from common.clock import boottime
from supervisor.actuators.power import fence_agent, secret_lines, two_commands
from supervisor.actuators.power.driver import (
    Capability,
    CycleResult,
    Phase,
    PortState,
    PowerError,
    Stage,
)
from supervisor.actuators.power.findings import Finding, Mark

_log = structlog.get_logger(__name__)
Action = Literal["on", "off", "status", "metadata"]
_STATUS: Mapping[int, Literal["auto", "off"]] = {0: "auto", 2: "off"}
_SAYS_OFF = re.compile(r"status:?\s*off\b|^off$", re.IGNORECASE | re.MULTILINE)
_ACTION_TAG = re.compile(r"<action\s[^>]*name=\"([a-z-]+)\"")
_LOGIN = re.compile(r"login (?:denied|failed)|authentication fail", re.IGNORECASE)
_NEEDED = ("on", "off", "status")
_OURS = ("action", "port", "plug")
_MOST_TEXT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceSettings:
    """Which agent, and what it is told. Durations are in seconds.

    `options` are lines for its stdin; `{port}` in a value stands for the port's number. What is
    secret (`username`, `password`, `community`) stands in the file `credentials` instead.
    """

    agent: Path
    ports: Sequence[int]  # those of the inventory: an agent is asked for each by itself
    options: Mapping[str, str] = field(default_factory=dict)
    credentials: Path | None = None
    plug: str = "{port}"  # how the agent calls an outlet: "outlet{port}", "{port}"
    parallel: int = 1  # many power switches allow one session
    status_s: float = 10.0  # of one outlet
    switch_s: float = 20.0  # of one `on` or `off`
    poll_s: float = 0.5
    confirm_s: float = 10.0  # how long after an `on` or `off` its effect may take to show


class FenceDriver:
    """A `PowerDriver` for any fence agent."""

    capabilities = frozenset({Capability.OFF_AND_ON})

    def __init__(self, settings: FenceSettings) -> None:
        self._settings = settings
        self._sessions = asyncio.Semaphore(settings.parallel)

    async def validate(self) -> None:
        """Prove that the agent starts and tells the state of every outlet, changing nothing."""
        await self.status()

    async def status(self) -> dict[int, PortState]:
        """Ask for each outlet. One that can't be asked fails the whole look: never half a table."""
        asked = [asyncio.ensure_future(self._look(port)) for port in self._settings.ports]  # noqa: TID251 -- awaited or cancelled below
        try:
            states = await asyncio.gather(*asked)
        finally:
            for one in asked:
                one.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        return {state.port: state for state in states}

    async def off(self, port: int, *, op_id: str) -> None:
        """Switch the outlet off; returns once the agent says that it is."""
        await self._set(port, "off", op_id)

    async def on(self, port: int, *, op_id: str) -> None:
        """Switch the outlet on; returns once the agent says that it is."""
        await self._set(port, "on", op_id)

    async def cycle(self, port: int, *, off_s: float, op_id: str) -> CycleResult:
        """`off`, seen off, wait, `on`, seen on."""
        before = await self._look(port)
        return await two_commands.cycle(before, lambda to: self._set(port, to, op_id), off_s)

    async def findings(self) -> Sequence[Finding]:
        """Tell whether the agent offers what we need, by its own metadata."""
        ended = await self._run("metadata", None, Phase.NOT_SENT)
        offered = set(_ACTION_TAG.findall(ended.text))
        if not offered:
            return [Finding("agent", Mark.WARNING, "its metadata can't be read")]
        if missing := [action for action in _NEEDED if action not in offered]:
            return [Finding("agent", Mark.BAD, f"it doesn't offer {', '.join(missing)}")]
        return [Finding("agent", Mark.GOOD, f"it offers {', '.join(_NEEDED)}")]

    async def aclose(self) -> None:
        """Nothing is kept open between runs."""

    async def _look(self, port: int) -> PortState:
        ended = await self._run("status", port, Phase.NOT_SENT)
        admin = _STATUS.get(ended.status)
        # 2 is also what many programs exit with that didn't understand their input.
        if admin == "off" and ended.text and not _SAYS_OFF.search(ended.text):
            admin = None
        if admin is None:
            raise self._failure("status", ended, Phase.NOT_SENT)
        raw = f"status {ended.status}: {ended.text[:_MOST_TEXT]}"
        return PortState(port, admin, None, None, None, boottime(), raw)

    async def _set(self, port: int, to: Literal["off", "on"], op_id: str) -> PortState:
        _log.info("power_set_sent", port=port, op_id=op_id, to=to)
        trouble = ""
        try:
            ended = await self._run(to, port, Phase.UNKNOWN)
        except PowerError as error:
            if error.phase is not Phase.UNKNOWN:
                raise
            trouble = str(error)
        else:
            trouble = str(self._failure(to, ended, Phase.UNKNOWN)) if ended.status else ""
        deadline = boottime() + self._settings.confirm_s
        shows = "can't be seen"
        while True:
            try:
                state = await self._look(port)
            except PowerError as error:
                shows = f"can't be seen: {error}"
            else:
                if state.admin == ("off" if to == "off" else "auto"):
                    return state
                shows = f"shows {state.raw!r}"
            if boottime() >= deadline:
                said = trouble or f"{to}: the agent says done"
                raise PowerError(Phase.UNKNOWN, f"{said}, but port {port} {shows}")
            await asyncio.sleep(self._settings.poll_s)

    async def _run(self, action: Action, port: int | None, lost: Phase) -> fence_agent.Ended:
        settings = self._settings
        options = {"action": action} | self._options(port)
        deadline_s = settings.switch_s if action in {"on", "off"} else settings.status_s
        async with self._sessions:
            return await fence_agent.run(settings.agent, options, deadline_s, lost=lost)

    def _options(self, port: int | None) -> dict[str, str]:
        settings = self._settings
        if port is None:
            return {}
        if type(port) is not int or port not in settings.ports:
            raise PowerError(Phase.REJECTED, f"{port!r} is no outlet of the inventory")
        named = {"plug": settings.plug, **settings.options}
        options = {key: value.replace("{port}", str(port)) for key, value in named.items()}
        return options | self._secrets()

    def _secrets(self) -> dict[str, str]:
        if self._settings.credentials is None:
            return {}
        found = secret_lines.read(self._settings.credentials)
        if reserved := found.keys() & set(_OURS):
            raise PowerError(
                Phase.NOT_SENT,
                f"{self._settings.credentials}: {reserved.pop()}: is ours to say",
                stage=Stage.CREDENTIALS,
            )
        return found

    def _failure(self, action: Action, ended: fence_agent.Ended, phase: Phase) -> PowerError:
        """Say how a run went wrong, without what is secret even if the agent repeats it."""
        text = ended.text
        for secret in self._secrets().values():
            text = text.replace(secret, "***") if secret else text
        refused = _LOGIN.search(text) is not None
        return PowerError(
            phase,
            f"{self._settings.agent.name}: {action}: exit status {ended.status}:"
            f" {text[:_MOST_TEXT]!r}",
            stage=Stage.LOGIN if refused else Stage.REACH,
        )
