"""`pimedic.toml`: everything about the supervisor that a site may want to change.

Each group is a table of the file; each field says its unit and why its default is what it is.
Relative paths are relative to the file. Secrets are never here: only the files they lie in.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from common.inventory import MacAddress
from common.toml_files import load

_SECRET = re.compile(r"passw|community|secret|token|key", re.IGNORECASE)
_HTTPS = re.compile(r"https://[^/\s?#]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _endpoint(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) <= 65535:  # noqa: PLR2004 - TCP's range
        raise ValueError(f"expected ADDRESS:PORT like 0.0.0.0:8800, found {text!r}")
    return text


def _absolute_path(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError(f"expected an absolute path like /usr/sbin/fence_apc, found {str(path)!r}")
    return path


def _nothing_secret(options: dict[str, str]) -> dict[str, str]:
    for key in options:
        if key in {"action", "plug", "port"}:
            raise ValueError(f"{key!r} is the driver's to say")
        if _SECRET.search(key):
            raise ValueError(f"{key!r} looks secret: it belongs into credentials.switch_login")
    return options


def _https(url: str) -> str:
    if not _HTTPS.fullmatch(url):
        raise ValueError(f"expected https://HOST or https://HOST:PORT, found {url!r}")
    return url


def _sha256(text: str) -> str:
    if not _SHA256.fullmatch(text.lower().replace(":", "")):
        raise ValueError(f"expected a SHA-256 of 64 hex digits, found {text!r}")
    return text.lower().replace(":", "")


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
    switch_login: Path = Path("switch_login")
    """For the drivers snmp, fence and unifi: lines of KEY=VALUE, mode 600."""
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
    switch_urgent_every_s: Seconds = 1.0
    """The same while a node fell silent lately or is being treated: power cut shows here first."""
    addresses_every_s: Seconds = 300.0
    """How often the switch's address table is compared with the inventory: cables move seldom."""
    timeout_s: Seconds = 2.5
    """How long a probe waits. A Pi under load needs over a second for a banner."""
    icmp: bool = True
    """Off only where the kernel answers for every address, as on loopback."""


class SnmpTable(_Table):
    """[switch.snmp]: a switch with a writable POWER-ETHERNET-MIB (RFC 3621)."""

    port: Annotated[int, Field(ge=1, le=65535)] = 161
    group: Annotated[int, Field(ge=1)] = 1
    """pethPsePortGroupIndex: the unit of a stack; 1 for a single switch."""
    timeout_s: Seconds = 2.0


class FenceTable(_Table):
    """[switch.fence]: any fence agent, one run a question."""

    agent: Annotated[Path, AfterValidator(_absolute_path)]
    plug: str = "{port}"
    """How the agent calls a port's outlet."""
    options: Annotated[dict[str, str], AfterValidator(_nothing_secret)] = Field(
        default_factory=dict
    )
    """Further lines for the agent's stdin; {port} in a value stands for the port's number."""
    login: bool = True
    """Whether it is given the lines of `credentials.switch_login`."""
    parallel: Annotated[int, Field(ge=1, le=16)] = 1
    """Runs at once: many power switches allow one session."""
    status_s: Seconds = 10.0
    switch_s: Seconds = 20.0


class UnifiTable(_Table):
    """[switch.unifi]: a UniFi Network controller, for power cycles only."""

    url: Annotated[str, AfterValidator(_https)]
    device: MacAddress
    """The switch's own MAC."""
    site: str = "default"
    api: Literal["integration", "classic"] = "integration"
    """integration: an API key. classic: name and password; tells watts and addresses as well."""
    unifi_os: bool = True
    """A console (UDM, Cloud Key, UniFi OS Server), and not the bare Network application."""
    fingerprint: Annotated[str, AfterValidator(_sha256)] = ""
    """SHA-256 of its certificate. The better way: needs neither an authority nor a right clock."""
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _one_trust(self) -> Self:
        if bool(self.fingerprint) == bool(self.ca_file):
            raise ValueError("expected fingerprint or ca_file, one of the two")
        return self


class SwitchTable(_Table):
    """[switch]: how power is switched."""

    driver: Literal["swctrl", "snmp", "fence", "unifi"] = "swctrl"
    """Which to choose, and what each can't do: docs/power.md."""
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
    snmp: SnmpTable = SnmpTable()
    fence: FenceTable | None = None
    unifi: UnifiTable | None = None

    @model_validator(mode="after")
    def _has_its_table(self) -> Self:
        if getattr(self, self.driver, self) is None:
            raise ValueError(f'driver = "{self.driver}" needs a table [switch.{self.driver}]')
        return self


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
            "switch": _absolute_trust(parsed.switch, here),
        }
    )


def _secrets_beside(here: Path) -> Path:
    """Return where secrets lie when systemd hands none out: for a person who runs us as root."""
    folder = here / "credentials"
    return folder if folder.is_dir() else here


def _absolute(table: TableT, base: Path) -> TableT:
    paths = {key: base / value for key, value in table if isinstance(value, Path)}
    return table.model_copy(update=paths)


def _absolute_trust(table: SwitchTable, base: Path) -> SwitchTable:
    return table.model_copy(update={"unifi": table.unifi and _absolute(table.unifi, base)})
