"""`clock_skewed` and `clock_unsynced`."""

from pathlib import Path

import pytest

from agents.clock_offset import Estimate
from agents.detectors.clock import ClockSkew, ClockSync, judge_skew, judge_sync, why_unsynced
from agents.disk import Disk
from common.observations import Truth


@pytest.mark.parametrize(
    ("offset_s", "error_s", "status"),
    [
        (0.0, 0.01, Truth.FALSE),
        (0.49, 0.01, Truth.FALSE),
        (-0.49, 0.01, Truth.FALSE),
        (0.52, 0.01, Truth.TRUE),
        (-40.0, 1.0, Truth.TRUE),
        (0.5, 0.01, Truth.UNKNOWN),
        (0.0, 0.6, Truth.UNKNOWN),
        (3.0, 2.9, Truth.UNKNOWN),
    ],
)
def test_verdict_waits_for_a_narrow_bound(offset_s: float, error_s: float, status: Truth) -> None:
    """Skewed or not only when the whole interval says so."""
    seen = judge_skew(Estimate(offset_s, error_s), 0.5)
    assert (seen.kind, seen.status, seen.value) == ("clock_skewed", status, offset_s)


def test_detail_says_which_way() -> None:
    """People read who is behind whom."""
    assert "3.000 s behind the supervisor's" in judge_skew(Estimate(3.0, 0.001), 0.5).detail
    assert "3.000 s ahead of the supervisor's" in judge_skew(Estimate(-3.0, 0.001), 0.5).detail


async def test_no_estimate_is_no_data() -> None:
    """Without an answered beat nothing is said of the clock."""
    assert await ClockSkew(lambda: None, 0.5).observe() == []


async def test_newest_estimate_is_judged() -> None:
    """The detector asks anew each time."""
    (seen,) = await ClockSkew(lambda: Estimate(9.0, 0.1), 0.5).observe()
    assert seen.status is Truth.TRUE


@pytest.mark.parametrize(
    ("status", "truth"),
    [(0x0040, Truth.TRUE), (0x2041, Truth.TRUE), (0x2001, Truth.FALSE), (0, Truth.FALSE)],
)
def test_sync_is_the_kernels_bit(status: int, truth: Truth) -> None:
    """STA_UNSYNC decides, whatever other bits stand; the value is the error bound in seconds."""
    seen = judge_sync(status, 16_000_000)
    assert (seen.kind, seen.status, seen.value) == ("clock_unsynced", truth, 16.0)


async def test_the_kernel_answers(disk: Disk) -> None:
    """The real adjtimex(2) gives a definite verdict and a bound that isn't negative."""
    (seen,) = await ClockSync(disk).observe()
    assert seen.status in {Truth.TRUE, Truth.FALSE}
    assert seen.value >= 0


@pytest.mark.parametrize(
    ("trace", "meaning"),
    [
        ("run/chrony/chronyd.pid", "chronyd runs"),
        ("run/systemd/timesync/synchronized", "lost its servers"),
        ("run/systemd/timesync/clock", "no server has answered"),
        ("run/ntpd.pid", "ntpd runs"),
        ("run/other", "no NTP daemon runs"),
    ],
)
async def test_why_is_read_off_what_daemons_leave(
    tmp_path: Path, disk: Disk, trace: str, meaning: str
) -> None:
    """Each NTP daemon leaves something of its own."""
    (tmp_path / trace).parent.mkdir(parents=True)
    (tmp_path / trace).touch()
    assert meaning in await why_unsynced(disk)
