"""The check of everything that a power act needs, against the fake switch over real ssh."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import asyncssh
import pytest

from common.topology import Node
from lab.switch.faults import Fault, Kind
from lab.switch.server import FakeSwitch
from supervisor.actuators.power.orders import Outlet
from supervisor.actuators.power.service import PowerService
from supervisor.actuators.power.settings import PowerSettings
from supervisor.actuators.power.swctrl import SwctrlDriver, SwctrlSettings
from supervisor.daemon.fence_path import FencePathCheck
from supervisor.journal.journal import Journal
from supervisor.senses.addresses import AddressSense
from tests.supervisor.pictures import a_node

KEY = asyncssh.generate_private_key("ssh-ed25519")
NODES = [a_node("green1", 34), a_node("green2", 36)]


@dataclass
class Rig:
    """A switch with the two nodes on it, the service that owns it, and the check of both."""

    switch: FakeSwitch
    service: PowerService
    journal: Journal
    files: Path

    def check(self, *nodes: Node, deadline_s: float = 20.0) -> FencePathCheck:
        files = [self.files / "known_hosts", self.files / "key"]
        nodes = nodes or tuple(NODES)
        return FencePathCheck(self.service, self.journal.state, files, nodes, deadline_s)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """Return a rack in which all is good."""
    async with FakeSwitch(authorized_keys=[KEY]) as switch:
        for node in NODES:
            switch.ports.plug(node.port, mac=node.mac)
        (tmp_path / "known_hosts").write_text(switch.known_hosts_line())
        (tmp_path / "key").write_bytes(KEY.export_private_key())
        driver = SwctrlDriver(
            SwctrlSettings(
                address=switch.host,
                port=switch.port,
                known_hosts=tmp_path / "known_hosts",
                client_key=tmp_path / "key",
                backoff_s=0.01,
            )
        )
        journal = Journal(tmp_path)
        outlets = {node.name: Outlet(node.port, node.mac) for node in NODES}
        service = PowerService(driver, journal, outlets, PowerSettings())
        yield Rig(switch, service, journal, tmp_path)
        await service.aclose()
        journal.close()


async def test_all_is_good(rig: Rig) -> None:
    """Nothing is found, nothing on the switch changes, and one connection is enough."""
    assert await rig.check().check() == []
    assert rig.switch.ports.log == []
    assert rig.switch.accepted == 1


async def test_a_port_that_a_person_switched_off_is_theirs(rig: Rig) -> None:
    """An off port is no fault of the way to it."""
    rig.switch.ports.set_admin([34], "off", "ada", 0)
    assert await rig.check().check() == []


async def test_unlike_the_inventory(rig: Rig) -> None:
    """A node that hangs behind another port, and a port that isn't there, are named."""
    rig.switch.ports[34].mac, rig.switch.ports[36].mac = NODES[1].mac, NODES[0].mac
    missing = replace(a_node("green9", 9), port=60)
    assert await rig.check(*NODES, missing).check() == [
        "green1 is seen behind port 36, and the inventory says 34",
        "green2 is seen behind port 34, and the inventory says 36",
        "the switch lists no port 60, which green9 should be on",
    ]


async def test_a_login_that_is_refused(rig: Rig) -> None:
    """A refused login is found, opens the breaker, and a login that works closes it again."""
    rig.switch.inject(Fault(Kind.AUTH_FAILURE))
    (problem,) = await rig.check().check()
    assert "login refused" in problem
    assert rig.service.breaker.reason
    assert await rig.check().check() == []
    assert not rig.service.breaker.reason


async def test_a_switch_that_says_nothing(rig: Rig) -> None:
    """Silence ends the check at its deadline."""
    rig.switch.inject(Fault(Kind.HANG_BEFORE, times=None))
    assert await rig.check(deadline_s=0.2).check() == ["the switch gave no answer within 0.2 s"]


async def test_credentials_and_journal(rig: Rig) -> None:
    """A missing or empty credential, and a journal that can't be written, are each named."""
    check = rig.check()
    assert await check.check() == []
    (rig.files / "known_hosts").write_text("")
    (rig.files / "key").unlink()
    rig.journal.database.rows("PRAGMA query_only=ON")
    found = await check.check()
    assert found[0] == f"{rig.files / 'known_hosts'}: empty"
    assert found[1] == f"{rig.files / 'key'}: No such file or directory"
    assert found[2].startswith("the journal can't be written")


async def test_the_address_sense(rig: Rig) -> None:
    """Each listed node is seen here or elsewhere; of one that isn't listed nothing is said."""
    rig.switch.ports.unplug(36)
    rig.switch.ports.plug(40, mac=NODES[1].mac)
    seen = await AddressSense(rig.service.macs, 300, 5).look([*NODES, a_node("green3", 38)])
    words = [(one.node, one.kind, one.outcome, one.subject) for one in seen]
    assert words == [("green1", "address", "here", "34"), ("green2", "address", "elsewhere", "40")]


async def test_an_address_table_that_cannot_be_read_says_nothing(rig: Rig) -> None:
    """No answer is no observation."""
    rig.switch.inject(Fault(Kind.NO_EXIT_STATUS, match="mac show"))
    assert await AddressSense(rig.service.macs, 300, 5).look(NODES) == ()
