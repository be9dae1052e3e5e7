"""Two ways to restart a unit and prove it: systemd's jobs over D-Bus, or systemctl.

In both, start limits are cleared first, or systemd would refuse. The proof is a new invocation
id in state active: `systemctl restart` alone ends with 0 as well when nothing was restarted.
"""

import asyncio
import time
from typing import Protocol

from agents.bus import Bus, BusError, connected
from agents.lane import Lane
from agents.programs import ProgramError
from agents.systemctl import Systemctl, Unit
from agents.systemd_bus import MANAGER, NO_SUCH_UNIT, Jobs, look, ping, subscribe_to_jobs
from agents.treatment import TreatmentError
from common.clock import boottime

_POLL_S = 0.2
_LOOK_S = 5.0
_PING_S = 1.0


class Restarter(Protocol):
    """Restarts units."""

    async def restart(self, unit: str, until: float) -> str:
        """Restart `unit` before `until`, seconds of CLOCK_BOOTTIME, and return the proof.

        Raises `TreatmentError`.
        """


class RestarterOnBus:
    """Asks PID 1 and waits for its job's result.

    Its own connection, closed at the end: what PID 1 hasn't begun by then it refuses later,
    see `agents.bus`. A job that runs over the deadline is cancelled.
    """

    def __init__(self, address: str) -> None:
        self._address = address

    async def restart(self, unit: str, until: float) -> str:
        """Restart `unit`; the proof names the job's result and the new invocation."""
        jobs = Jobs()
        try:
            async with connected(self._address, jobs.on_signal) as bus:
                await ping(bus, min(_PING_S, _left(until)))  # nothing is asked of a hung PID 1
                return await _restart(bus, jobs, unit, until)
        except BusError as error:
            raise TreatmentError(f"restart of {unit}: {error}") from None


async def _restart(bus: Bus, jobs: Jobs, unit: str, until: float) -> str:
    before = await look(bus, unit, _left(until))
    await subscribe_to_jobs(bus, _left(until))
    try:
        await bus.call(MANAGER, "ResetFailedUnit", "s", unit, deadline_s=_left(until))
    except BusError as error:
        if error.name != NO_SUCH_UNIT:  # not loaded: nothing to forget
            raise
    (job,) = await bus.call(MANAGER, "RestartUnit", "ss", unit, "replace", deadline_s=_left(until))
    result = await _result(bus, jobs, str(job), until)
    after = await look(bus, unit, max(_PING_S, until - boottime()))
    if result != "done":
        raise TreatmentError(
            f"restart of {unit}: the job's result is {result}; {unit} is {_state(after)}"
        )
    if after.active != "active" or after.invocation in {"", before.invocation}:
        raise TreatmentError(_unproven(unit, before, after))
    return f"{unit} is active, invocation {after.invocation}, job done"


async def _result(bus: Bus, jobs: Jobs, job: str, until: float) -> str:
    margin_s = min(_PING_S, _left(until) / 2)  # to cancel it, and to say so
    try:
        async with asyncio.timeout(_left(until) - margin_s):
            return await jobs.result_of(job)
    except TimeoutError:
        number = int(job.rpartition("/")[2])
        await bus.call(MANAGER, "CancelJob", "u", number, deadline_s=margin_s)
        raise TreatmentError("its job didn't end in time and was cancelled") from None


class RestarterByProgram:
    """Runs systemctl. A job that PID 1 accepted and that outlives the deadline may still run."""

    def __init__(self, systemctl: Systemctl, lane: Lane | None = None) -> None:
        self._systemctl = systemctl
        self._lane = lane or Lane()

    async def restart(self, unit: str, until: float) -> str:
        """Restart `unit` in a thread: systemctl may hang."""
        return await self._lane.run("restart by systemctl", lambda: self._restart(unit, until))

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
        after: Unit | None = None
        while True:
            try:
                after = self._look(unit, until)
            except (ProgramError, TreatmentError) as error:
                # A look cut off by the deadline tells less than the one before it.
                why = _unproven(unit, before, after) if after else f"not proven: {error}"
                raise TreatmentError(f"{unit} was restarted, but {why}") from None
            if after.active == "active" and after.invocation not in {"", before.invocation}:
                return f"{unit} is active, invocation {after.invocation}"
            if boottime() + _POLL_S >= until:
                raise TreatmentError(f"{unit} was restarted, but {_unproven(unit, before, after)}")
            time.sleep(_POLL_S)

    def _look(self, unit: str, until: float) -> Unit:
        return self._systemctl.show((unit,), min(_LOOK_S, _left(until)))[0]


def _unproven(unit: str, before: Unit, after: Unit) -> str:
    what = "is the old one" if after.invocation == before.invocation else "is new"
    return f"{unit} is {after.active}; its invocation {what}"


def _state(unit: Unit) -> str:
    return f"{unit.active} ({unit.sub}), result {unit.result or 'none'}"


def _left(until: float) -> float:
    """Seconds left. Raises when there are none: nothing may be asked after the deadline."""
    left_s = until - boottime()
    if left_s <= 0:
        raise TreatmentError("the deadline passed before it was done")
    return left_s
