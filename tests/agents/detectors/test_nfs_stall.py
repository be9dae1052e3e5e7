"""`nfs_stalled`: the table of verdicts, and what counters say from look to look."""

import itertools
from pathlib import Path

import pytest

from agents.detectors.nfs_stall import (
    VERDICTS,
    WAITS_S,
    History,
    NfsMount,
    NfsStall,
    Requests,
    Said,
    nfs_mounts,
)
from agents.mount_stats import Counters
from agents.mount_table import parse_mountinfo
from agents.nfs_server import Server
from common.observations import Truth

NFS_LINE = (
    "22 1 0:21 / {point} rw,relatime - nfs4 login:/nfs/green1 rw,vers=4.2,rsize=131072,{options}"
)


def _mounts(options: str, *more: str) -> list[NfsMount]:
    line = NFS_LINE.format(point="/", options=options)
    return nfs_mounts(parse_mountinfo("\n".join([line, *more])))


def test_table_answers_every_combination() -> None:
    """No case was forgotten."""
    assert set(VERDICTS) == set(itertools.product(Said, Requests))


@pytest.mark.parametrize(
    ("options", "server"),
    [
        ("hard,proto=tcp,addr=192.168.2.2", Server("192.168.2.2", 2049, 4)),
        ("soft,proto=tcp,port=0,addr=192.168.2.2", Server("192.168.2.2", 2049, 4)),
        ("hard,proto=tcp6,port=3049,addr=fd00::2", Server("fd00::2", 3049, 4)),
        ("hard,proto=tcp,addr=login", None),  # a name needs a resolver, which reads files
        ("hard,proto=tcp6,addr=fe80::1%eth0", None),  # as does a scope
        ("hard,proto=rdma,port=20049,addr=192.168.2.2", None),
        ("hard,proto=udp,addr=192.168.2.2", None),
        ("hard,proto=tcp", None),
    ],
)
def test_whom_to_ask(options: str, server: Server | None) -> None:
    """Literal addresses over TCP, at the mount's own port."""
    (mount,) = _mounts(options)
    assert mount.server == server


def test_binds_and_hidden_mounts_are_not_counted_again() -> None:
    """K3s binds one file system into many pods; a mount that lies under another isn't seen."""
    bind = "40 22 0:21 /sub /var/lib/kubelet/pods/x rw - nfs4 login:/nfs/green1 rw,vers=4.2"
    hidden = "41 22 0:33 / /mnt rw - nfs login:/old rw,vers=3,hard,proto=tcp,addr=10.0.0.1"
    on_top = "42 41 0:34 / /mnt rw - tmpfs tmpfs rw"
    assert [m.point for m in _mounts("proto=tcp,addr=10.0.0.1", bind, hidden, on_top)] == ["/"]


def _after(*looks: tuple[int, int]) -> History:
    """Look each two seconds at these sums of sends and replies, the last one at 0 s."""
    history = History()
    for index, (sends, replies) in enumerate(looks):
        history.add(Counters(sends, replies, done=replies), 2.0 * (index + 1 - len(looks)))
    return history


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        pytest.param([(10, 10)], Requests.NONE, id="first-look"),
        pytest.param([(10, 10), (10, 10), (10, 10)], Requests.NONE, id="idle"),
        pytest.param([(10, 10), (20, 20)], Requests.ANSWERED, id="busy"),
        pytest.param([(10, 10), (20, 12)], Requests.ANSWERED, id="slow"),
        pytest.param([(10, 10), (12, 10), (12, 10)], Requests.NONE, id="not-yet-long"),
        pytest.param([(10, 10), (12, 10), (12, 10), (13, 10)], Requests.WAITING, id="stalled"),
        pytest.param([(90, 80)] + [(90, 80)] * 5, Requests.NONE, id="lost-long-ago"),
        pytest.param(
            [(10, 10), (14, 10), (14, 10), (16, 12), (16, 12), (16, 12), (16, 12)],
            Requests.NONE,
            id="recovered-with-losses",
        ),
        pytest.param(
            [(30, 20), (31, 21), (32, 21), (33, 21), (33, 21)], Requests.WAITING, id="after-losses"
        ),
        pytest.param([(90, 90), (5, 2), (5, 2)], Requests.NONE, id="mounted-anew"),
    ],
)
def test_requests(looks: list[tuple[int, int]], expected: Requests) -> None:
    """Only what was sent, and nothing at all answered since, for long enough, counts as waiting."""
    assert _after(*looks).requests(0.0) is expected


def test_waiting_lasts_since_it_was_first_seen() -> None:
    """The age of a stall counts from the look that saw it."""
    history = _after((10, 10), (12, 10), (12, 10), (12, 10))
    assert history.waiting_s(0.0) == WAITS_S
    assert history.in_words(0.0) == ["2 sent and not answered for 4 s"]


def test_rates_between_looks() -> None:
    """Requests a second, how long each took, and what had to be repeated."""
    history = History()
    history.add(Counters(100, 100, 100, 3, 1, 1.0, 2.0), 10.0)
    history.add(Counters(142, 140, 140, 5, 2, 1.2, 2.8), 12.0)
    assert history.in_words(12.0) == [
        "20.0 requests/s, 20.0 ms each, 5.0 on the way",
        "2 sent again, 1 timed out",
    ]


def _tree(folder: Path, mountinfo: str, mountstats: str | None) -> Path:
    (folder / "self").mkdir()
    (folder / "self/mountinfo").write_text(mountinfo)
    if mountstats is not None:
        (folder / "self/mountstats").write_text(mountstats)
    return folder


@pytest.mark.parametrize(
    ("mountinfo", "mountstats"),
    [
        ("27 1 8:2 / / rw - ext4 /dev/sda2 rw\n", ""),
        (NFS_LINE.format(point="/", options="addr=127.0.0.1,proto=tcp"), None),
    ],
    ids=["no-nfs-mount", "no-nfs-client"],
)
async def test_no_data(tmp_path: Path, mountinfo: str, mountstats: str | None) -> None:
    """Nothing to look at is no failure."""
    assert await NfsStall(_tree(tmp_path, mountinfo, mountstats)).observe() == []


async def test_unasked_and_idle_is_unknown(tmp_path: Path) -> None:
    """Without any word of the server's and without requests nothing is claimed; the manner is."""
    line = NFS_LINE.format(point="/", options="hard,proto=rdma,addr=127.0.0.1")
    (seen,) = await NfsStall(_tree(tmp_path, line, "")).observe()
    assert (seen.kind, seen.subject, seen.status) == ("nfs_stalled", "/", Truth.UNKNOWN)
    assert seen.detail == "127.0.0.1 not asked; hard vers=4.2 rdma"
