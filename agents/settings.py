"""What an agent is told at start: plain values, checked by `agents.main`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from common.topology import Role

UNITS_OF_ROLE: Mapping[Role, tuple[str, ...]] = MappingProxyType(
    {
        Role.LOGIN: ("nfs-server", "isc-dhcp-server", "tftpd-hpa", "ssh"),
        Role.BACKUP: ("ssh",),
        Role.MASTER: ("k3s", "prometheus", "grafana-server"),
        Role.WORKER: ("k3s-agent",),
    }
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything but the key. Durations are in seconds."""

    node: str
    supervisors: tuple[str, ...]
    listen_host: str = "0.0.0.0"  # noqa: S104 - supervisor and Prometheus reach it from outside
    listen_port: int = 8801
    bind: str = ""
    interval_s: float = 1.0
    procfs: Path = Path("/proc")
    sysfs: Path = Path("/sys")
    rootfs: Path = Path("/")
    kmsg: Path = Path("/dev/kmsg")
    run: Path = Path("/run/pimedic-agent")
    systemctl: tuple[str, ...] = ("systemctl",)
    units: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ("/",)
    clock_threshold_s: float = 0.5
    without: frozenset[str] = frozenset()
