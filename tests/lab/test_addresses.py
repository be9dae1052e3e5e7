"""The real inventory, moved onto loopback."""

from pathlib import Path

import pytest

from common.inventory import load_cluster
from lab.addresses import Addresses, write_inventory
from lab.errors import LabError
from lab.settings import CONFIG

REAL = CONFIG / "cluster.toml"


def test_every_node_moves_to_the_same_last_octets_on_the_chosen_net(tmp_path: Path) -> None:
    """192.168.2.N becomes 127.NET.2.N for every node and the switch, and ssh listens on 2222."""
    cluster = write_inventory(REAL, tmp_path / "cluster.toml", Addresses(net=77))
    real = load_cluster(REAL)
    assert [node.ip for node in cluster] == [
        node.ip.replace("192.168.", "127.77.") for node in real
    ]
    assert cluster.switch.address == "127.77.2.10"
    assert {node.ssh_port for node in cluster} == {2222} == {cluster.switch.ssh_port}


def test_nothing_but_addresses_and_ssh_ports_changes(tmp_path: Path) -> None:
    """Comments, names, ports and dependencies of the real file survive word for word."""
    write_inventory(REAL, tmp_path / "cluster.toml", Addresses(net=77))
    moved = (tmp_path / "cluster.toml").read_text().replace("127.77.", "192.168.")
    without = [line for line in moved.splitlines() if line != "ssh_port = 2222"]
    assert without == REAL.read_text().splitlines()


def test_an_inventory_that_names_its_ssh_ports_is_moved_too(tmp_path: Path) -> None:
    """A port said in a table or a row gives way; a role without a table gets one."""
    text = """
[cluster]
name = "c"
timezone = "UTC"
[network]
cidr = '10.0.0.0/24'
[switch]
name = "s"
address = "10.0.0.2"
ssh_port = 22
[nodes.a]
role = "login"
serial = "00000001"
mac = "00:00:00:00:00:01"
ip = "10.0.0.20"
port = 1
ssh_port=23
[nodes.b]
role = "worker"
serial = "00000002"
mac = "00:00:00:00:00:02"
ip = '10.0.0.2'
port = 2
"""
    source = tmp_path / "real.toml"
    source.write_text(text)
    cluster = write_inventory(source, tmp_path / "cluster.toml", Addresses(net=5))
    assert [(node.ip, node.ssh_port) for node in cluster] == [
        ("127.5.0.20", 2222),
        ("127.5.0.2", 2222),
    ]


@pytest.mark.parametrize(("net", "port"), [(0, 8800), (255, 8800), (168, 80), (168, 70000)])
def test_a_place_that_cannot_be_is_refused_in_words(net: int, port: int) -> None:
    """The net and the port are checked where they are given."""
    with pytest.raises(LabError, match="expected a"):
        Addresses(net, port)
