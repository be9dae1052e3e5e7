"""`timezone_wrong`: the node keeps another time zone than the cluster's (FOE 4.5).

Sources: <root>/etc/localtime, a link into the zone database (localtime(5)); no file means UTC.
A zone has several names, so zones that differ by name are compared by content. Debian's
/etc/timezone is told beside it: where the two differ, programs do too.
"""

from collections.abc import Callable

from agents.disk import Disk
from common.observations import Truth
from common.wire import WireObservation

KIND = "timezone_wrong"
_DATABASE = "/usr/share/zoneinfo"
_LOCALTIME = "/etc/localtime"


class TimeZone:
    """Compares with the zone that was ordered; without an order there is no data."""

    name = "timezone"
    kinds = (KIND,)
    period_s = 60.0
    deadline_s = 5.0

    def __init__(self, disk: Disk, wanted: str) -> None:
        self._disk = disk
        self._wanted = wanted

    async def observe(self) -> list[WireObservation]:
        """Read the link, and the two files if need be."""
        if not self._wanted:
            return []
        name = await self._zone()
        same = name == self._wanted or await self._same_rules(name)
        detail = f"{name or 'an unnamed zone'}, expected {self._wanted}"
        debian = await self._debian()
        if debian and debian != self._wanted:
            detail += f"; /etc/timezone says {debian}"
        status = Truth.FALSE if same else Truth.TRUE
        return [WireObservation(kind=KIND, status=status, detail=detail[:400])]

    async def watch(self, look_now: Callable[[], None]) -> None:
        """Look when the root stalls, and when it is back."""
        await self._disk.watch(look_now)

    async def _zone(self) -> str:
        try:
            target = await self._disk.target(_LOCALTIME)
        except FileNotFoundError:
            return "UTC"
        except OSError:  # a copy instead of a link
            return ""
        return target.partition("zoneinfo/")[2]

    async def _same_rules(self, name: str) -> bool:
        kept = f"{_DATABASE}/{name}" if name else _LOCALTIME
        try:
            wanted = await self._disk.read(f"{_DATABASE}/{self._wanted}")
            return await self._disk.read(kept) == wanted
        except OSError:
            return False

    async def _debian(self) -> str:
        try:
            return (await self._disk.read("/etc/timezone")).decode("utf-8", "replace").strip()[:100]
        except OSError:
            return ""
