"""The fake switch over real ssh on loopback: it behaves like the recorded transcripts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncssh
import pytest

from lab.switch.faults import Fault, Kind
from lab.switch.ports import Latencies
from lab.switch.server import FakeSwitch
from lab.switch.swctrl import BadPort, Quirks

KEY = asyncssh.generate_private_key("ssh-ed25519")
QUICK = Latencies(off=0.01, on=0.02, restart=0.05)


@pytest.fixture
async def switch() -> AsyncIterator[FakeSwitch]:
    """Return a switch with Pis on ports 1, 6 and 15, and everything a hundred times faster."""
    fake = FakeSwitch(authorized_keys=[KEY], password="ubnt", latencies=QUICK, second_s=0.01)
    for number in (1, 6, 15):
        fake.ports.plug(number, pd_class="Class 2", mac=f"dc:a6:32:00:00:{number:02x}")
    fake.ports[1].watts = 1.38
    async with fake:
        yield fake


def _connect(switch: FakeSwitch, **options: Any) -> Any:
    pinned = asyncssh.import_known_hosts(switch.known_hosts_line())
    settings = {"client_keys": [KEY], "username": "admin", **options}
    return asyncssh.connect(
        switch.host, switch.port, known_hosts=pinned, config=None, agent_path=None, **settings
    )


async def _run(switch: FakeSwitch, line: str) -> asyncssh.SSHCompletedProcess:
    async with _connect(switch) as connection:
        return await connection.run(line, timeout=5)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 -- the switch has many conditions, no events
            await asyncio.sleep(0.005)


async def test_it_introduces_itself_as_dropbear(switch: FakeSwitch) -> None:
    """The version string is dropbear's."""
    async with _connect(switch) as connection:
        assert connection.get_extra_info("server_version") == "SSH-2.0-dropbear_2020.81"


async def test_poe_show_prints_the_recorded_table(switch: FakeSwitch) -> None:
    """Titles, units, dashes and rows stand where the recorded output has them."""
    shown = await _run(switch, "swctrl poe show id 1-2")
    assert (shown.exit_status, shown.stderr) == (0, "")
    assert shown.stdout == (
        "Total Power Limit(mW): 600000\n"
        "\n"
        "Port  OpMode      HpMode    PwrLimit   Class   PoEPwr  PwrGood  Power(W)  Voltage(V)"
        "  Current(mA)\n"
        "                              (mW)\n"
        "----  ------  ------------  --------  -------  ------  -------  --------  ----------"
        "  -----------\n"
        "   1    Auto        Dot3at     32000  Class 2      On     Good      1.38       53.24"
        "        25.92\n"
        "   2    Auto        Dot3at     32000  Unknown     Off      Bad      0.00        0.00"
        "         0.00\n"
    )


async def test_set_with_id_touches_one_port(switch: FakeSwitch) -> None:
    """`set off id 6` switches port 6 off, and only it."""
    assert (await _run(switch, "swctrl poe set off id 6")).exit_status == 0
    await _until(lambda: not switch.ports[6].powered)
    assert switch.ports.touched() == {6}


async def test_set_without_id_hits_every_port(switch: FakeSwitch) -> None:
    """The trap: `set off 6` switches everything off."""
    await _run(switch, "swctrl poe set off 6")
    await _until(lambda: not any(port.powered for port in switch.ports))
    assert switch.ports.touched() == set(range(1, 49))


async def test_a_list_of_ports_names_each(switch: FakeSwitch) -> None:
    """`1,15` and `1-6` name ports."""
    await _run(switch, "swctrl poe set off id 1,15")
    assert switch.ports.touched() == {1, 15}


async def test_unknown_commands_are_not_found(switch: FakeSwitch) -> None:
    """Ash says so and exits 127."""
    done = await _run(switch, "poectl show")
    assert (done.exit_status, done.stderr) == (127, "ash: poectl: not found\n")


@pytest.mark.parametrize(
    ("bad", "status", "speaks_on"),
    [(BadPort.ERROR, 1, "stderr"), (BadPort.COMPLAINT, 0, "stdout"), (BadPort.SILENCE, 0, "")],
)
async def test_a_bad_port_changes_nothing(
    switch: FakeSwitch, bad: BadPort, status: int, speaks_on: str
) -> None:
    """Whichever way the firmware complains, port 49 and port 99 change nothing."""
    switch.swctrl.quirks = Quirks(bad_port=bad)
    for number in (49, 99, 0):
        done = await _run(switch, f"swctrl poe set off id {number}")
        assert done.exit_status == status
        assert {"stdout": bool(done.stdout), "stderr": bool(done.stderr)} == {
            "stdout": speaks_on == "stdout",
            "stderr": speaks_on == "stderr",
        }
    assert switch.ports.log == []


async def test_mac_show_lists_what_is_linked(switch: FakeSwitch) -> None:
    """An address stands beside its port as long as the link is up."""
    switch.ports[6].link = False
    shown = await _run(switch, "swctrl mac show")
    assert "  15    1 dc:a6:32:00:00:0f " in shown.stdout
    assert "dc:a6:32:00:00:06" not in shown.stdout
    assert shown.stdout.endswith("Total number of entries: 2\n")


async def test_a_sequence_runs_in_order(switch: FakeSwitch) -> None:
    """`off; sleep; on` cycles the port."""
    await _run(switch, "swctrl poe set off id 6; sleep 10; swctrl poe set auto id 6")
    await _until(lambda: switch.ports.history(6) == ["off", "on"])


async def test_a_detached_line_returns_at_once_and_goes_on(switch: FakeSwitch) -> None:
    """Nohup with everything redirected outlives the client."""
    line = (
        "nohup sh -c 'swctrl poe set off id 6; sleep 10; swctrl poe set auto id 6' "
        ">/dev/null 2>&1 </dev/null &"
    )
    done = await _run(switch, line)
    assert done.exit_status == 0
    assert switch.ports.history(6, "admin") in ([], ["off"])
    await _until(lambda: switch.ports.history(6) == ["off", "on"])


async def test_a_command_survives_its_connection(switch: FakeSwitch) -> None:
    """A line in the foreground ends on the switch although the connection was cut."""
    async with _connect(switch) as connection:
        await connection.create_process(
            "swctrl poe set off id 6; sleep 10; swctrl poe set auto id 6"
        )
        await _until(lambda: switch.ports[6].admin == "off")
        connection.abort()
    await _until(lambda: switch.ports.history(6) == ["off", "on"])


async def test_a_number_before_a_redirection_is_an_argument(switch: FakeSwitch) -> None:
    """`id 6 >/dev/null` names port 6, while `id 6>/dev/null` loses the number, as in any sh."""
    await _run(switch, "swctrl poe set off id 6 >/dev/null")
    assert switch.ports.touched() == {6}


async def test_password_login_works_and_nothing_else_is_offered(switch: FakeSwitch) -> None:
    """Only publickey and password are offered; a wrong password is refused."""
    async with _connect(switch, client_keys=None, password="ubnt"):
        pass
    with pytest.raises(asyncssh.PermissionDenied, match="Permission denied"):
        await _connect(switch, client_keys=None, password="wrong")


async def test_the_sixth_silent_connection_is_dropped(switch: FakeSwitch) -> None:
    """Five connections may wait for login; a sixth is closed before the banner."""
    idle = [await asyncio.open_connection(switch.host, switch.port) for _ in range(5)]
    for reader, _ in idle:
        assert (await reader.readline()).startswith(b"SSH-2.0-dropbear")
    sixth, writer = await asyncio.open_connection(switch.host, switch.port)
    assert await sixth.read() == b""
    for _, other in [*idle, (sixth, writer)]:
        other.close()
        await other.wait_closed()


async def test_strangers_at_the_prompt_keep_others_out_for_a_while(switch: FakeSwitch) -> None:
    """While strangers hold every place nobody gets a banner; afterwards login works."""
    switch.inject(Fault(Kind.CROWDED, seconds=0.2))
    reader, writer = await asyncio.open_connection(switch.host, switch.port)
    assert await reader.read() == b""
    writer.close()
    await _until(lambda: switch._strangers == 0)
    assert (await _run(switch, "true")).exit_status == 0


async def test_a_slow_drip_ends_with_its_listener(switch: FakeSwitch) -> None:
    """Output dripping to a client that has gone is not dripped on."""
    switch.inject(Fault(Kind.SLOW_DRIP, seconds=0.01))
    async with _connect(switch) as connection:
        process = await connection.create_process("swctrl poe show")
        assert await process.stdout.read(1) == "T"
        connection.abort()
    await _until(lambda: not any("channel" in task.get_name() for task in switch._tasks))


async def test_twenty_channels_share_a_connection(switch: FakeSwitch) -> None:
    """Many commands at once over one connection all succeed."""
    async with _connect(switch) as connection:
        done = await asyncio.gather(*(connection.run("swctrl poe show") for _ in range(20)))
    assert {one.exit_status for one in done} == {0}


async def test_a_reset_gives_the_client_no_exit_status(switch: FakeSwitch) -> None:
    """A connection cut after the effect looks like a normal end without a status."""
    switch.inject(Fault(Kind.RESET_AFTER))
    done = await _run(switch, "swctrl poe set off id 6")
    assert done.exit_status is None
    assert switch.ports.history(6, "admin") == ["off"]


async def test_a_fault_strikes_the_nth_matching_command(switch: FakeSwitch) -> None:
    """`match` and `skip` choose the command, `times` how often."""
    switch.inject(Fault(Kind.NO_EFFECT, match="set off", skip=1, times=1))
    for number in (1, 6, 15):
        await _run(switch, f"swctrl poe set off id {number}")
        await _run(switch, f"swctrl poe show id {number}")
    assert switch.ports.touched() == {1, 15}


async def test_a_reboot_drops_every_port_and_every_command(switch: FakeSwitch) -> None:
    """A reboot ends detached lines too, and the switch listens again afterwards."""
    await _run(switch, "swctrl poe set off id 6; sh -c 'sleep 9999; echo x' >/dev/null 2>&1 &")
    switch.inject(Fault(Kind.REBOOT, seconds=0.1))
    assert not any(port.powered for port in switch.ports)
    with pytest.raises(ConnectionRefusedError):
        await _connect(switch)
    await _until(lambda: switch.ports[6].powered and switch.ports[15].powered)
    await _until(lambda: switch._listener is not None)
    assert (await _run(switch, "true")).exit_status == 0


async def test_an_upgrade_changes_the_host_key(switch: FakeSwitch) -> None:
    """A client that pinned the old key refuses the new one."""
    pinned = asyncssh.import_known_hosts(switch.known_hosts_line())
    switch.inject(Fault(Kind.UPGRADE, seconds=0.01))
    await _until(lambda: switch._listener is not None)
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await asyncssh.connect(
            switch.host, switch.port, known_hosts=pinned, config=None, client_keys=[KEY]
        )
