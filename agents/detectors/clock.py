"""`clock_skewed`, `clock_unsynced`: whether the clock is right, and whether anything keeps it so.

Skew is against the supervisor, from the heartbeat's timestamps. Whose clock is the wrong one
is for the supervisor to say, who sees all nodes.

Sync is what the kernel believes: adjtimex(2) with no modes set only reads. STA_UNSYNC stands
until an NTP daemon clears it, and the kernel sets it again when `maxerror` passes 16 s.
Why there is none is read off what the daemons leave in /run: timesyncd touches
/run/systemd/timesync/synchronized once it has been in step, chronyd writes its pid.
"""

import ctypes
import os
from collections.abc import Callable
from typing import ClassVar

from agents.clock_offset import Estimate
from agents.disk import Disk, DiskError
from common.observations import Truth
from common.wire import WireObservation

SKEWED = "clock_skewed"
UNSYNCED = "clock_unsynced"
STA_UNSYNC = 0x0040


class ClockSkew:
    """Compares the supervisor's clock with ours."""

    name = "clock_skew"
    kinds = (SKEWED,)
    period_s = 1.0
    deadline_s = 1.0

    def __init__(self, estimate: Callable[[], Estimate | None], threshold_s: float) -> None:
        self._estimate = estimate
        self._threshold_s = threshold_s

    async def observe(self) -> list[WireObservation]:
        """Judge the newest estimate; without one there is no data."""
        estimate = self._estimate()
        return [judge_skew(estimate, self._threshold_s)] if estimate else []


def judge_skew(estimate: Estimate, threshold_s: float) -> WireObservation:
    """Compare with `threshold_s`: unknown as long as the error bound allows both verdicts."""
    offset_s, error_s = estimate.offset_s, estimate.error_s
    if abs(offset_s) - error_s > threshold_s:
        status = Truth.TRUE
    elif abs(offset_s) + error_s <= threshold_s:
        status = Truth.FALSE
    else:
        status = Truth.UNKNOWN
    side = "behind" if offset_s > 0 else "ahead of"
    detail = f"{abs(offset_s):.3f} s {side} the supervisor's clock, within {error_s:.3f} s"
    return WireObservation(kind=SKEWED, status=status, detail=detail, value=offset_s)


class _Timex(ctypes.Structure):
    """Struct timex of <sys/timex.h>, with the C library's long."""

    _fields_: ClassVar = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", ctypes.c_long * 2),
        ("tick", ctypes.c_long),
        ("ppsfreq", ctypes.c_long),
        ("jitter", ctypes.c_long),
        ("shift", ctypes.c_int),
        ("stabil", ctypes.c_long),
        ("jitcnt", ctypes.c_long),
        ("calcnt", ctypes.c_long),
        ("errcnt", ctypes.c_long),
        ("stbcnt", ctypes.c_long),
        ("tai", ctypes.c_int),
        ("reserved", ctypes.c_int * 11),
    ]


class ClockSync:
    """Asks the kernel whether an NTP daemon disciplines its clock."""

    name = "clock_sync"
    kinds = (UNSYNCED,)
    period_s = 10.0
    deadline_s = 1.0

    def __init__(self, disk: Disk) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._disk = disk

    async def observe(self) -> list[WireObservation]:
        """Read the kernel's clock state, and who keeps it if nobody succeeds."""
        timex = _Timex()
        if self._libc.adjtimex(ctypes.byref(timex)) < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"adjtimex: {os.strerror(number)}")
        reason = await why_unsynced(self._disk) if timex.status & STA_UNSYNC else ""
        return [judge_sync(timex.status, timex.maxerror, reason)]


# what a daemon leaves behind, and what that means; the first that is there counts
_TRACES = (
    ("/run/chrony/chronyd.pid", "chronyd runs, but has not set the clock right"),
    (
        "/run/systemd/timesync/synchronized",
        "systemd-timesyncd lost its servers: it was in step once",
    ),
    (
        "/run/systemd/timesync",
        "systemd-timesyncd runs, but no server has answered since boot",
    ),
    ("/run/ntpd.pid", "ntpd runs, but has not set the clock right"),
)


async def why_unsynced(disk: Disk) -> str:
    """Tell which NTP daemon there is, and what it has come to; nothing if that can't be seen."""
    try:
        for trace, meaning in _TRACES:
            if await disk.exists(trace):
                return meaning
    except (OSError, DiskError):
        return ""
    return "no NTP daemon runs"


def judge_sync(status: int, maxerror_us: int, reason: str = "") -> WireObservation:
    """Judge adjtimex's status bits and its bound on the error, in microseconds."""
    unsynced = bool(status & STA_UNSYNC)
    return WireObservation(
        kind=UNSYNCED,
        status=Truth.TRUE if unsynced else Truth.FALSE,
        detail=(reason or "no NTP daemon keeps the clock") if unsynced else "kept by an NTP daemon",
        value=maxerror_us / 1e6,
    )
