"""The switch's other command line, where there is no `swctrl`, over real ssh to the fake switch.

The oracle is the switch's own log of transitions.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from lab.switch.faults import Fault, Kind
from lab.switch.ports import Latencies
from lab.switch.server import FakeSwitch
from supervisor.actuators.power import switch_cli
from supervisor.actuators.power.driver import (
    Capability,
    CycleOutcome,
    Phase,
    PowerDriver,
    PowerError,
    Stage,
)
from supervisor.actuators.power.swctrl import SwctrlSettings
from supervisor.actuators.power.swctrl_table import TableError
from supervisor.actuators.power.switch_shell import SwitchShellDriver

KEY = asyncssh.generate_private_key("ssh-ed25519")
QUICK = Latencies(off=0.01, on=0.02, restart=0.15)
SECOND_S = 0.05
PORT, OTHER, SFP = 15, 33, 50


@pytest.fixture(params=["telnet", "cli"])
async def switch(request: pytest.FixtureRequest) -> AsyncIterator[FakeSwitch]:
    """Return a switch without swctrl, and with one of the two ways to its command line."""
    fake = FakeSwitch(authorized_keys=[KEY], latencies=QUICK, second_s=SECOND_S)
    fake.command_lines = {request.param}
    for number in (9, PORT, OTHER):
        fake.ports.plug(number, mac=f"dc:a6:32:00:00:{number:02x}")
    async with fake:
        yield fake


@pytest.fixture
def settings(switch: FakeSwitch, tmp_path: Path) -> SwctrlSettings:
    """Return patient settings."""
    (tmp_path / "known_hosts").write_text(switch.known_hosts_line())
    (tmp_path / "key").write_bytes(KEY.export_private_key())
    return SwctrlSettings(
        address=switch.host,
        port=switch.port,
        known_hosts=tmp_path / "known_hosts",
        client_key=tmp_path / "key",
        connect_s=4,
        command_s=4,
        backoff_s=0.02,
        backoff_max_s=0.1,
        poll_s=0.01,
        confirm_s=4,
        settle_s=6,
    )


@pytest.fixture
async def driver(settings: SwctrlSettings) -> AsyncIterator[SwitchShellDriver]:
    """Return the driver."""
    driver = SwitchShellDriver(settings)
    yield driver
    await driver.aclose()


def _is_the_protocol(driver: SwitchShellDriver) -> PowerDriver:
    return driver


async def _until(condition: Callable[[], bool], within_s: float = 5) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 -- the switch has many conditions, no events
            await asyncio.sleep(0.005)


async def test_status_tells_every_port_and_changes_nothing(
    driver: SwitchShellDriver, switch: FakeSwitch
) -> None:
    """Told, delivering, watts and class, from two shows of one session without pages."""
    await _is_the_protocol(driver).validate()
    states = await driver.status()
    assert states.keys() == set(range(1, 49))
    busy, idle = states[PORT], states[1]
    assert (busy.admin, busy.delivering, busy.watts) == ("auto", True, 3.4)
    assert (busy.pd_class, idle.pd_class) == ("Class4", None)
    assert (idle.admin, idle.delivering) == ("auto", False)
    assert not driver.capabilities & {Capability.ATOMIC_CYCLE, Capability.MAC_LOOKUP}
    assert await driver.macs() == {}
    assert switch.ports.log == []


async def test_off_and_on_touch_one_port(driver: SwitchShellDriver, switch: FakeSwitch) -> None:
    """Off and on return once the port shows it, and no other port changes."""
    await driver.off(PORT, op_id="a")
    assert (await driver.status())[PORT].admin == "off"
    await driver.on(PORT, op_id="b")
    await _until(lambda: switch.ports[PORT].powered)
    assert switch.ports.touched() == {PORT}
    assert switch.ports.history(PORT) == ["off", "on"]


@pytest.mark.parametrize("kind", [None, Kind.RESET_AFTER, Kind.HANG_AFTER, Kind.NO_EXIT_STATUS])
async def test_a_cycle_is_finished_by_the_switch(
    settings: SwctrlSettings, switch: FakeSwitch, kind: Kind | None
) -> None:
    """One detached line of three sessions; ours may end as it likes."""
    if kind:
        switch.inject(Fault(kind, match="nohup"))
    switch.second_s = 0.15  # to be off for longer than one look takes
    driver = SwitchShellDriver(replace(settings, command_s=1.5))
    result = await driver.cycle(PORT, off_s=10, op_id="a")
    assert result.outcome is CycleOutcome.VERIFIED, result.detail
    assert switch.ports.history(PORT) == ["off", "on"]
    assert switch.ports.touched() == {PORT}
    (line,) = [one.line for one in switch.executed if "nohup" in one.line]
    assert line.count("| telnet localhost" if "telnet" in switch.command_lines else "| cli") == 3
    await driver.aclose()


async def test_a_port_that_has_no_mode_of_its_own_is_never_typed_at(
    settings: SwctrlSettings, switch: FakeSwitch
) -> None:
    """`poe opmode` without an interface hits every port: so it is proven first, and refused."""
    driver = SwitchShellDriver(replace(settings, ports=60))
    with pytest.raises(PowerError, match="Invalid interface") as caught:
        await driver.off(60, op_id="a")
    assert caught.value.phase is Phase.REJECTED
    assert not any("opmode" in one.line for one in switch.executed)
    assert switch.ports.log == []
    await driver.aclose()


async def test_a_yes_without_effect_is_never_believed(
    settings: SwctrlSettings, switch: FakeSwitch
) -> None:
    """The port is looked at, as with swctrl."""
    switch.inject(Fault(Kind.NO_EFFECT, match="set off"))
    driver = SwitchShellDriver(replace(settings, confirm_s=0.1))
    with pytest.raises(PowerError) as caught:
        await driver.off(PORT, op_id="a")
    assert caught.value.phase is Phase.UNKNOWN
    assert switch.ports.log == []
    await driver.aclose()


async def test_a_switch_with_neither_is_refused_in_one_sentence(
    driver: SwitchShellDriver, switch: FakeSwitch
) -> None:
    """And nothing was changed by finding out."""
    switch.command_lines = set()
    with pytest.raises(PowerError, match="neither swctrl nor a command line") as caught:
        await driver.validate()
    assert (caught.value.phase, caught.value.stage) == (Phase.REJECTED, Stage.TOOL)
    assert switch.ports.log == []


async def test_what_a_firmware_update_took_away_is_searched_again(
    driver: SwitchShellDriver, switch: FakeSwitch
) -> None:
    """Swctrl goes, the other stays: one failure, and the next question knows."""
    other = set(switch.command_lines)
    switch.command_lines = {"swctrl", *other}
    await driver.status()
    assert Capability.MAC_LOOKUP in driver.capabilities
    switch.command_lines = other
    with pytest.raises(PowerError, match="not found"):
        await driver.status()
    assert PORT in await driver.status()
    assert Capability.MAC_LOOKUP not in driver.capabilities


BUSYBOX = shutil.which("busybox")


@pytest.mark.skipif(BUSYBOX is None, reason="needs Debian's busybox")
async def test_a_real_ash_types_what_was_meant(tmp_path: Path) -> None:
    """The switch's shell is busybox's: quoted and detached, it pipes the lines in this order."""
    telnet = tmp_path / "telnet"
    telnet.write_text(f"#!/bin/sh\necho $* >>{tmp_path}/typed\ncat >>{tmp_path}/typed\n")
    telnet.chmod(0o755)
    line = switch_cli.cycle("telnet localhost", PORT, 1, 1)
    ash = await asyncio.create_subprocess_exec(
        BUSYBOX or "", "ash", "-c", line, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}
    )
    assert await ash.wait() == 0
    session = ["localhost", "enable", "terminal length 0", "configure", f"interface 0/{PORT}"]
    off, on = ([*session, f"poe opmode {mode}", *["exit"] * 4] for mode in ("shutdown", "auto"))
    typed = tmp_path / "typed"
    await _until(lambda: typed.exists() and typed.read_text().count("exit\n") == 12, within_s=40)
    assert typed.read_text().splitlines() == [*off, *on, *on]


# The answers, read


STATUS = """\
(UBNT) #show poe status all
Intf      Detection      Class   Consumed(W) Voltage(V) Current(mA) Temperature(C)
--------- -------------- ------- ----------- ---------- ----------- --------------
0/1       Good           Class3         1.93      52.82       36.62             45
0/2       Open Circuit   Unknown        0.00       0.00        0.00              0
0/3       Disabled       Unknown        0.00       0.00        0.00              0
(UBNT) #show running-config
!Current Configuration:
!
interface  0/3
description 'a person did this'
poe opmode shutdown
exit
exit
(UBNT) #exit
"""


def test_an_answer_is_read() -> None:
    """What is default isn't in the configuration; a detection may be two words."""
    rows = switch_cli.parse(switch_cli.plain(STATUS.replace("\n", "\r\r\n")), ports=48)
    told = {port: (row.admin, row.delivering, row.watts) for port, row in rows.items()}
    assert told == {1: ("auto", True, 1.93), 2: ("auto", False, 0.0), 3: ("off", False, 0.0)}


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("0/2       Open", "--More-- or (q)uit", "pages"),
        ("(UBNT) #exit\n", "", "to its end"),
        ("!Current Configuration:", "", "to its end"),
        ("1.93", "lots", "can't be read"),
        ("0/2 ", "0/1 ", "twice"),
        ("0/2 ", "0/77", "isn't one of 1 to 48"),
        ("0/", "1/", "no port"),
    ],
)
def test_an_answer_that_is_not_whole_is_refused(old: str, new: str, why: str) -> None:
    """A switch is never driven by a guess."""
    with pytest.raises(TableError, match=why):
        switch_cli.parse(STATUS.replace(old, new), ports=48)


def test_disabled_without_a_setting_is_unknown() -> None:
    """The table and the configuration contradict each other: neither is believed."""
    rows = switch_cli.parse(STATUS.replace("poe opmode shutdown\n", ""), ports=48)
    assert rows[3].admin == "unknown"
