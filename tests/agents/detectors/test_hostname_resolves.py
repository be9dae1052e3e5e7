"""`name_unresolvable` (FOE 4.4)."""

from pathlib import Path

import pytest

from agents.detectors.hostname_resolves import HostnameResolves, judge
from agents.disk import Disk
from common.observations import Truth


@pytest.mark.parametrize(
    ("hosts", "status"),
    [
        ("127.0.0.1 localhost\n127.0.1.1\tyellow1\n", Truth.FALSE),
        ("127.0.1.1 yellow1.cluster yellow1\n", Truth.FALSE),
        ("127.0.1.1 Yellow1  # me\n", Truth.FALSE),
        ("127.0.0.1 localhost\n", Truth.TRUE),
        ("# 127.0.1.1 yellow1\n", Truth.TRUE),
        ("127.0.1.1 yellow10\n", Truth.TRUE),
        ("127.0.1.1 yellow1.cluster\n", Truth.TRUE),
        ("yellow1\n", Truth.TRUE),
        ("", Truth.TRUE),
    ],
)
def test_verdicts(hosts: str, status: Truth) -> None:
    """The own name needs a line that isn't a comment; case doesn't matter."""
    seen = judge("yellow1", hosts)
    assert (seen.kind, seen.subject, seen.status) == ("name_unresolvable", "yellow1", status)


async def test_reads_the_trees_it_is_given(tmp_path: Path, disk: Disk) -> None:
    """Name from the proc tree, hosts from the root tree."""
    (tmp_path / "sys/kernel").mkdir(parents=True)
    (tmp_path / "sys/kernel/hostname").write_text("red2\n")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hosts").write_text("127.0.1.1 red2\n")
    (seen,) = await HostnameResolves(tmp_path, disk).observe()
    assert (seen.status, seen.detail) == (Truth.FALSE, "127.0.1.1 in /etc/hosts")


async def test_missing_hosts_file_names_nobody(disk: Disk) -> None:
    """No hosts file at all is the fault, not a failed look."""
    (seen,) = await HostnameResolves(Path("/proc"), disk).observe()
    assert seen.status is Truth.TRUE
