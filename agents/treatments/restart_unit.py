"""`restart_unit`: restart one of the configured units, and prove that it was.

Start limits are cleared first, or systemd would refuse. The proof is a new invocation id in
state active: `systemctl restart` alone ends with 0 as well when nothing was restarted.
Later: D-Bus jobs, which can be cancelled; until then a job that PID 1 accepted and that
outlives the deadline may still run.
"""

import time
from collections.abc import Mapping, Sequence

from agents.programs import ProgramError
from agents.systemctl import Systemctl, Unit, unit_name
from agents.threads import in_thread
from agents.treatment import TreatmentError
from common.clock import boottime

_POLL_S = 0.2
_LOOK_S = 5.0


class RestartUnit:
    """Argument `unit`: a name among `allowed`."""

    name = "restart_unit"

    def __init__(self, systemctl: Systemctl, allowed: Sequence[str]) -> None:
        self._systemctl = systemctl
        self._allowed = frozenset(allowed)

    def refusal(self, arguments: Mapping[str, str]) -> str:
        """Allow exactly one argument, and only units this agent was configured for."""
        if set(arguments) != {"unit"}:
            return "expected one argument: unit"
        if unit_name(arguments["unit"]) not in self._allowed:
            return f"unit {arguments['unit']} is not among those this agent may restart"
        return ""

    async def carry_out(self, arguments: Mapping[str, str], deadline_s: float) -> str:
        """Restart it in a thread: systemctl may hang."""
        unit, until = unit_name(arguments["unit"]), boottime() + deadline_s
        return await in_thread(lambda: self._restart(unit, until), f"restart {unit}")

    def _restart(self, unit: str, until: float) -> str:
        try:
            before = self._look(unit, until)
            self._systemctl.reset_failed(unit, _left(until))  # fails on a unit not loaded: fine
            ended = self._systemctl.restart(unit, _left(until))
        except ProgramError as error:
            raise TreatmentError(str(error)) from None
        if ended.status:
            raise TreatmentError(f"restart of {unit}: {ended.complaint}")
        return self._proof(unit, before, until)

    def _proof(self, unit: str, before: Unit, until: float) -> str:
        while True:
            try:
                after = self._look(unit, until)
            except ProgramError as error:
                raise TreatmentError(f"{unit} was restarted, but not proven: {error}") from None
            if after.active == "active" and after.invocation not in {"", before.invocation}:
                return f"{unit} is active, invocation {after.invocation}"
            if boottime() + _POLL_S >= until:
                what = "is the old one" if after.invocation == before.invocation else "is new"
                raise TreatmentError(f"{unit} is {after.active}; its invocation {what}")
            time.sleep(_POLL_S)

    def _look(self, unit: str, until: float) -> Unit:
        return self._systemctl.show((unit,), min(_LOOK_S, _left(until)))[0]


def _left(until: float) -> float:
    """Seconds left. Raises when there are none: nothing may be asked after the deadline."""
    left_s = until - boottime()
    if left_s <= 0:
        raise TreatmentError("the deadline passed before it was done")
    return left_s
