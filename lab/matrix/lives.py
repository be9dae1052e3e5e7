"""The supervisor's process: the real service, with the settings of production, on shared time.

A life orders a cycle, tries again as an impatient caller would, and looks after what is left
over. It ends at a fixed time, or by SIGKILL.
"""

import asyncio
import json
import os
import random
import socket
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from lab.crash.two_steps import TwoStepDriver
from lab.matrix.cases import OTHER, PORT, Case, Without
from lab.matrix.lockstep import Control, Leader, LockstepLoop, SharedClock
from lab.matrix.switchyard import PORTS
from supervisor.actuators.power.driver import CycleOutcome, CycleResult, PowerError
from supervisor.actuators.power.orders import Outlet, PowerOutcome, PowerRequest
from supervisor.actuators.power.service import PowerService
from supervisor.actuators.power.settings import PowerSettings
from supervisor.actuators.power.swctrl import SwctrlDriver, SwctrlSettings
from supervisor.journal.journal import Journal
from supervisor.journal.timeline import Event

OUTLETS = {
    "yellow1": Outlet(PORT, f"dc:a6:32:00:00:{PORT:02x}"),
    "green1": Outlet(OTHER, f"dc:a6:32:00:00:{OTHER:02x}"),
}
SETTINGS = PowerSettings()
RESTART_S = 2.0  # systemd's RestartSec
AGAIN_S = (1.0, 20.0, 60.0)  # pauses of an impatient caller
LIFE_S = 250.0  # longer than the longest fault and its repair
_DRIVERS = {"restart": SwctrlDriver, "detached": SwctrlDriver, "two_steps": TwoStepDriver}


def live(
    clock: SharedClock, control: socket.socket, case: Case, number: int, place: Path, port: int
) -> None:
    """Be the supervisor's `number`th life (from 0) of a case; outcomes go to a file."""
    time.clock_gettime = lambda _which: clock.now()  # this process's clock, whoever asks
    random.seed(number)
    asker = Control(control)

    async def main() -> None:
        if number:
            await asyncio.sleep(RESTART_S)
        asker.ask(f"life {os.getpid()}")
        if number and case.without is Without.RECOVERY:
            await asyncio.sleep(LIFE_S)
            return
        with Journal(place / "state") as journal, (place / "outcomes").open("a") as outcomes:
            journal.state.next_term()
            power = service(case, journal, place, port)

            def tell(story: object) -> None:
                journal.timeline.append(Event("reconciled", str(story), "yellow1"))

            loop = asyncio.get_running_loop()
            background = loop.create_task(power.run(tell))
            until = loop.time() + LIFE_S

            async def order(action: str) -> None:
                begun = loop.time()
                request = PowerRequest("yellow1", "runbook hung", action_id=action)
                outcome = await power.cycle(request)
                if "breaker" in outcome.detail:
                    await _look_into_it(power)
                outcomes.write(_line(outcome, action, begun, loop.time()))
                outcomes.flush()

            await order("first")  # a later life's medic doesn't know what became of it
            for count, pause in enumerate(AGAIN_S):
                await asyncio.sleep(pause)
                await order(f"life {number}, again {count}")
            await asyncio.sleep(max(0.0, until - loop.time()))
            background.cancel()
            await power.aclose()

    loop = LockstepLoop(clock, Leader(clock, asker))
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())


async def _look_into_it(power: PowerService) -> None:
    """A person tests the login, as the alarm asks for."""
    with suppress(PowerError):  # it is not well yet; there will be another alarm
        await power.validate()


class _Credulous(SwctrlDriver):
    """Takes the switch's word for what became of a command."""

    async def cycle(self, port: int, *, off_s: float, op_id: str) -> CycleResult:
        """Send it, and claim to have seen what should have come of it."""
        before = (await self.status())[port]
        await super().cycle(port, off_s=off_s, op_id=op_id)
        off = replace(before, admin="off", delivering=False)
        return CycleResult(CycleOutcome.VERIFIED, "seen off, then on", (before, off, before))


def service(case: Case, journal: Journal, place: Path, port: int) -> PowerService:
    """Build the service as the daemon does, over the driver of the case."""
    settings = SwctrlSettings(
        address="127.0.0.1", port=port, known_hosts=place / "known_hosts",
        client_key=place / "key", ports=PORTS, atomic=case.mode == "restart", poll_s=1.0,
        keepalive_s=60.0,
    )  # fmt: skip
    driver = _Credulous if case.without is Without.LOOKING else _DRIVERS[case.mode]
    return PowerService(
        driver(settings), journal, OUTLETS,
        replace(SETTINGS, cool_down_s=0) if case.without is Without.COOL_DOWN else SETTINGS,
        rng=random.Random(1),  # noqa: S311 - jitter
    )  # fmt: skip


def _line(outcome: PowerOutcome, action: str, begun: float, ended: float) -> str:
    return json.dumps(
        {
            "action": action, "begun": begun, "ended": ended, "verdict": outcome.verdict,
            "detail": outcome.detail, "settled": outcome.settled, "op_id": outcome.op_id,
            "others": [[one.port, one.restored] for one in outcome.other_ports],
        }
    ) + "\n"  # fmt: skip
