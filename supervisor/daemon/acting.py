"""The hands: one action to the one actuator that gives it, and its word back to the core."""

from collections.abc import Awaitable, Callable, Mapping

from supervisor.actuators.agent_commands import AgentCommands
from supervisor.actuators.power.orders import PowerOutcome, PowerRequest, Verdict
from supervisor.actuators.power.service import PowerService
from supervisor.actuators.ssh import SshActuator
from supervisor.core.effects import Action, Actuator, Treatment
from supervisor.core.events import Result
from supervisor.core.rails import Rail

# What the power service may claim -> what the core understands. An effect nobody saw is for
# verification to find; only what provably never happened may be tried again for nothing.
_MEANING: Mapping[Verdict, Result] = {
    Verdict.VERIFIED: Result.SUCCEEDED,
    Verdict.SENT_UNVERIFIED: Result.UNKNOWN,
    Verdict.UNKNOWN: Result.UNKNOWN,
    Verdict.REFUSED: Result.REFUSED,
    Verdict.FAILED: Result.NOT_SENT,
}


class Hands:
    """Carries out actions."""

    def __init__(
        self, agents: AgentCommands, ssh: SshActuator, power: PowerService, off_s: float
    ) -> None:
        self._agents = agents
        self._ssh = ssh
        self._power = power
        self._off_s = off_s

    async def perform(self, action: Action) -> tuple[Result, str]:
        """Carry out one action; ends by its deadline or soon after."""
        match action.actuator:
            case Actuator.AGENT:
                return await self._agents.perform(action)
            case Actuator.SSH:
                return await self._ssh.perform(action)
            case Actuator.POWER:
                return await self._switch_power(action)

    async def _switch_power(self, action: Action) -> tuple[Result, str]:
        acts: Mapping[Treatment, Callable[[PowerRequest], Awaitable[PowerOutcome]]] = {
            Treatment.POWER_CYCLE: self._power.cycle,
            Treatment.POWER_ON: self._power.on,
            Treatment.POWER_OFF: self._power.off,
        }
        try:
            off_s = float(action.arguments.get("off_s", self._off_s))
        except ValueError:
            return Result.REFUSED, f"off_s: expected seconds, found {action.arguments['off_s']!r}"
        request = PowerRequest(
            node=action.node,
            requested_by=action.requested_by,
            action_id=action.id,
            off_s=off_s,
            allow_protected=action.allow_protected,
            skip_cool_down=Rail.COOL_DOWN in action.skip,
        )
        outcome = await acts[action.treatment](request)
        others = "".join(f"; port {c.port} changed too: {c.after}" for c in outcome.other_ports)
        port = f"port {outcome.port} " if outcome.port else ""
        meaning = _MEANING[outcome.verdict]
        if outcome.retry_in_s is not None:  # refused for now: the same rung again, later
            meaning = Result.NOT_SENT
        return meaning, f"{port}{outcome.verdict}: {outcome.detail}{others}"
