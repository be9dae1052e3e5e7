"""`restart_unit`: restart one of the configured units, and prove that it was."""

from collections.abc import Mapping, Sequence

from agents.restarting import Restarter
from agents.systemctl import unit_name
from common.clock import boottime


class RestartUnit:
    """Argument `unit`: a name among `allowed`."""

    name = "restart_unit"
    needs_root = True

    def __init__(self, restarter: Restarter, allowed: Sequence[str]) -> None:
        self._restarter = restarter
        self._allowed = frozenset(allowed)

    def refusal(self, arguments: Mapping[str, str]) -> str:
        """Allow exactly one argument, and only units this agent was configured for."""
        if set(arguments) != {"unit"}:
            return "expected one argument: unit"
        if unit_name(arguments["unit"]) not in self._allowed:
            return f"unit {arguments['unit']} is not among those this agent may restart"
        return ""

    async def carry_out(self, arguments: Mapping[str, str], deadline_s: float) -> str:
        """Restart it; the restarter knows what proves it."""
        unit = unit_name(arguments["unit"])
        return await self._restarter.restart(unit, boottime() + deadline_s)
