"""Durations as people type them."""

import re
from typing import Literal

from console.client import ConsoleError

FOREVER: Literal["forever"] = "forever"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> float | Literal["forever"]:
    """Read 90s, 30m, 2h, 1d or forever. Raises `ConsoleError` for anything else."""
    return FOREVER if text == FOREVER else plain_seconds(text)


def plain_seconds(text: str) -> float:
    """Read a duration that has an end; a bare number is seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if not found:
        raise ConsoleError(f"expected a duration like 30s, 30m, 2h or 1d, found {text!r}", 2)
    return float(found[1]) * _UNITS[found[2] or "s"]


def span(seconds_: float) -> str:
    """Say a duration: 41s, 12m, 3h12m, 5d."""
    minutes, secs = divmod(round(max(seconds_, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:  # noqa: PLR2004 - from two days on nobody counts hours
        return f"{hours // 24}d"
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m" if minutes else f"{secs}s"
