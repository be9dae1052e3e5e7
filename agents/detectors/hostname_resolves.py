"""`name_unresolvable`: the node's own name has no line in its /etc/hosts (FOE 4.4).

Without one every sudo waits for a name server, and K3s picks wrong addresses.
Sources: /proc/sys/kernel/hostname and <root>/etc/hosts, see hosts(5).
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from agents.disk import Disk
from common.observations import Truth
from common.wire import WireObservation

KIND = "name_unresolvable"


class HostnameResolves:
    """Looks the kernel's host name up in the hosts file."""

    name = "hostname_resolves"
    kinds = (KIND,)
    period_s = 30.0
    deadline_s = 5.0

    def __init__(self, procfs: Path, disk: Disk) -> None:
        self._hostname = procfs / "sys/kernel/hostname"
        self._disk = disk

    async def observe(self) -> list[WireObservation]:
        """Read both files once."""
        hostname = self._hostname.read_text(encoding="utf-8").strip()
        try:
            hosts = (await self._disk.read("/etc/hosts")).decode("utf-8", "replace")
        except FileNotFoundError:
            hosts = ""
        return [judge(hostname, hosts)]

    async def watch(self, look_now: Callable[[], None]) -> None:
        """Look when the root stalls, and when it is back."""
        await self._disk.watch(look_now)


def judge(hostname: str, hosts: str) -> WireObservation:
    """Say whether `hosts` names `hostname`."""
    address = next((ip for ip, name in parse_hosts(hosts) if name == hostname.lower()), None)
    missing = address is None
    return WireObservation(
        kind=KIND,
        status=Truth.TRUE if missing else Truth.FALSE,
        subject=hostname[:400],
        detail="no line in /etc/hosts" if missing else f"{address} in /etc/hosts",
    )


def parse_hosts(text: str) -> Iterator[tuple[str, str]]:
    """Yield every (address, name) of a hosts file, names in lower case."""
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        yield from ((address, name.lower()) for name in names)
