"""Looks at the switch and orders to it share one connection, and neither holds the other up."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import pytest

from lab.switch.faults import Fault, Kind
from lab.switch.ports import Latencies
from lab.switch.server import FakeSwitch
from supervisor.actuators.power.driver import PowerError
from supervisor.actuators.power.orders import Outlet, PowerRequest, Verdict
from supervisor.actuators.power.service import PowerService
from supervisor.actuators.power.settings import PowerSettings
from supervisor.actuators.power.swctrl import SwctrlDriver, SwctrlSettings
from supervisor.journal.journal import Journal

KEY = asyncssh.generate_private_key("ssh-ed25519")
PORT, OTHER, EMPTY = 15, 33, 40
LOOK = "poe show"
UNANSWERED = Fault(Kind.HANG_BEFORE, match=LOOK, times=1)


@dataclass
class Rig:
    """A switch with two Pis, and the service that owns it."""

    switch: FakeSwitch
    service: PowerService

    def asked(self, words: str) -> int:
        """Return how often exactly these words were asked."""
        return sum(one.line == f"swctrl {words}" for one in self.switch.executed)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """Return a rig whose own deadlines are far away: whatever ends a look early is the order."""
    latencies = Latencies(off=0.01, on=0.02, restart=0.6)
    async with FakeSwitch(authorized_keys=[KEY], latencies=latencies, second_s=0.1) as switch:
        for number in (PORT, OTHER):
            switch.ports.plug(number, mac=f"dc:a6:32:00:00:{number:02x}")
        (tmp_path / "known_hosts").write_text(switch.known_hosts_line())
        (tmp_path / "key").write_bytes(KEY.export_private_key())
        driver = SwctrlDriver(
            SwctrlSettings(
                address=switch.host,
                port=switch.port,
                known_hosts=tmp_path / "known_hosts",
                client_key=tmp_path / "key",
                command_s=60,
                poll_s=0.01,
                backoff_s=0.01,
            )
        )
        settings = PowerSettings(
            default_off_s=1.0, min_off_s=0.05, status_s=60, command_s=60, look_s=0.2
        )
        journal = Journal(tmp_path)
        outlets = {"login": Outlet(PORT, f"dc:a6:32:00:00:{PORT:02x}")}
        service = PowerService(driver, journal, outlets, settings)
        yield Rig(switch, service)
        await service.aclose()
        journal.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the switch has many conditions, no events
            await asyncio.sleep(0.005)


async def test_a_look_tells_power_link_watts_and_class(rig: Rig) -> None:
    """One look tells all of every port, over the connection that an order then uses."""
    ports = await rig.service.look()
    assert ports is not None
    pi, empty = ports[PORT], ports[EMPTY]
    assert (pi.delivering, pi.link, pi.watts, pi.pd_class) == (True, True, 3.4, "Class 4")
    assert (empty.delivering, empty.link, empty.pd_class) == (False, False, None)
    outcome = await rig.service.cycle(PowerRequest("login", "test"))
    assert outcome.verdict is Verdict.VERIFIED
    assert rig.switch.accepted == 1


async def test_an_order_ends_a_look_that_hangs(rig: Rig) -> None:
    """A cycle outwaits no look that gets no answer: the look gives way, and is no failure."""
    rig.switch.inject(UNANSWERED)
    look = asyncio.get_running_loop().create_task(rig.service.look(), name="look")
    await until(lambda: rig.asked(LOOK) == 1)
    async with asyncio.timeout(30):
        outcome = await rig.service.cycle(PowerRequest("login", "test"))
        assert await look is None
    assert outcome.verdict is Verdict.VERIFIED
    assert rig.switch.ports.history(PORT) == ["off", "on"]


async def test_no_look_begins_while_an_order_is_being_sent(rig: Rig) -> None:
    """In an order's first moments nothing comes between it and the switch; later looks go on."""
    order = asyncio.get_running_loop().create_task(
        rig.service.cycle(PowerRequest("login", "test")), name="order"
    )
    await until(lambda: rig.asked(f"poe show id {PORT}") > 0)
    assert await rig.service.look() is None
    seen = []
    while not order.done():
        if ports := await rig.service.look():
            seen.append(ports[OTHER].delivering)
        await asyncio.sleep(0.01)
    assert seen
    assert all(seen)
    assert (await order).verdict is Verdict.VERIFIED


async def test_a_switch_without_the_port_table_is_asked_seldom(rig: Rig) -> None:
    """When links can't be read the look is good without them, and doesn't ask each time."""
    rig.switch.inject(Fault(Kind.TRUNCATED, match="port show", amount=60, times=None))
    for _ in range(3):
        ports = await rig.service.look()
        assert ports is not None
        assert (ports[PORT].delivering, ports[PORT].link) == (True, None)
    assert rig.asked("port show") == 1


async def test_a_look_that_fails_says_why(rig: Rig) -> None:
    """A look that gets no exit status is a failure of the switch, told as such."""
    rig.switch.inject(Fault(Kind.NO_EXIT_STATUS, match=LOOK))
    with pytest.raises(PowerError, match="no exit status"):
        await rig.service.look()


async def test_a_caller_that_gives_up_is_obeyed(rig: Rig) -> None:
    """A deadline of the caller's own ends the look, and the next one works."""
    rig.switch.inject(UNANSWERED)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await rig.service.look()
    assert await rig.service.look()
