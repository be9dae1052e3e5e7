"""The only place that reads clocks.

Durations come from CLOCK_BOOTTIME, which nobody can set and which goes on through suspension.
Wall-clock time is for people and for measuring how wrong a clock is, never for durations.
"""

import time
from datetime import UTC, datetime
from pathlib import Path


def boottime() -> float:
    """Seconds since this machine booted."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def wall_ns() -> int:
    """Nanoseconds since the epoch, as this machine believes."""
    return time.time_ns()


def wall_text(ns: int | None = None) -> str:
    """Render an instant for people and logs: ISO 8601, UTC, milliseconds."""
    seconds = (wall_ns() if ns is None else ns) / 1e9
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def boot_id(procfs: Path = Path("/proc")) -> str:
    """Return the kernel's random id of this boot. Source: /proc/sys/kernel/random/boot_id."""
    return (procfs / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
