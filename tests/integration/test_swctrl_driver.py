"""The `swctrl` driver against a switch over real ssh: each fault has its stated outcome.

The switch is the fake one of the lab, and, for all that can be played there, its ports behind a
real dropbear with busybox ash. The oracle is the switch's own log of transitions, never what the
driver says of itself.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from lab.switch import dropbear
from lab.switch.faults import Fault, Kind
from lab.switch.ports import Latencies
from lab.switch.server import FakeSwitch
from lab.switch.swctrl import BadPort, Quirks
from supervisor.actuators.power.driver import CycleOutcome, Phase, PowerDriver, PowerError
from supervisor.actuators.power.swctrl import SwctrlDriver, SwctrlSettings

KEY = asyncssh.generate_private_key("ssh-ed25519")
QUICK = Latencies(off=0.01, on=0.02, restart=0.4)
SECOND_S = 0.15  # of the switch's own shell, against a real second of the driver's patience
PORT = 15


# A command there is half a dozen processes, and looks are farther apart.
UNHURRIED = Latencies(off=0.01, on=0.02, restart=1.5)
PATIENCE_S = {FakeSwitch: 0.4, dropbear.DropbearSwitch: 3.0}
ON_DROPBEAR = {
    "test_validate_and_status_change_nothing",
    "test_off_and_on_touch_one_port",
    "test_every_command_names_its_port_with_id",
    "test_an_atomic_cycle_is_verified",
    "test_a_detached_cycle_is_verified",
    "test_a_port_that_is_off_is_cycled_without_restart",
    "test_two_cycles_at_once_share_one_connection",
    "test_macs_tells_which_device_is_behind_which_port",
    "test_the_firmwares_quirks_do_not_matter",
    "test_a_bad_port_never_reaches_the_switch",
    "test_an_unpinned_switch_is_not_spoken_to",
    "test_a_command_without_effect_is_never_called_done",
    "test_an_effect_on_another_port_is_never_called_done",
    "test_a_port_the_switch_does_not_have",
    "test_a_cycle_that_never_happened_is_never_verified",
    "test_a_late_cycle_is_waited_for",
    "test_a_device_that_stays_down_is_the_devices_affair",
    "test_a_refused_cycle_says_so",
    "test_a_lost_connection_is_opened_again_on_next_use",
    "test_a_cancelled_command_leaves_the_driver_usable",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run against the fake switch, and against dropbear what can be played there."""
    if "switch" in metafunc.fixturenames:
        both = metafunc.function.__name__ in ON_DROPBEAR
        servers = ["asyncssh", "dropbear"] if both else ["asyncssh"]
        metafunc.parametrize("switch", servers, indirect=True)


@pytest.fixture
async def switch(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[FakeSwitch]:
    """Return a switch with Pis on ports 9, 15 and 33."""
    if request.param == "dropbear":
        if reason := dropbear.why_not():
            pytest.skip(reason)
        (tmp_path / "switch").mkdir()
        switch = dropbear.DropbearSwitch(
            tmp_path / "switch", authorized_key=KEY, latencies=UNHURRIED, second_s=1.0
        )
    else:
        switch = FakeSwitch(
            authorized_keys=[KEY], password="ubnt", latencies=QUICK, second_s=SECOND_S
        )
    for number in (9, PORT, 33):
        switch.ports.plug(number, mac=f"dc:a6:32:00:00:{number:02x}")
    async with switch:
        yield switch


@pytest.fixture
def settings(switch: FakeSwitch, tmp_path: Path) -> SwctrlSettings:
    """Return patient settings: what works ends long before, however slow this machine is."""
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
        settle_s=4,
    )


@pytest.fixture
async def driver(settings: SwctrlSettings) -> AsyncIterator[SwctrlDriver]:
    """Return a driver that knows `restart`."""
    driver = SwctrlDriver(settings)
    yield driver
    await driver.aclose()


@pytest.fixture
async def hasty(settings: SwctrlSettings, switch: FakeSwitch) -> AsyncIterator[SwctrlDriver]:
    """Return a driver that soon gives up, for what never happens."""
    driver = SwctrlDriver(replace(settings, **haste(switch)))
    yield driver
    await driver.aclose()


@pytest.fixture
async def detaching(settings: SwctrlSettings) -> AsyncIterator[SwctrlDriver]:
    """Return a driver that cycles with one detached line."""
    driver = SwctrlDriver(replace(settings, atomic=False))
    yield driver
    await driver.aclose()


def haste(switch: FakeSwitch) -> dict[str, float]:
    """Return the settings of a driver that soon gives up."""
    return {"command_s": PATIENCE_S[type(switch)], "confirm_s": 0.3, "settle_s": 0.0}


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 -- the switch has many conditions, no events
            await asyncio.sleep(0.005)


def _is_the_protocol(driver: SwctrlDriver) -> PowerDriver:
    return driver


# What works


async def test_validate_and_status_change_nothing(driver: SwctrlDriver, switch: FakeSwitch) -> None:
    """Looking at all 48 ports leaves no trace."""
    await _is_the_protocol(driver).validate()
    states = await driver.status()
    assert states.keys() == set(range(1, 49))
    assert (states[PORT].admin, states[PORT].delivering, states[PORT].watts) == ("auto", True, 3.4)
    assert (states[1].admin, states[1].delivering, states[1].pd_class) == ("auto", False, None)
    assert switch.ports.log == []


async def test_off_and_on_touch_one_port(driver: SwctrlDriver, switch: FakeSwitch) -> None:
    """Off and on return once the port shows it, and no other port changes."""
    await driver.off(PORT, op_id="a")
    assert not switch.ports[PORT].powered
    await driver.on(PORT, op_id="b")
    await _until(lambda: switch.ports[PORT].powered)
    assert switch.ports.touched() == {PORT}
    assert switch.ports.history(PORT) == ["off", "on"]


async def test_every_command_names_its_port_with_id(
    driver: SwctrlDriver, detaching: SwctrlDriver, switch: FakeSwitch
) -> None:
    """No line ever reaches the switch that would hit every port."""
    for one in (driver, detaching):
        await one.off(PORT, op_id="a")
        await one.on(PORT, op_id="b")
        await _until(lambda: switch.ports[PORT].powered)
        await one.cycle(PORT, off_s=1, op_id="c")
    for executed in switch.executed:
        for command in executed.line.split("swctrl ")[1:]:
            assert f"id {PORT}" in command
    assert switch.ports.touched() == {PORT}


async def test_an_atomic_cycle_is_verified(driver: SwctrlDriver, switch: FakeSwitch) -> None:
    """`restart`, seen off and on again, then `set auto` once more."""
    result = await driver.cycle(PORT, off_s=1, op_id="a")
    assert result.outcome is CycleOutcome.VERIFIED, result.detail
    assert [state.delivering for state in result.seen] == [True, False, True]
    assert switch.ports.history(PORT) == ["off", "on"]
    sent = [one.line for one in switch.executed if "show" not in one.line]
    assert sent == [f"swctrl poe restart id {PORT}", f"swctrl poe set auto id {PORT}"]


async def test_a_detached_cycle_is_verified(detaching: SwctrlDriver, switch: FakeSwitch) -> None:
    """One line does off, wait, on; the driver only looks."""
    result = await detaching.cycle(PORT, off_s=1.2, op_id="a")
    assert result.outcome is CycleOutcome.VERIFIED, result.detail
    assert switch.ports.history(PORT) == ["off", "on"]
    sent = [one.line for one in switch.executed if "show" not in one.line]
    assert len(sent) == 1
    assert "off id 15; sleep 2; swctrl poe set auto id 15;" in sent[0]
    assert "atomic_cycle" not in detaching.capabilities


async def test_a_port_that_is_off_is_cycled_without_restart(
    driver: SwctrlDriver, switch: FakeSwitch
) -> None:
    """What `restart` does to such a port is unknown, so the detached line switches it on."""
    await driver.off(PORT, op_id="a")
    result = await driver.cycle(PORT, off_s=1, op_id="b")
    assert result.outcome is CycleOutcome.VERIFIED, result.detail
    assert switch.ports[PORT].admin == "auto"
    assert not any("restart" in one.line for one in switch.executed)


async def test_two_cycles_at_once_share_one_connection(
    driver: SwctrlDriver, switch: FakeSwitch
) -> None:
    """Commands take turns over a single connection."""
    results = await asyncio.gather(
        driver.cycle(PORT, off_s=1, op_id="a"), driver.cycle(33, off_s=1, op_id="b")
    )
    assert [one.outcome for one in results] == [CycleOutcome.VERIFIED] * 2
    assert switch.accepted == 1
    assert switch.ports.touched() == {PORT, 33}


async def test_a_password_file_serves_as_well(settings: SwctrlSettings, tmp_path: Path) -> None:
    """A switch that takes no key is logged in to with a password from a file."""
    (tmp_path / "password").write_text("ubnt\n")
    driver = SwctrlDriver(replace(settings, client_key=None, password_file=tmp_path / "password"))
    await driver.validate()
    await driver.aclose()


async def test_macs_tells_which_device_is_behind_which_port(
    driver: SwctrlDriver, switch: FakeSwitch
) -> None:
    """Addresses come with their port; one that shows up twice is left out."""
    switch.ports[1].mac, switch.ports[1].link = switch.ports[33].mac, True
    assert await driver.macs() == {"dc:a6:32:00:00:09": 9, "dc:a6:32:00:00:0f": PORT}


@pytest.mark.parametrize(
    "quirks",
    [
        Quirks(pwr_limit="-1096017060", total_limit="-1096017060"),
        Quirks(pwr_limit="-1", hp_mode="Unknown"),
        Quirks(off_word="Shutdown", line_end="\r\r\n"),
        Quirks(off_word="Auto"),
        Quirks(off_word="Quux"),
    ],
)
async def test_the_firmwares_quirks_do_not_matter(
    driver: SwctrlDriver, switch: FakeSwitch, quirks: Quirks
) -> None:
    """Garbage figures, odd words and line ends leave off, on and cycle as they are."""
    switch.swctrl.quirks = quirks
    await driver.off(PORT, op_id="a")
    await driver.on(PORT, op_id="b")
    await _until(lambda: switch.ports[PORT].powered)
    result = await driver.cycle(PORT, off_s=1, op_id="c")
    assert result.outcome is CycleOutcome.VERIFIED, result.detail
    assert switch.ports.history(PORT) == ["off", "on", "off", "on"]


# What is refused before anything is sent


@pytest.mark.parametrize("port", [0, 49, -1, 10**9, True, "15", 15.0, None])
async def test_a_bad_port_never_reaches_the_switch(
    driver: SwctrlDriver, switch: FakeSwitch, port: object
) -> None:
    """Only an integer from 1 to 48 becomes a command."""
    for act in (
        driver.off(port, op_id="a"),
        driver.on(port, op_id="a"),
        driver.cycle(port, off_s=1, op_id="a"),
    ):
        with pytest.raises(PowerError) as caught:
            await act
        assert caught.value.phase is Phase.REJECTED
    assert switch.executed == []


@pytest.mark.parametrize("off_s", [0, 0.5, 121, float("nan"), float("inf"), -5])
async def test_a_senseless_duration_never_reaches_the_switch(
    driver: SwctrlDriver, switch: FakeSwitch, off_s: float
) -> None:
    """Off for less than a second restarts nothing; off for ever is no cycle."""
    with pytest.raises(PowerError) as caught:
        await driver.cycle(PORT, off_s=off_s, op_id="a")
    assert caught.value.phase is Phase.REJECTED
    assert switch.executed == []


# What goes wrong before the command is sent


@pytest.mark.parametrize(
    ("kind", "trips"),
    [
        (Kind.AUTH_FAILURE, True),
        (Kind.OTHER_HOST_KEY, True),
        (Kind.RESET_ON_ACCEPT, False),
        (Kind.CLOSE_BEFORE_BANNER, False),
        (Kind.SILENT, False),
        (Kind.REFUSE, False),
        (Kind.NO_CHANNEL, False),
    ],
)
async def test_failing_to_connect_sends_nothing(
    switch: FakeSwitch, settings: SwctrlSettings, kind: Kind, *, trips: bool
) -> None:
    """Whatever keeps us out, nothing was sent; a wrong key or login trips the breaker."""
    driver = SwctrlDriver(replace(settings, connect_s=0.5))
    switch.inject(Fault(kind, seconds=0.2))
    with pytest.raises(PowerError) as caught:
        await driver.off(PORT, op_id="a")
    assert (caught.value.phase, caught.value.trips_breaker) == (Phase.NOT_SENT, trips)
    assert switch.executed == []
    await _until(lambda: switch._listener is not None)
    await driver.off(PORT, op_id="b")
    assert switch.ports.history(PORT) == ["off"]
    await driver.aclose()


async def test_noise_before_the_banner_is_no_failure(
    driver: SwctrlDriver, switch: FakeSwitch
) -> None:
    """Lines before the version and a login banner are part of ssh."""
    switch.inject(Fault(Kind.BANNER_NOISE))
    await driver.off(PORT, op_id="a")
    assert switch.ports.history(PORT) == ["off"]


@pytest.mark.parametrize("name", ["known_hosts", "key"])
@pytest.mark.parametrize("content", [None, b"\xff\x00 nonsense"])
async def test_an_unusable_file_is_named_and_trips_the_breaker(
    settings: SwctrlSettings, tmp_path: Path, name: str, content: bytes | None
) -> None:
    """A missing or malformed key file can't heal by trying again."""
    path = tmp_path / name
    path.unlink()
    if content:
        path.write_bytes(content)
    with pytest.raises(PowerError, match=name) as caught:
        await SwctrlDriver(settings).status()
    assert (caught.value.phase, caught.value.trips_breaker) == (Phase.NOT_SENT, True)


async def test_an_unpinned_switch_is_not_spoken_to(
    settings: SwctrlSettings, tmp_path: Path, switch: FakeSwitch
) -> None:
    """A host key that nobody pinned is as bad as a wrong one: it is never accepted."""
    (tmp_path / "known_hosts").write_text("")
    with pytest.raises(PowerError, match="host key") as caught:
        await SwctrlDriver(settings).status()
    assert caught.value.trips_breaker
    assert switch.executed == []


# What goes wrong once the command is sent


@pytest.mark.parametrize(
    "kind",
    [Kind.HANG_AFTER, Kind.RESET_MID, Kind.RESET_AFTER, Kind.NO_EXIT_STATUS],
)
async def test_an_effect_without_an_answer_is_found_by_looking(
    hasty: SwctrlDriver, switch: FakeSwitch, kind: Kind
) -> None:
    """The command isn't sent again: the port shows that it happened."""
    switch.inject(Fault(kind, match="set off"))
    await hasty.off(PORT, op_id="a")
    assert switch.ports.history(PORT) == ["off"]
    assert sum("set off" in one.line for one in switch.executed) == 1


@pytest.mark.parametrize("kind", [Kind.HANG_BEFORE, Kind.RESET_BEFORE, Kind.NO_EFFECT])
async def test_a_command_without_effect_is_never_called_done(
    hasty: SwctrlDriver, switch: FakeSwitch, kind: Kind
) -> None:
    """Exit status 0 proves nothing, and no answer proves nothing either: unknown."""
    switch.inject(Fault(kind, match="set off"))
    with pytest.raises(PowerError) as caught:
        await hasty.off(PORT, op_id="a")
    assert (caught.value.phase, caught.value.trips_breaker) == (Phase.UNKNOWN, False)
    assert switch.ports.log == []


async def test_an_effect_on_another_port_is_never_called_done(
    hasty: SwctrlDriver, switch: FakeSwitch
) -> None:
    """The asked port is what is looked at."""
    switch.inject(Fault(Kind.WRONG_PORT, match="set off", port=33))
    with pytest.raises(PowerError) as caught:
        await hasty.off(PORT, op_id="a")
    assert caught.value.phase is Phase.UNKNOWN
    assert switch.ports.touched() == {33}


@pytest.mark.parametrize(
    ("bad", "phase"),
    [
        (BadPort.ERROR, Phase.REJECTED),
        (BadPort.COMPLAINT, Phase.REJECTED),
        (BadPort.SILENCE, Phase.NOT_SENT),
    ],
)
async def test_a_port_the_switch_does_not_have(
    settings: SwctrlSettings, switch: FakeSwitch, bad: BadPort, phase: Phase
) -> None:
    """A port beyond this switch's is refused by it, or never shows up: nothing is sent."""
    switch.swctrl.quirks = Quirks(bad_port=bad)
    driver = SwctrlDriver(replace(settings, ports=60))
    with pytest.raises(PowerError) as caught:
        await driver.off(50, op_id="a")
    assert caught.value.phase is phase
    assert not any("set" in one.line for one in switch.executed)
    await driver.aclose()


@pytest.mark.parametrize(
    "kind",
    [Kind.HANG_AFTER, Kind.RESET_MID, Kind.RESET_AFTER, Kind.NO_EXIT_STATUS, Kind.SLOW_DRIP],
)
@pytest.mark.parametrize("atomic", [True, False])
async def test_a_cycle_finishes_on_the_switch_whatever_becomes_of_the_session(
    settings: SwctrlSettings, switch: FakeSwitch, kind: Kind, *, atomic: bool
) -> None:
    """Cut or hung after the command was taken, the port still goes off and on, once."""
    # Off for longer than the driver waits for an answer, or nobody could see it off.
    switch.ports.latencies, switch.second_s = replace(QUICK, restart=0.8), 0.8
    driver = SwctrlDriver(replace(settings, atomic=atomic, command_s=0.4))
    switch.inject(Fault(kind, match="restart" if atomic else "nohup", seconds=0.01))
    result = await driver.cycle(PORT, off_s=1, op_id="a")
    await _until(lambda: switch.ports[PORT].powered)
    assert switch.ports.history(PORT) == ["off", "on"]
    assert result.outcome is CycleOutcome.VERIFIED, result.detail
    await driver.aclose()


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        (Kind.HANG_BEFORE, CycleOutcome.UNKNOWN),
        (Kind.RESET_BEFORE, CycleOutcome.UNKNOWN),
        (Kind.NO_EFFECT, CycleOutcome.SENT_UNVERIFIED),
        (Kind.WRONG_PORT, CycleOutcome.SENT_UNVERIFIED),
    ],
)
async def test_a_cycle_that_never_happened_is_never_verified(
    settings: SwctrlSettings,
    switch: FakeSwitch,
    kind: Kind,
    outcome: CycleOutcome,
    *,
    atomic: bool,
) -> None:
    """Without having seen the port off, the driver says so."""
    driver = SwctrlDriver(replace(settings, atomic=atomic, **haste(switch)))
    match = "" if kind in {Kind.NO_EFFECT, Kind.WRONG_PORT} else "nohup"
    match = "restart" if atomic else match or "set off"
    switch.inject(Fault(kind, match=match, port=33))
    result = await driver.cycle(PORT, off_s=1, op_id="a")
    assert result.outcome is outcome, result.detail
    assert switch.ports.history(PORT) == []
    await driver.aclose()


async def test_a_late_cycle_is_waited_for(driver: SwctrlDriver, switch: FakeSwitch) -> None:
    """An effect that comes late, yet within the deadline, is still seen."""
    switch.inject(Fault(Kind.LATE_EFFECT, match="restart", seconds=0.4))
    result = await driver.cycle(PORT, off_s=1, op_id="a")
    assert result.outcome is CycleOutcome.VERIFIED, result.detail
    assert switch.ports.history(PORT) == ["off", "on"]


async def test_a_port_that_stays_off_is_told_and_switched_on_again(
    settings: SwctrlSettings, switch: FakeSwitch
) -> None:
    """Seen off but not on again is unknown, and `set auto` is sent once more."""
    detaching = SwctrlDriver(replace(settings, atomic=False, **haste(switch)))
    switch.inject(Fault(Kind.NO_EFFECT, match="set auto", times=2))
    result = await detaching.cycle(PORT, off_s=1, op_id="a")
    assert result.outcome is CycleOutcome.UNKNOWN
    assert "not on again" in result.detail
    await _until(lambda: switch.ports[PORT].powered)
    assert switch.ports.history(PORT) == ["off", "on"]
    await detaching.aclose()


async def test_an_off_that_provisioning_reverts_shows_as_auto(
    driver: SwctrlDriver, switch: FakeSwitch
) -> None:
    """The driver saw it off; that it came back is there for the next look to see."""
    switch.inject(Fault(Kind.REVERTED, match="set off", seconds=0.3))
    await driver.off(PORT, op_id="a")
    await _until(lambda: switch.ports[PORT].powered)
    assert (await driver.status())[PORT].admin == "auto"
    assert [one.cause for one in switch.ports.log][-1] == "provision"


async def test_a_device_that_stays_down_is_the_devices_affair(
    driver: SwctrlDriver, switch: FakeSwitch
) -> None:
    """The port's cycle is verified although the device never comes back."""
    switch.inject(Fault(Kind.DEVICE_STAYS_DOWN, match="restart"))
    result = await driver.cycle(PORT, off_s=1, op_id="a")
    assert result.outcome is CycleOutcome.VERIFIED, result.detail
    assert switch.ports[PORT].stays_down


async def test_a_reboot_amid_a_cycle_ends_with_the_port_on(
    settings: SwctrlSettings, switch: FakeSwitch
) -> None:
    """The detached line dies with the switch, whose ports come back by themselves."""
    detaching = SwctrlDriver(replace(settings, atomic=False, **haste(switch)))
    cycling = asyncio.create_task(detaching.cycle(PORT, off_s=1, op_id="a"))  # noqa: TID251 -- awaited below
    await _until(lambda: not switch.ports[PORT].powered)
    switch.inject(Fault(Kind.REBOOT, seconds=0.2))
    result = await cycling
    assert result.outcome is not CycleOutcome.REFUSED
    await _until(lambda: switch.ports[PORT].powered)
    assert switch.ports.history(PORT) == ["off", "on"]
    await detaching.aclose()


async def test_a_new_host_key_amid_a_cycle_trips_the_breaker(
    driver: SwctrlDriver, switch: FakeSwitch
) -> None:
    """A switch that changed its key while it was being watched is not spoken to again."""
    switch.inject(Fault(Kind.RESET_AFTER, match="restart"))
    switch.inject(Fault(Kind.OTHER_HOST_KEY, skip=1))
    with pytest.raises(PowerError, match="host key") as caught:
        await driver.cycle(PORT, off_s=1, op_id="a")
    assert (caught.value.phase, caught.value.trips_breaker) == (Phase.UNKNOWN, True)
    await _until(lambda: switch.ports.history(PORT) == ["off", "on"])


async def test_a_refused_cycle_says_so(driver: SwctrlDriver, switch: FakeSwitch) -> None:
    """A switch without `restart` refuses, and the port is as it was."""
    switch.swctrl.run = _without_restart(switch.swctrl.run)
    result = await driver.cycle(PORT, off_s=1, op_id="a")
    assert result.outcome is CycleOutcome.REFUSED, result.detail
    assert switch.ports.log == []


def _without_restart(run: Callable[..., int]) -> Callable[..., int]:
    def wrapped(words: list[str], *rest: object) -> int:
        return run(["poe"] if "restart" in words else words, *rest)

    return wrapped


@pytest.mark.parametrize("amount", [0, 5, 200, 300, 350])
async def test_a_truncated_table_is_refused_not_guessed(
    driver: SwctrlDriver, switch: FakeSwitch, amount: int
) -> None:
    """A table that ends in the middle is no statement about any port."""
    switch.inject(Fault(Kind.TRUNCATED, match="show", amount=amount))
    with pytest.raises(PowerError) as caught:
        await driver.off(PORT, op_id="a")
    assert caught.value.phase is Phase.NOT_SENT
    assert switch.ports.log == []


async def test_noise_around_the_table_does_not_matter(
    driver: SwctrlDriver, switch: FakeSwitch
) -> None:
    """A message of the day before and after the table is passed over."""
    switch.inject(Fault(Kind.OUTPUT_NOISE, match="show", times=None))
    assert (await driver.status())[PORT].delivering is True


async def test_a_flood_of_output_is_cut_off(driver: SwctrlDriver, switch: FakeSwitch) -> None:
    """A switch that talks without end costs bounded memory and becomes an error."""
    switch.swctrl.run = lambda _words, out, *_: out("x" * 10_000_000) or 0
    with pytest.raises(PowerError) as caught:
        await driver.status()
    assert caught.value.phase is Phase.UNKNOWN


async def test_a_lost_connection_is_opened_again_on_next_use(
    driver: SwctrlDriver, switch: FakeSwitch
) -> None:
    """After a reset the next command gets a new connection."""
    await driver.status()
    switch.inject(Fault(Kind.RESET_BEFORE, match="show"))
    with pytest.raises(PowerError):
        await driver.status()
    assert PORT in await driver.status()
    assert switch.accepted == 2


async def test_failures_in_a_row_are_spaced_out(
    settings: SwctrlSettings, switch: FakeSwitch
) -> None:
    """The wait before reconnecting doubles up to its bound, and starts anew after success."""
    driver = SwctrlDriver(settings)
    link = driver._link
    switch.inject(Fault(Kind.CLOSE_BEFORE_BANNER, times=4))
    for _ in range(4):
        with pytest.raises(PowerError):
            await driver.status()
    assert link._failures == 4
    await driver.status()
    assert link._failures == 0
    await driver.aclose()


async def test_a_cancelled_command_leaves_the_driver_usable(
    driver: SwctrlDriver, switch: FakeSwitch
) -> None:
    """Whoever gives up waiting doesn't spoil the connection for the next."""
    switch.inject(Fault(Kind.HANG_BEFORE, match="show"))
    looking = asyncio.create_task(driver.status())  # noqa: TID251 -- awaited below
    await _until(lambda: len(switch.executed) == 1)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    assert PORT in await driver.status()
