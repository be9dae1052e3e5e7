"""`timezone_wrong`: the node keeps another time zone than the cluster's (FOE 4.5).

Sources: <root>/etc/localtime, a link into the zone database (localtime(5)); no file means UTC.
A zone has several names, so zones that differ by name are compared by content. Debian's
/etc/timezone is told beside it: where the two differ, programs do too.
"""

from pathlib import Path

from common.observations import Truth
from common.wire import WireObservation

KIND = "timezone_wrong"
_DATABASE = "usr/share/zoneinfo"


class TimeZone:
    """Compares with the zone that was ordered; without an order there is no data."""

    name = "timezone"
    kinds = (KIND,)
    period_s = 60.0
    deadline_s = 5.0

    def __init__(self, rootfs: Path, wanted: str) -> None:
        self._root = rootfs
        self._wanted = wanted

    def observe(self) -> list[WireObservation]:
        """Read the link, and the two files if need be."""
        if not self._wanted:
            return []
        name = self._zone()
        same = name == self._wanted or self._same_rules()
        detail = f"{name or 'an unnamed zone'}, expected {self._wanted}"
        debian = self._debian()
        if debian and debian != self._wanted:
            detail += f"; /etc/timezone says {debian}"
        status = Truth.FALSE if same else Truth.TRUE
        return [WireObservation(kind=KIND, status=status, detail=detail[:400])]

    def _zone(self) -> str:
        try:
            target = (self._root / "etc/localtime").readlink()
        except FileNotFoundError:
            return "UTC"
        except OSError:  # a copy instead of a link
            return ""
        return str(target).partition("zoneinfo/")[2]

    def _same_rules(self) -> bool:
        try:
            kept = self._database(self._zone()) if self._zone() else self._root / "etc/localtime"
            return kept.read_bytes() == self._database(self._wanted).read_bytes()
        except OSError:
            return False

    def _database(self, zone: str) -> Path:
        return self._root / _DATABASE / zone

    def _debian(self) -> str:
        try:
            return (self._root / "etc/timezone").read_text("utf-8", "replace").strip()[:100]
        except OSError:
            return ""
