"""`undervoltage`, `throttled`, `overheating`: what the Raspberry Pi's firmware holds back, and why.

Sources: get_throttled of the firmware driver, a hexadecimal mask; hwmon `rpi_volt` for kernels
without it; the thermal zones, in thousandths of a degree Celsius. None of them exists off the
Pi: no data. The upper bits say what happened since boot, which is told but makes nothing true.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from common.observations import Truth
from common.wire import WireObservation

UNDERVOLTAGE, THROTTLED, OVERHEATING = "undervoltage", "throttled", "overheating"
HOT_C, COOL_C = 80.0, 75.0  # the firmware throttles softly at 80; cool again below 75
_GET_THROTTLED = "devices/platform/soc/soc:firmware/get_throttled"
_UNDERVOLTAGE_NOW, _CAPPED_NOW, _THROTTLED_NOW, _SOFT_LIMIT_NOW = 1, 2, 4, 8
_SINCE_BOOT_SHIFT = 16
_PLAUSIBLE_C = (-40.0, 150.0)


class Throttling:
    """Reads the firmware's mask and the temperatures."""

    name = "throttling"
    kinds = (UNDERVOLTAGE, THROTTLED, OVERHEATING)
    period_s = 5.0
    deadline_s = 3.0

    def __init__(self, sysfs: Path) -> None:
        self._sysfs = sysfs
        self._hot = False

    def observe(self) -> list[WireObservation]:
        """Read what there is."""
        mask = self._mask()
        temperature = max(_temperatures(self._sysfs), default=None)
        seen = [] if mask is None else [judge_undervoltage(mask), judge_throttled(mask)]
        if temperature is not None:
            soft_limit = bool(mask is not None and mask & _SOFT_LIMIT_NOW)
            self._hot = soft_limit or temperature >= (COOL_C if self._hot else HOT_C)
            seen.append(_overheating(temperature, self._hot, soft_limit))
        return seen

    def _mask(self) -> int | None:
        with contextlib.suppress(FileNotFoundError):
            return int((self._sysfs / _GET_THROTTLED).read_text("ascii"), 16)
        for name in self._sysfs.glob("class/hwmon/hwmon*/name"):
            if name.read_text("ascii").strip() == "rpi_volt":
                low = int((name.parent / "in0_lcrit_alarm").read_text("ascii"))
                return _UNDERVOLTAGE_NOW if low else 0
        return None


def judge_undervoltage(mask: int) -> WireObservation:
    """Judge bit 0, and tell bit 16."""
    return _from_bits(UNDERVOLTAGE, mask, _UNDERVOLTAGE_NOW)


def judge_throttled(mask: int) -> WireObservation:
    """Judge bits 1 and 2, and tell 17 and 18."""
    return _from_bits(THROTTLED, mask, _CAPPED_NOW | _THROTTLED_NOW)


def _from_bits(kind: str, mask: int, bits: int) -> WireObservation:
    now, before = mask & bits, mask >> _SINCE_BOOT_SHIFT & bits
    when = "now" if now else "since boot, not now" if before else "never since boot"
    return WireObservation(
        kind=kind, status=Truth.TRUE if now else Truth.FALSE, detail=f"{when} (0x{mask:x})"
    )


def _temperatures(sysfs: Path) -> Iterator[float]:
    for path in sysfs.glob("class/thermal/thermal_zone*/temp"):
        with contextlib.suppress(OSError, ValueError):  # a sensor that is asleep
            degrees = int(path.read_text("ascii")) / 1000
            if _PLAUSIBLE_C[0] <= degrees <= _PLAUSIBLE_C[1]:
                yield degrees


def _overheating(degrees: float, hot: bool, soft_limit: bool) -> WireObservation:  # noqa: FBT001 - both are facts of one row
    limit = ", the firmware's soft limit holds" if soft_limit else ""
    return WireObservation(
        kind=OVERHEATING,
        status=Truth.TRUE if hot else Truth.FALSE,
        detail=f"{degrees:.1f} °C{limit}",
        value=degrees,
    )
