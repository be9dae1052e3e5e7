"""The survey of a switch: says what works, changes nothing, and its exercise is proven.

The oracle for "changes nothing" is the fake switch's own log of transitions.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from common.topology import Cluster, Node, Role, Switch
from lab.switch.faults import Fault, Kind
from lab.switch.ports import Latencies
from lab.switch.server import FakeSwitch
from supervisor.actuators.power.findings import Mark
from supervisor.actuators.power.settings import PowerSettings
from supervisor.actuators.power.survey import Survey, survey
from supervisor.actuators.power.swctrl import SwctrlSettings
from supervisor.actuators.power.switch_shell import SwitchShellDriver

KEY = asyncssh.generate_private_key("ssh-ed25519")
QUICK = Latencies(off=0.01, on=0.02, restart=0.1)
PATIENCE = PowerSettings(status_s=5, command_s=5, settle_s=1)
PORTS = {"login": 15, "yellow1": 33, "green1": 34}
EMPTY = 40


def _mac(port: int) -> str:
    return f"dc:a6:32:00:00:{port:02x}"


def _cluster(**ports: int) -> Cluster:
    nodes = {
        name: Node(name, f"{port:08x}", _mac(PORTS[name]), f"192.0.2.{port}", port, Role.WORKER)
        for name, port in {**PORTS, **ports}.items()
    }
    return Cluster("lab", "UTC", "192.0.2.0/24", Switch("fake", "127.0.0.1"), nodes)


@pytest.fixture
async def switch() -> AsyncIterator[FakeSwitch]:
    """Return a switch with three Pis."""
    fake = FakeSwitch(authorized_keys=[KEY], latencies=QUICK, second_s=0.1)
    for port in PORTS.values():
        fake.ports.plug(port, mac=_mac(port))
    async with fake:
        yield fake


@pytest.fixture
def settings(switch: FakeSwitch, tmp_path: Path) -> SwctrlSettings:
    """Return the way to it."""
    (tmp_path / "known_hosts").write_text(switch.known_hosts_line())
    (tmp_path / "key").write_bytes(KEY.export_private_key())
    return SwctrlSettings(
        address=switch.host,
        port=switch.port,
        known_hosts=tmp_path / "known_hosts",
        client_key=tmp_path / "key",
        connect_s=2,
        backoff_s=0.02,
        poll_s=0.01,
        confirm_s=2,
    )


@pytest.fixture
async def driver(settings: SwctrlSettings) -> AsyncIterator[SwitchShellDriver]:
    """Return the driver under survey."""
    driver = SwitchShellDriver(settings)
    yield driver
    await driver.aclose()


def _marks(found: Survey) -> dict[str, Mark]:
    """Return the worst mark by subject."""
    order = list(Mark)
    marks: dict[str, Mark] = {}
    for one in found.findings:
        marks[one.subject] = max(marks.get(one.subject, Mark.GOOD), one.mark, key=order.index)
    return marks


def _text(found: Survey, subject: str) -> str:
    return "\n".join(one.text for one in found.findings if one.subject == subject)


async def test_a_good_switch_is_called_good_and_left_alone(
    driver: SwitchShellDriver, switch: FakeSwitch
) -> None:
    """Every question has a good answer, and no port changed for it."""
    found = await survey(driver, _cluster(), PATIENCE)
    assert found.is_usable
    assert set(_marks(found).values()) <= {Mark.GOOD, Mark.WARNING}
    for subject in ("reach", "identity", "login", "tool", "table", "ports", "addresses", "watts"):
        assert _marks(found)[subject] is Mark.GOOD, _text(found, subject)
    assert switch.ports.log == []
    assert all(" set " not in one.line for one in switch.executed)


@pytest.mark.parametrize(
    ("kind", "stage", "proven"),
    [
        (Kind.CLOSE_BEFORE_BANNER, "reach", ["credentials"]),
        (Kind.OTHER_HOST_KEY, "identity", ["credentials", "reach"]),
        (Kind.AUTH_FAILURE, "login", ["credentials", "reach", "identity"]),
    ],
)
async def test_the_way_is_proven_up_to_where_it_fails(
    driver: SwitchShellDriver, switch: FakeSwitch, kind: Kind, stage: str, proven: list[str]
) -> None:
    """What lies before the failure is good, what lies behind it is untested, and it says so."""
    switch.inject(Fault(kind, times=None))
    found = await survey(driver, _cluster(), PATIENCE)
    assert not found.is_usable
    marks = _marks(found)
    assert marks[stage] is Mark.BAD
    assert [name for name, mark in marks.items() if mark is Mark.GOOD] == proven
    assert marks["table"] is Mark.UNTESTED


async def test_a_table_that_is_no_table_is_told(
    driver: SwitchShellDriver, switch: FakeSwitch
) -> None:
    """The login is good then, and the table is not."""
    switch.inject(Fault(Kind.TRUNCATED, match="show", amount=120, times=None))
    marks = _marks(await survey(driver, _cluster(), PATIENCE))
    assert (marks["login"], marks["table"]) == (Mark.GOOD, Mark.BAD)


async def test_missing_credentials_are_told_by_their_file(settings: SwctrlSettings) -> None:
    """The file's name is in the finding, and nothing else was tested."""
    driver = SwitchShellDriver(replace(settings, client_key=Path("/nonexistent/switch_key")))
    found = await survey(driver, _cluster(), PATIENCE)
    assert "/nonexistent/switch_key" in _text(found, "credentials")
    assert _marks(found)["reach"] is Mark.UNTESTED


async def test_an_inventory_that_names_the_wrong_port_is_found_out(
    driver: SwitchShellDriver,
) -> None:
    """Power-cycling green1 by the inventory would hit another port: bad."""
    found = await survey(driver, _cluster(green1=35), PATIENCE)
    assert not found.is_usable
    assert "green1 is seen behind port 34, and not 35" in _text(found, "addresses")


async def test_a_port_that_the_switch_lacks_is_found_out(driver: SwitchShellDriver) -> None:
    """An SFP port gives no power."""
    found = await survey(driver, _cluster(green1=50), PATIENCE)
    assert "green1 (50)" in _text(found, "ports")
    assert not found.is_usable


async def test_a_switch_without_swctrl_is_usable_and_says_so(
    driver: SwitchShellDriver, switch: FakeSwitch
) -> None:
    """Its other command line is named, and that it can't tell which node hangs where."""
    switch.command_lines = {"telnet"}
    found = await survey(driver, _cluster(), PATIENCE)
    assert found.is_usable, found
    assert "telnet localhost" in _text(found, "command line")
    assert "which node hangs" in _text(found, "limit")


async def test_the_exercise_is_proven_on_the_port_itself(
    driver: SwitchShellDriver, switch: FakeSwitch
) -> None:
    """An unused port goes off and on, and no other port changes."""
    found = await survey(driver, _cluster(), PATIENCE, exercise=EMPTY)
    assert _marks(found)[f"exercise of port {EMPTY}"] is Mark.GOOD
    assert switch.ports.history(EMPTY, "admin") == ["off", "auto"]
    assert switch.ports.touched() == {EMPTY}


async def test_an_exercise_without_effect_is_bad_and_leaves_the_port_on(
    settings: SwctrlSettings, switch: FakeSwitch
) -> None:
    """A switch that says yes and does nothing is found out."""
    hasty = SwitchShellDriver(replace(settings, confirm_s=0.1))
    switch.inject(Fault(Kind.NO_EFFECT, match="set off"))
    found = await survey(hasty, _cluster(), PATIENCE, exercise=EMPTY)
    assert _marks(found)[f"exercise of port {EMPTY}"] is Mark.BAD
    assert switch.ports[EMPTY].admin == "auto"
    await hasty.aclose()


@pytest.mark.parametrize(
    ("port", "why"),
    [(15, "it is login's"), (41, "something takes power there"), (60, "doesn't list it")],
)
async def test_a_port_in_use_is_not_exercised(
    driver: SwitchShellDriver, switch: FakeSwitch, port: int, why: str
) -> None:
    """Neither a node's nor anybody else's port is touched."""
    switch.ports.plug(41)
    found = await survey(driver, _cluster(), PATIENCE, exercise=port)
    assert why in _text(found, f"exercise of port {port}")
    assert switch.ports.log == []
