"""What an agent is told at start: plain values, checked by `agents.main`."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from agents.ram.host import Host

K3S_SERVER = "https://127.0.0.1:6443"  # where K3s listens on its own node


class Autonomy(StrEnum):
    """What the agent may do while it has no supervisor. Nothing drastic is ever among it."""

    NONE = "none"
    RESTART_UNITS = "restart-units"


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
    bus: str = ""
    """The message bus's address; without one, units are managed through `systemctl`."""
    systemctl: tuple[str, ...] = ("systemctl",)
    units: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ("/",)
    clock_threshold_s: float = 0.5
    timezone: str = ""  # none ordered: no data
    boot_history: Path | None = None  # where it survives boots
    k3s_server: str = ""  # of the API on this node; none: no data
    k3s_credentials: Path | None = None  # a folder with `token` and `ca.crt`
    peers: tuple[str, ...] = ()  # networks whose nodes may be looked at
    without: frozenset[str] = frozenset()
    allow_sysrq: bool = False
    autonomy: Autonomy = Autonomy.NONE
    autonomy_after_s: float = 120.0
    """How long the supervisor must have been silent, and a unit failed, before we act alone."""
    host: Host | None = None
    """The node outside, for an agent that runs from memory."""
