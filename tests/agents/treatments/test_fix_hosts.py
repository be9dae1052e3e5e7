"""`fix_hosts`: one line is added, everything else stays byte for byte."""

import os
from pathlib import Path

import pytest

from agents.treatment import TreatmentError
from agents.treatments.fix_hosts import FixHosts, with_name


class Node:
    def __init__(self, folder: Path, hosts: bytes | None, hostname: str = "yellow1\n") -> None:
        (folder / "proc/sys/kernel").mkdir(parents=True)
        (folder / "proc/sys/kernel/hostname").write_text(hostname)
        (folder / "root/etc").mkdir(parents=True)
        self.hosts = folder / "root/etc/hosts"
        if hosts is not None:
            self.hosts.write_bytes(hosts)
        self.treatment = FixHosts(folder / "proc", folder / "root")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b"127.0.1.1\tyellow1\n"),
        (b"127.0.0.1 localhost", b"127.0.0.1 localhost\n127.0.1.1\tyellow1\n"),
        (b"#127.0.1.1 yellow1\n", b"#127.0.1.1 yellow1\n127.0.1.1\tyellow1\n"),
        (b"127.0.1.1\told # x\r\n\xff", b"127.0.1.1\tyellow1 old # x\r\n\xff"),
        (b"a\n 127.0.1.1  old\n127.0.1.1 b\n", b"a\n 127.0.1.1  yellow1 old\n127.0.1.1 b\n"),
        (b"127.0.1.10 x\n", b"127.0.1.10 x\n127.0.1.1\tyellow1\n"),
    ],
)
def test_rest_stays_byte_for_byte(before: bytes, after: bytes) -> None:
    """The name comes first on the node's line, or the line comes last in the file."""
    assert with_name(before, b"yellow1") == after


async def test_line_is_written_and_read_back(tmp_path: Path) -> None:
    """The proof is the line that was read after the file was replaced."""
    node = Node(tmp_path, b"127.0.0.1\tlocalhost\n")
    node.hosts.chmod(0o640)
    assert await node.treatment.carry_out({}, 5) == "read back: 127.0.1.1 yellow1"
    assert node.hosts.read_bytes() == b"127.0.0.1\tlocalhost\n127.0.1.1\tyellow1\n"
    assert node.hosts.stat().st_mode & 0o7777 == 0o640
    assert os.listdir(node.hosts.parent) == ["hosts"]  # noqa: PTH208


async def test_twice_is_once(tmp_path: Path) -> None:
    """A name that stands there already, on any address and in any case, is left alone."""
    node = Node(tmp_path, b"192.168.2.11 a Yellow1 # the node\n")
    before = node.hosts.stat()
    assert (await node.treatment.carry_out({}, 5)).startswith("nothing to do: 192.168.2.11 a")
    assert node.hosts.stat() == before


async def test_missing_file_is_made(tmp_path: Path) -> None:
    """Without a hosts file one is made, readable by all."""
    node = Node(tmp_path, None)
    await node.treatment.carry_out({}, 5)
    assert node.hosts.stat().st_mode & 0o7777 == 0o644


async def test_links_are_not_followed(tmp_path: Path) -> None:
    """A hosts file that is a link belongs to somebody else's tool."""
    node = Node(tmp_path, None)
    target = tmp_path / "elsewhere"
    target.write_text("x")
    node.hosts.symlink_to(target)
    with pytest.raises(TreatmentError, match="hosts"):
        await node.treatment.carry_out({}, 5)
    assert target.read_text() == "x"


@pytest.mark.parametrize("hostname", ["", "two words", "a\nb", "-x", "x" * 64])
async def test_strange_names_are_not_written(tmp_path: Path, hostname: str) -> None:
    """A host name that can't stand in the file leaves it as it is."""
    node = Node(tmp_path, b"x\n", hostname)
    with pytest.raises(TreatmentError, match="can't stand in"):
        await node.treatment.carry_out({}, 5)
    assert node.hosts.read_bytes() == b"x\n"


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: gives a file to somebody else")
async def test_owner_is_kept(tmp_path: Path) -> None:
    """A file that isn't root's stays whose it was."""
    node = Node(tmp_path, b"")
    os.chown(node.hosts, 1234, 2345)
    await node.treatment.carry_out({}, 5)
    status = node.hosts.stat()
    assert (status.st_uid, status.st_gid) == (1234, 2345)


async def test_arguments_are_refused(tmp_path: Path) -> None:
    """It takes none."""
    assert Node(tmp_path, b"").treatment.refusal({"name": "x"})
