"""The kernel's own count of what an NFS mount asked and was answered.

Source: /proc/PID/mountstats, written by nfs_show_stats() and rpc_clnt_show_stats() of the kernel.
Reading it asks nobody anything, so it can't hang on a dead server. [R] What it counts when:

    xprt line    each transmission and each reply, as they happen; shared by the mounts of a server
    per-op line  a request's share only once it has *ended*: in a stall these stand still

So what waits right now is sends less replies, and less what was lost for good earlier.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from agents.detector import DetectorError
from agents.mount_table import unescaped

FILE = "mountstats"
NFS = frozenset({"nfs", "nfs4"})

# Where `sends`, `replies` and `bad xids` begin after the transport's name.
_SENDS_AT = {"tcp": 5, "rdma": 5, "local": 4, "udp": 2}
_HEADER_WORDS, _OP_WORDS = 8, 8


@dataclass(frozen=True, slots=True)
class Counters:
    """Sums over a mount's transports and operations since it was mounted; times in seconds."""

    sends: int = 0
    replies: int = 0
    done: int = 0
    sent_again: int = 0
    timeouts: int = 0
    round_trip_s: float = 0.0
    execute_s: float = 0.0
    """From the request's queueing to its end: longer than the round trip when it had to wait."""

    @property
    def unanswered(self) -> int:
        """What was sent and never answered: what waits now, and what was lost before."""
        return max(0, self.sends - self.replies)


def parse_mountstats(text: str) -> dict[str, Counters]:
    """Return the counters of each NFS mount by its mount point; the last mount there hides others.

    Raises `DetectorError` on a line of counters that isn't one.
    """
    found: dict[str, Counters] = {}
    point, in_ops = "", False
    for line in text.splitlines():
        if line.startswith(("device ", "no device ")):
            point, in_ops = _nfs_point(line), False
            if point:
                found[point] = Counters()
        elif point:
            words = line.split()
            if words == ["per-op", "statistics"]:
                in_ops = True
            elif words and words[0] == "xprt:":
                found[point] = _with_transport(found[point], words[1:], line)
            elif in_ops and words and words[0].endswith(":"):
                found[point] = _with_operation(found[point], words[1:], line)
    return found


def _nfs_point(header: str) -> str:
    """Read `device SOURCE mounted on POINT with fstype TYPE [statvers=N]`; empty if not NFS."""
    words = header.split(" ")
    if len(words) < _HEADER_WORDS or words[7] not in NFS:
        return ""
    return unescaped(words[4])


def _with_transport(so_far: Counters, words: list[str], line: str) -> Counters:
    """Add one connection; with nconnect= there are several, and an unknown kind counts nothing."""
    at = _SENDS_AT.get(words[0]) if words else None
    if at is None:
        return so_far
    sends, replies, bad = _numbers(words[1 + at : 4 + at], 3, line)
    return replace(so_far, sends=so_far.sends + sends, replies=so_far.replies + replies + bad)


def _with_operation(so_far: Counters, words: list[str], line: str) -> Counters:
    done, sent, timeouts, *_, round_trip_ms, execute_ms = _numbers(words, _OP_WORDS, line)
    return Counters(
        so_far.sends,
        so_far.replies,
        so_far.done + done,
        so_far.sent_again + max(0, sent - done),
        so_far.timeouts + timeouts,
        so_far.round_trip_s + round_trip_ms / 1000,
        so_far.execute_s + execute_ms / 1000,
    )


def _numbers(words: list[str], count: int, line: str) -> Iterator[int]:
    """Return the first `count` numbers; newer kernels append some."""
    if len(words) < count or not all(word.isdecimal() for word in words[:count]):
        raise DetectorError(f"mountstats: unexpected line {line.strip()[:200]!r}")
    return map(int, words[:count])
