"""`pimedic.toml`: everything about the supervisor that a site may want to change.

Each group is a table of the file; each field says its unit and why its default is what it is.
Relative paths are relative to the file. Secrets are never here: only the files they lie in.
"""

import os
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from common.toml_files import load

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _endpoint(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) <= 65535:  # noqa: PLR2004 - TCP's range
        raise ValueError(f"expected ADDRESS:PORT like 0.0.0.0:8800, found {text!r}")
    return text


TableT = TypeVar("TableT", bound=BaseModel)
Endpoint = Annotated[str, AfterValidator(_endpoint)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SupervisorTable(_Table):
    """[supervisor]: where things are."""

    listen: Annotated[tuple[Endpoint, ...], Field(min_length=1)] = ("0.0.0.0:8800",)
    inventory: Path = Path("cluster.toml")
    runbooks: Path = Path("runbooks")
    state_dir: Path = Path("/var/lib/pimedic")
    bind: str = ""
    """Source address of outgoing connections; empty: the kernel chooses."""


class CredentialsTable(_Table):
    """[credentials]: files that hold secrets.

    Relative to systemd's $CREDENTIALS_DIRECTORY; without it to `credentials` beside the file.
    """

    node_keys: Path = Path("keys")
    """A directory with one NODE.key per node (64 hex digits, mode 600)."""
    tokens: Path = Path("tokens")
    """Lines of `NAME sha256:HEX`: who may act, and the hash of their bearer token."""
    switch_key: Path = Path("switch_key")
    switch_known_hosts: Path = Path("switch_known_hosts")
    nodes_key: Path = Path("nodes_key")
    nodes_known_hosts: Path = Path("nodes_known_hosts")


class HeartbeatTable(_Table):
    """[heartbeat]: how often agents report."""

    interval_s: Annotated[float, Field(ge=0.1, le=60)] = 1.0
    first_beat_s: Annotated[float, Field(ge=0)] = 60.0
    """After its own start the supervisor awaits a node's first beat for this long: after a power
    cut in the lab everything boots at once."""


class SensesTable(_Table):
    """[senses]: how the supervisor looks for itself."""

    ssh_every_s: Seconds = 3.0
    reach_every_s: Seconds = 3.0
    switch_every_s: Seconds = 5.0
    timeout_s: Seconds = 2.5
    """How long a probe waits. A Pi under load needs over a second for a banner."""
    icmp: bool = True
    """Off only where the kernel answers for every address, as on loopback."""


class SwitchTable(_Table):
    """[switch]: how power is switched."""

    off_s: Annotated[float, Field(ge=1, le=30)] = 10.0
    """A Pi's inrush circuit may not restart after less than a second without power."""
    atomic: bool = True
    """Use `swctrl poe restart`; false: one detached off-sleep-on line."""
    command_timeout_s: Seconds = 15.0
    verify_timeout_s: Seconds = 60.0
    poll_s: Seconds = 0.5
    stagger_s: Annotated[float, Field(ge=0)] = 5.0
    """At least this long between two nodes' starts: each draws its inrush, then loads."""
    max_booting: Annotated[int, Field(ge=1)] = 4
    """Nodes that may be on their way up at once: a TFTP timeout can stop a Pi for good."""


class RailsTable(_Table):
    """[rails]: the limits every automatic action keeps."""

    max_unavailable: Annotated[int, Field(ge=1)] = 2
    """Nodes that treatments may hold down at once."""
    storm_fraction: Annotated[float, Field(gt=0, le=1)] = 0.34
    """Above this share of independent nodes unhealthy, the fault is taken to be ours."""
    warm_up_s: Annotated[float, Field(ge=0)] = 30.0
    """After a start, look for this long before acting."""
    boot_grace_s: Annotated[float, Field(ge=0)] = 180.0
    """After a power cycle a node has this long to boot before it is judged again."""
    cool_down_s: Annotated[float, Field(ge=0)] = 180.0
    """At least this long between two power acts on one port."""


class Settings(_Table):
    """The whole file."""

    supervisor: SupervisorTable = SupervisorTable()
    credentials: CredentialsTable = CredentialsTable()
    heartbeat: HeartbeatTable = HeartbeatTable()
    senses: SensesTable = SensesTable()
    switch: SwitchTable = SwitchTable()
    rails: RailsTable = RailsTable()


def load_settings(path: Path) -> Settings:
    """Read the file and make its paths absolute. Raises `ConfigError` with file, line and key."""
    parsed = load(path).parse_as(Settings)
    here = path.resolve().parent
    secrets = Path(os.environ.get("CREDENTIALS_DIRECTORY") or _secrets_beside(here))
    return parsed.model_copy(
        update={
            "supervisor": _absolute(parsed.supervisor, here),
            "credentials": _absolute(parsed.credentials, secrets),
        }
    )


def _secrets_beside(here: Path) -> Path:
    """Return where secrets lie when systemd hands none out: for a person who runs us as root."""
    folder = here / "credentials"
    return folder if folder.is_dir() else here


def _absolute(table: TableT, base: Path) -> TableT:
    paths = {key: base / value for key, value in table if isinstance(value, Path)}
    return table.model_copy(update=paths)
