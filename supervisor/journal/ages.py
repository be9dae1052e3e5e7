"""When something happened, in a form that survives restarts and wrong clocks."""

from dataclasses import dataclass

from common import clock


@dataclass(frozen=True, slots=True)
class Stamp:
    """An instant: seconds since boot `boot_id`. `wall` is for people and never computed with."""

    boot_id: str
    at_boottime: float
    wall: str

    @classmethod
    def now(cls) -> "Stamp":
        """Return this instant."""
        return cls(clock.boot_id(), clock.boottime(), clock.wall_text())


def age_of(boot_id: str, at_boottime: float, now_boot_id: str, now_boottime: float) -> float:
    """Seconds that have surely passed since an instant.

    Within one boot this is exact. Across boots nobody knows how long the machine was off, so
    it is the uptime of this boot: never too much, so a cool-down restored from it is never
    cut short.
    """
    if boot_id != now_boot_id:
        return max(0.0, now_boottime)
    return max(0.0, now_boottime - at_boottime)
