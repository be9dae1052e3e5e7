"""Reading the kernel's NFS counters, in the ways real kernels write them."""

from pathlib import Path

import pytest

from agents.detector import DetectorError
from agents.mount_stats import Counters, parse_mountstats

# NFSv3 over TCP, iostats 1.0 (kernel 3.10: 8 columns an operation); a long life with losses.
V3 = """\
device rootfs mounted on / with fstype rootfs
device login:/nfs/green\\0401 mounted on /mnt/a\\040b with fstype nfs statvers=1.1
\topts:\trw,vers=3,rsize=1048576,hard,nolock,proto=tcp,timeo=600,retrans=2,sec=sys,local_lock=all
\tage:\t11416148
\tcaps:\tcaps=0x3fef,wtmult=4096,dtsize=4096,bsize=0,namlen=255
\tsec:\tflavor=1,pseudoflavor=1
\tevents:\t1520147072 84509515934 168398 7470332 1232089477 498774437 0 0 0 0 0 0 0
\tbytes:\t7263950948543 1758878 0 0 1386876894225 1758878 361594403 159898
\tRPC iostats version: 1.0  p/v: 100003/3 (nfs)
\txprt:\ttcp 977 1 4 0 0 2739061800 2738767649 294147 235823357669788 0 5127 2372793750 3533238452
\tper-op statistics
\t        NULL: 0 0 0 0 0 0 0 0
\t     GETATTR: 1520086239 1520146727 24250 182420380 170245444 5417991 8900250068 15167384918
\t        READ: 38424461 38424461 0 5072028852 1391859696128 3426588 168406259 188428818
device tmpfs mounted on /run with fstype tmpfs
"""

# NFSv4.2, nconnect=2: two transports; kernel 5.3 and later append a column of errors; impl_id
# may run over lines; and the queue's time once wrapped.
V4 = """\
device 192.168.2.2:/srv mounted on / with fstype nfs4 statvers=1.1
\topts:\trw,vers=4.2,nconnect=2,soft,proto=tcp,port=0,timeo=600,clientaddr=192.168.2.5
\tage:\t13968
\timpl_id:\tname='FreeBSD 11.2 #0: Mon
user@host:/path'
\t,domain='something.org',date='1293840000,0'
\tnfsv4:\tbm0=0xfdffafff,bm1=0xf9be3e,bm2=0x800,acl=0x0,sessions,pnfs=not configured
\tRPC iostats version: 1.1  p/v: 100003/4 (nfs)
\txprt:\ttcp 832 0 1 0 11 6428 6428 0 12154 0 24 26 5726
\txprt:\ttcp 706 0 2 0 11 30 27 0 61 0 2 0 3
\tper-op statistics
\t        NULL: 1 1 0 44 24 0 0 0 0
\t      ACCESS: 90 91 1 5269310 3629968 18446743919241604546 1667 1953 4
"""

RDMA = """\
device s:/e mounted on /r with fstype nfs statvers=1.1
\txprt:\trdma 0 0 5808 62 0 494490723 494490687 36 10032963746 1282789 107150285 1226637531 2673889
\tper-op statistics
\t        NULL: 16 16 0 640 384 320 11 331 0
"""
UDP = """\
device s:/e mounted on /u with fstype nfs statvers=1.0
\txprt:\tudp 840 1 1013715537 1013715535 2 18247684089 0
\tper-op statistics
"""


@pytest.mark.parametrize(
    ("text", "point", "expected"),
    [
        pytest.param(
            V3,
            "/mnt/a b",
            Counters(
                sends=2739061800,
                replies=2738767649 + 294147,
                done=1520086239 + 38424461,
                sent_again=60488,
                timeouts=24250,
                round_trip_s=pytest.approx((8900250068 + 168406259) / 1e3),
                execute_s=pytest.approx((15167384918 + 188428818) / 1e3),
            ),
            id="v3-iostats-1.0",
        ),
        pytest.param(
            V4, "/", Counters(6458, 6455, 91, 1, 1, 1.667, pytest.approx(1.953)), id="v4-nconnect"
        ),
        pytest.param(RDMA, "/r", Counters(494490723, 494490723, 16, 0, 0, 0.011, 0.331), id="rdma"),
        pytest.param(UDP, "/u", Counters(1013715537, 1013715537), id="udp-statvers-1.0"),
    ],
)
def test_formats(text: str, point: str, expected: Counters) -> None:
    """Every transport and version gives the same few sums; what isn't NFS gives none."""
    assert parse_mountstats(text) == {point: expected}


def test_what_waits_is_sends_less_replies() -> None:
    """Answers to requests that were sent twice (bad xids) are answers as well."""
    assert parse_mountstats(V3)["/mnt/a b"].unanswered == 4
    assert parse_mountstats(V4)["/"].unanswered == 3


def test_this_machines_own_table_is_understood() -> None:
    """The real file of this kernel, whatever is mounted here."""
    parse_mountstats(Path("/proc/self/mountstats").read_text())


@pytest.mark.parametrize("line", ["\txprt:\ttcp 832 0 1", "\txprt:\tudp a b c d e f"])
def test_broken_counters_are_said(line: str) -> None:
    """Not taken for zero."""
    text = f"device s:/e mounted on /u with fstype nfs statvers=1.1\n{line}\n"
    with pytest.raises(DetectorError, match="mountstats: unexpected line"):
        parse_mountstats(text)
