"""What an agent finds in a virtual Pi's trees."""

import subprocess
from pathlib import Path

import pytest

from common.inventory import load_cluster
from lab.settings import CONFIG
from lab.systemctl import UnitTable
from lab.tree import Tree

CLUSTER = load_cluster(CONFIG / "cluster.toml")


def tree_of(name: str, directory: Path, server: str = "") -> Tree:
    """Return a booted tree."""
    tree = Tree(CLUSTER.nodes[name], directory, server)
    tree.units.install()
    tree.boot()
    return tree


def root_line(tree: Tree) -> list[str]:
    """Return the fields of / in mountinfo."""
    return (tree.proc / "self/mountinfo").read_text().splitlines()[0].split()


def test_a_boot_has_a_new_id_and_finds_everything_well(tmp_path: Path) -> None:
    """Each boot differs by its id, and undoes whatever was broken in the trees."""
    tree = tree_of("pi_login", tmp_path)
    first = tree.boot_id
    tree.mount_root(read_only=True)
    tree.drop_hosts_line()
    tree.units.fail("nfs-server.service")
    tree.boot()
    assert tree.boot_id != first
    assert not tree.is_read_only()
    assert tree.has_hosts_line()
    assert tree.units.failed() == []


def test_a_read_only_disk_hides_behind_a_writable_mount(tmp_path: Path) -> None:
    """As measured: the mount stays `rw`, the superblock alone says `emergency_ro`."""
    tree = tree_of("pi_login", tmp_path)
    tree.mount_root(read_only=True)
    fields = root_line(tree)
    assert fields[4] == "/"
    assert "rw" in fields[5].split(",")
    assert fields[-1].split(",")[:2] == ["rw", "emergency_ro"]
    assert tree.is_read_only()


def test_a_netbooted_node_has_its_root_from_login(tmp_path: Path) -> None:
    """A worker's root is nfs from the server's address; `ro` shows in both places."""
    tree = tree_of("green1", tmp_path, "127.9.2.1")
    assert root_line(tree)[8:10] == ["nfs", "127.9.2.1:/nfs/green1"]
    tree.mount_root(read_only=True)
    assert "ro" in root_line(tree)[5].split(",")


@pytest.fixture
def units(tmp_path: Path) -> UnitTable:
    """Two units in a directory whose name needs quoting."""
    table = UnitTable(tmp_path / "a node's")
    table.install()
    table.boot(["nfs-server.service", "ssh.service"])
    return table


def systemctl(units: UnitTable, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the node's own systemctl."""
    return subprocess.run(
        [units.program, *words], capture_output=True, text=True, timeout=10, check=False
    )


def test_show_answers_a_block_for_each_unit_in_order(units: UnitTable) -> None:
    """Asked for properties of several units, it answers those and no others; unknown ones too."""
    units.fail("ssh.service")
    shown = systemctl(
        units, "show", "--property=Id,LoadState,ActiveState", "--", "ssh", "no.service"
    )
    assert shown.stdout.split("\n\n") == [
        "Id=ssh.service\nLoadState=loaded\nActiveState=failed",
        "Id=no.service\nLoadState=not-found\nActiveState=inactive\n",
    ]


def test_a_restart_cures_a_failed_unit_under_a_new_invocation(units: UnitTable) -> None:
    """After `restart` the unit is active and its invocation id is another."""
    units.fail("nfs-server.service")
    before = systemctl(units, "show", "--property=InvocationID", "nfs-server.service").stdout
    reader = units.requests.open("r+b", buffering=0)  # as the Pi has it
    with reader:
        assert systemctl(units, "restart", "--", "nfs-server.service").returncode == 0
        assert reader.read(100) == b"restart nfs-server.service\n"
    assert systemctl(units, "is-active", "nfs-server").stdout == "active\n"
    assert systemctl(units, "show", "-p", "InvocationID", "nfs-server.service").stdout != before


def test_reset_failed_forgets_the_failure_without_a_start(units: UnitTable) -> None:
    """As systemd's: the unit is then inactive."""
    units.fail("ssh.service")
    assert systemctl(units, "reset-failed", "--", "ssh.service").returncode == 0
    assert systemctl(units, "is-active", "ssh.service").stdout == "inactive\n"


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (("restart", "no.service"), 5, "Unit no.service not found"),
        (("is-active", "../../etc/passwd"), 1, "Invalid unit name"),
        (("frobnicate", "ssh"), 1, "Unknown command verb"),
        (("restart",), 1, "Too few arguments"),
    ],
)
def test_nonsense_is_refused_as_systemctl_refuses_it(
    units: UnitTable, words: tuple[str, ...], status: int, complaint: str
) -> None:
    """Unknown units and verbs have their own exit status and a word on stderr."""
    done = systemctl(units, *words)
    assert (done.returncode, complaint in done.stderr) == (status, True)
