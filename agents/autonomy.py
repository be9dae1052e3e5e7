"""What the agent does alone while its supervisor is silent: by default nothing.

With `--autonomy restart-units` it restarts a unit that has failed for as long as the supervisor
has been silent, a few times with growing pauses, and never while the root file system is
stalled. Nothing drastic exists here: reboots and sysrq need somebody who sees the other nodes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from agents.logbook import Logbook
from agents.settings import Autonomy
from common.clock import boottime
from common.observations import Truth
from common.wire import WireObservation

MOST_RESTARTS = 3  # of one unit within a silence
_PAUSE_S = 60.0  # after the first; doubled after each
_TURN_S = 1.0
_DEADLINE_S = 60.0
_log = structlog.get_logger(__name__)

Snapshot = Callable[[], Sequence[WireObservation]]
Carry = Callable[[str, dict[str, str], float], Awaitable[tuple[str, str]]]
"""Carries a treatment out with arguments and deadline; returns its status and detail."""


@dataclass(slots=True)
class _Patient:
    failed_at: float
    restarts: int = 0
    not_before: float = 0.0


class Alone:
    """Decides what to do alone. Pure: instants are seconds of CLOCK_BOOTTIME."""

    def __init__(self, autonomy: Autonomy, after_s: float) -> None:
        self._autonomy = autonomy
        self._after_s = after_s
        self._patients: dict[str, _Patient] = {}

    def unit_to_restart(
        self, now: float, silent_s: float, seen: Sequence[WireObservation]
    ) -> tuple[str, str] | None:
        """Return a unit and the reason to restart it now, or None."""
        failed = [
            one.subject for one in seen if one.kind == "unit_failed" and one.status is Truth.TRUE
        ]
        self._patients = {
            unit: self._patients.get(unit, _Patient(failed_at=now))
            for unit in dict.fromkeys([*failed, *self._treated(silent_s)])
        }
        for unit in self._patients.keys() - failed:
            self._patients[unit].failed_at = now
        if self._autonomy is Autonomy.NONE or silent_s < self._after_s or _stalled(seen):
            return None
        for unit in failed:
            patient, failed_s = self._patients[unit], now - self._patients[unit].failed_at
            if failed_s < self._after_s or now < patient.not_before:
                continue
            if patient.restarts >= MOST_RESTARTS:
                continue
            patient.not_before = now + _PAUSE_S * 2.0**patient.restarts
            patient.restarts += 1
            why = f"failed for {failed_s:.0f} s, supervisor silent for {silent_s:.0f} s"
            return unit, f"{why}, restart {patient.restarts} of {MOST_RESTARTS}"
        return None

    def _treated(self, silent_s: float) -> list[str]:
        """Return the units restarted in this silence: well or not, they keep their count."""
        return [unit for unit, one in self._patients.items() if one.restarts and silent_s > 0]


def _stalled(seen: Sequence[WireObservation]) -> bool:
    return any(one.kind == "root_stalled" and one.status is not Truth.FALSE for one in seen)


async def act_alone(alone: Alone, logbook: Logbook, snapshot: Snapshot, carry: Carry) -> None:
    """Look each second whether there is something to be done alone, and do it; for ever."""
    while True:
        now = boottime()
        order = alone.unit_to_restart(now, logbook.silent_s(now), snapshot())
        if order:
            unit, why = order
            _log.warning("acting_alone", treatment="restart_unit", unit=unit, reason=why)
            logbook.note(now, "treatment", f"alone: restart_unit {unit}: {why}")
            status, detail = await carry("restart_unit", {"unit": unit}, _DEADLINE_S)
            _log.warning("acted_alone", unit=unit, status=status, detail=detail)
        await asyncio.sleep(_TURN_S)
