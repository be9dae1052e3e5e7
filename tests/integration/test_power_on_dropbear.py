"""The power service against a real dropbear with busybox ash: what the switch's own shell does.

Only `swctrl` and the ports behind it are faked. The oracle is the ports' transition log.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncssh
import pytest

from lab.switch import dropbear
from lab.switch.dropbear import DropbearSwitch
from lab.switch.faults import Fault, Kind
from lab.switch.ports import Latencies
from supervisor.actuators.power.orders import PowerRequest, Verdict
from supervisor.actuators.power.service import PowerService
from supervisor.journal.journal import Journal
from tests.integration import power_process

KEY = asyncssh.generate_private_key("ssh-ed25519")
ROOT = Path(__file__).parents[2]
PORT, LOGIN = 15, 9
DETACHED = (
    f"nohup sh -c 'swctrl poe set off id {PORT}; sleep 2; swctrl poe set auto id {PORT}'"
    " >/dev/null 2>&1 </dev/null &"
)
FOREGROUND = f"swctrl poe set off id {PORT}; sleep 2; swctrl poe set auto id {PORT}"
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(dropbear.why_not()), reason=dropbear.why_not()),
]


@pytest.fixture
async def switch(tmp_path: Path) -> AsyncIterator[DropbearSwitch]:
    """Return a switch whose seconds are seconds, with Pis on two ports."""
    (tmp_path / "switch").mkdir()
    lags = Latencies(off=0.01, on=0.02, restart=2.0)
    switch = DropbearSwitch(tmp_path / "switch", authorized_key=KEY, latencies=lags)
    for number in (PORT, LOGIN):
        switch.ports.plug(number, mac=f"dc:a6:32:00:00:{number:02x}")
    async with switch:
        (tmp_path / "known_hosts").write_text(switch.known_hosts_line())
        (tmp_path / "key").write_bytes(KEY.export_private_key())
        (tmp_path / "key").chmod(0o600)
        yield switch


@contextlib.asynccontextmanager
async def started(switch: DropbearSwitch, place: Path, mode: str) -> AsyncIterator[PowerService]:
    """Start the service as a supervisor does."""
    with Journal(place / "state") as journal:
        service = power_process.service(
            journal, switch.port, place / "known_hosts", place / "key", PORT, mode
        )
        yield service
        await service.aclose()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for `condition`, with a deadline."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 -- the switch has many conditions, no events
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("mode", ["restart", "detached", "two_steps"])
async def test_a_cycle_is_proven(switch: DropbearSwitch, tmp_path: Path, mode: str) -> None:
    """Each kind of cycle is verified, touches one port, and uses one connection."""
    async with started(switch, tmp_path, mode) as service:
        outcome = await service.cycle(PowerRequest("yellow1", "runbook hung"))
    assert (outcome.verdict, outcome.settled) == (Verdict.VERIFIED, True), outcome
    assert switch.ports.history(PORT) == ["off", "on"]
    assert switch.ports.touched() == {PORT}
    assert switch.accepted == 1


async def test_a_protected_port_is_not_touched(switch: DropbearSwitch, tmp_path: Path) -> None:
    """Nobody even logs in for it."""
    async with started(switch, tmp_path, "restart") as service:
        for order in (service.cycle, service.off):
            assert (await order(PowerRequest("login", "x"))).verdict is Verdict.REFUSED
    assert (switch.ports.log, switch.executed) == ([], [])


async def test_a_stale_map_kills_no_stranger(switch: DropbearSwitch, tmp_path: Path) -> None:
    """The switch's own address table is asked before anything is sent."""
    switch.ports[PORT].mac, switch.ports[LOGIN].mac = (
        switch.ports[LOGIN].mac, switch.ports[PORT].mac,
    )  # fmt: skip
    async with started(switch, tmp_path, "restart") as service:
        outcome = await service.cycle(PowerRequest("yellow1", "x"))
    assert outcome.verdict is Verdict.REFUSED
    assert "behind port 9, and not 15" in outcome.detail
    assert switch.ports.log == []


@pytest.mark.parametrize("line", [DETACHED, FOREGROUND], ids=["detached", "foreground"])
@pytest.mark.parametrize("how", ["client", "server"])
async def test_off_sleep_on_survives_a_cut(switch: DropbearSwitch, line: str, how: str) -> None:
    """Cut from either end between off and on, the switch's shell goes on and switches on."""
    connection = await asyncssh.connect(
        switch.host, switch.port, username=switch.user, client_keys=[KEY], config=None,
        known_hosts=asyncssh.import_known_hosts(switch.known_hosts_line()), agent_path=None,
    )  # fmt: skip
    await connection.create_process(line)
    await until(lambda: switch.ports.history(PORT) == ["off"])
    if how == "client":
        connection.abort()
    else:
        switch.cut_connections()
    await until(lambda: switch.ports.history(PORT) == ["off", "on"])
    connection.abort()


@pytest.mark.parametrize("mode", ["restart", "detached", "two_steps"])
async def test_a_supervisor_killed_between_off_and_on(
    switch: DropbearSwitch, tmp_path: Path, mode: str
) -> None:
    """Kill -9 with the port off: the switch ends the cycle, or the next supervisor does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.power_process", str(tmp_path / "state"),
        str(switch.port), str(tmp_path / "known_hosts"), str(tmp_path / "key"), str(PORT), mode,
        cwd=ROOT,
    )  # fmt: skip
    await until(lambda: switch.ports.history(PORT) == ["off"])
    process.kill()
    await process.wait()
    if mode == "two_steps":
        assert switch.ports[PORT].admin == "off"  # nobody but us will switch it on
    async with started(switch, tmp_path, mode) as service, asyncio.timeout(30):
        while (await service.reconcile()).pending:  # noqa: ASYNC110 -- each look is a step
            await asyncio.sleep(0.1)
        assert switch.ports[PORT].admin == "auto"
        again = await service.cycle(PowerRequest("yellow1", "x"))
    assert "cool-down" in again.detail
    await until(lambda: switch.ports[PORT].powered)
    assert switch.ports.history(PORT) == ["off", "on"]
    assert switch.ports.touched() == {PORT}


@pytest.mark.parametrize("kind", [Kind.RESET_AFTER, Kind.HANG_AFTER])
async def test_a_session_lost_after_the_effect(
    switch: DropbearSwitch, tmp_path: Path, kind: Kind
) -> None:
    """No answer to `restart`, which happened: it is found by looking, and not sent again."""
    switch.inject(Fault(kind, match="restart"))
    switch.ports.latencies = Latencies(off=0.01, on=0.02, restart=9.0)
    async with started(switch, tmp_path, "restart") as service:
        outcome = await service.cycle(PowerRequest("yellow1", "x"))
    assert outcome.verdict is Verdict.VERIFIED, outcome.detail
    assert sum("restart" in one.line for one in switch.executed) == 1
    await until(lambda: switch.ports[PORT].powered)
    assert switch.ports.history(PORT) == ["off", "on"]
