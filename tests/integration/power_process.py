"""A supervisor's power service in a process of its own, to be killed.

python power_process.py STATE_DIR PORT KNOWN_HOSTS KEY OUTLET_PORT restart|detached|two_steps
"""

import asyncio
import sys
from pathlib import Path

from lab.crash.two_steps import TwoStepDriver
from supervisor.actuators.power.orders import Outlet, PowerRequest
from supervisor.actuators.power.service import PowerService
from supervisor.actuators.power.settings import PowerSettings
from supervisor.actuators.power.swctrl import SwctrlDriver, SwctrlSettings
from supervisor.journal.journal import Journal

OFF_S = 2.0
SETTINGS = PowerSettings(default_off_s=OFF_S, min_off_s=1.0, late_effect_s=1.0, retry_first_s=0.1)


def service(
    journal: Journal, port: int, known_hosts: Path, key: Path, outlet: int, mode: str
) -> PowerService:
    """Build it over the driver of `mode`."""
    driver = TwoStepDriver if mode == "two_steps" else SwctrlDriver
    settings = SwctrlSettings(
        address="127.0.0.1", port=port, known_hosts=known_hosts, client_key=key,
        atomic=mode == "restart", poll_s=0.1, command_s=5.0, settle_s=20.0,
    )  # fmt: skip
    outlets = {
        "yellow1": Outlet(outlet, f"dc:a6:32:00:00:{outlet:02x}"),
        "login": Outlet(9, "dc:a6:32:00:00:09", protected=True),
    }
    return PowerService(driver(settings), journal, outlets, SETTINGS)


async def _main(state: str, port: str, known_hosts: str, key: str, outlet: str, mode: str) -> None:
    with Journal(Path(state)) as journal:
        power = service(journal, int(port), Path(known_hosts), Path(key), int(outlet), mode)
        outcome = await power.cycle(PowerRequest("yellow1", "runbook hung", action_id="a1"))
        sys.stdout.write(f"{outcome.verdict}\n")
        await power.aclose()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
