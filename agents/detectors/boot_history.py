"""`boot_loop`: this node booted again and again, with little life in between.

The heartbeat carries boot id and uptime anyway, so a supervisor that hears the node counts for
itself. This is for what it can't hear: boots that never got as far as a beat, or that happened
while the supervisor was away. It needs a file that survives boots; without one, no data.

A Pi has no battery clock, so nothing rests on the time of day: the file keeps how long each boot
lived, and boots count as close together while their lives add up to less than `WINDOW_S`. The
time between them, without power, isn't known and counts as nothing.
The file is written once a boot and then each minute until the window is full, which spares
the disk.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.detector import DetectorError
from agents.disk import Disk
from common.clock import boot_id, boottime
from common.observations import Truth
from common.wire import WireObservation

KIND = "boot_loop"
WINDOW_S = 3600.0
LOOP = 4  # boots within the window: the third return in a row is no accident
_MOST = 32


@dataclass(frozen=True, slots=True)
class Boot:
    """One boot, and for how long it was seen alive at least, in seconds."""

    id: str
    lived_s: float


class BootHistory:
    """Counts boots in `file` on `disk`; None switches it off."""

    name = "boot_history"
    kinds = (KIND,)
    period_s = 60.0
    deadline_s = 10.0

    def __init__(self, procfs: Path, disk: Disk, file: Path | None) -> None:
        self._procfs = procfs
        self._disk = disk
        self._file = file

    async def observe(self) -> list[WireObservation]:
        """Write down this boot's age, and count. Raises `OSError` if the file can't be kept."""
        if self._file is None:
            return []
        now = Boot(boot_id(self._procfs), boottime())
        stored = await _load(self._disk, self._file)
        before = [boot for boot in stored if boot.id != now.id]
        last_written = next((boot.lived_s for boot in stored if boot.id == now.id), None)
        if last_written is None or last_written < WINDOW_S:
            await self._disk.write(self._file, _as_json([*before, now][-_MOST:]))
        return [judge([*before, now])]

    async def watch(self, look_now: Callable[[], None]) -> None:
        """Look when the root stalls, and when it is back."""
        await self._disk.watch(look_now)


def judge(boots: Sequence[Boot]) -> WireObservation:
    """Count the boots, oldest first, that share one window with the newest."""
    count = boots_in_window([boot.lived_s for boot in boots])
    now = boots[-1]
    return WireObservation(
        kind=KIND,
        status=Truth.TRUE if count >= LOOP else Truth.FALSE,
        detail=f"{count} boots within {WINDOW_S:.0f} s of life; boot {now.id[:8]} is "
        f"{now.lived_s:.0f} s old",
        value=count,
    )


def boots_in_window(lives_s: Sequence[float]) -> int:
    """Count back from the newest while what they lived stays below the window."""
    count, lived_s = 0, 0.0
    for life_s in reversed(lives_s):
        lived_s += life_s
        if lived_s >= WINDOW_S:
            break
        count += 1
    return count


async def _load(disk: Disk, file: Path) -> list[Boot]:
    try:
        stored = json.loads(await disk.read(file) or b"[]")
        return [Boot(str(one["id"]), max(0.0, float(one["lived_s"]))) for one in stored]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, KeyError):
        raise DetectorError(f"{file}: is damaged; remove it to begin anew") from None


def _as_json(boots: Sequence[Boot]) -> bytes:
    lines = [{"id": boot.id, "lived_s": round(boot.lived_s, 1)} for boot in boots]
    return json.dumps(lines).encode()
