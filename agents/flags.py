"""The flags of `pimedic-agent`, checked here so that the agent never meets a bad one."""

import argparse
import ipaddress
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from agents.bus import SYSTEM_BUS
from agents.catalogue import DETECTOR_NAMES
from agents.ram.host import Host, at
from agents.settings import K3S_SERVER, Autonomy, Settings
from agents.systemctl import unit_name
from common.topology import Role
from common.units import UNITS_OF_ROLE

_NAME = re.compile(r"[A-Za-z0-9_.@:-]{1,64}")
_UNIT = re.compile(r"[A-Za-z0-9_.@:\\][A-Za-z0-9_.@:\\-]{0,250}")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}")
_MOST_PORT = 65535
_MOST_SECONDS = 1e9  # as in common.wire.Duration
_SHORTEST_INTERVAL_S, _LONGEST_INTERVAL_S = 0.05, 60.0  # as in common.wire.Reply
_IPV6 = 6
_BUS = re.compile(r"unix:(path=/|abstract=)[^;,]{1,100}")


def _expected(what: str, found: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"expected {what}, found {found!r}")


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise _expected("letters, digits and . _ @ : -", text)
    return text


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise _expected(" or ".join(Role), text) from None


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise _expected("an IP address", text) from None


def _supervisor(text: str) -> str:
    """Accept literal addresses only: nobody answers for names while login is down."""
    problem = _expected("http://ADDRESS:PORT with a literal IP address", text)
    try:
        url = urlsplit(text)
        host, port = ipaddress.ip_address(url.hostname or ""), url.port
    except ValueError:
        raise problem from None
    if url.scheme != "http" or not port or url.path.strip("/") or url.query or url.username:
        raise problem
    return f"http://[{host}]:{port}" if host.version == _IPV6 else f"http://{host}:{port}"


def _listen(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) <= _MOST_PORT):
        raise _expected("ADDRESS:PORT", text)
    return _address(host.removeprefix("[").removesuffix("]")), int(port)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise _expected("a number of seconds", text) from None
    if not 0 < seconds < _MOST_SECONDS:
        raise _expected("a number of seconds above 0", text)
    return seconds


def _interval(text: str) -> float:
    seconds = _seconds(text)
    if not _SHORTEST_INTERVAL_S <= seconds <= _LONGEST_INTERVAL_S:
        raise _expected(f"{_SHORTEST_INTERVAL_S:g} to {_LONGEST_INTERVAL_S:g} seconds", text)
    return seconds


def _list_of(what: str, fits: Callable[[str], object]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        words = tuple(word.strip() for word in text.split(",") if word.strip())
        for word in words:
            if not fits(word):
                raise _expected(what, word)
        return words

    return parse


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _zone(text: str) -> str:
    if not _ZONE.fullmatch(text):
        raise _expected("a time zone as Europe/Amsterdam", text)
    return text


def _server(text: str) -> str:
    """Accept https://ADDRESS:PORT with a literal address, or nothing; http on loopback alone."""
    url = urlsplit(text)
    try:
        loopback = ipaddress.ip_address(url.hostname or "").is_loopback
        fits = (url.scheme == "https" or (url.scheme == "http" and loopback)) and bool(url.port)
    except ValueError:
        fits = False
    if text and (not fits or url.path.strip("/") or url.query or url.username):
        raise _expected("https://ADDRESS:PORT with a literal IP address", text)
    return text.rstrip("/")


def _k3s_server(flags: argparse.Namespace) -> str:
    if flags.k3s_server is None:
        return K3S_SERVER if flags.role is Role.MASTER else ""
    return str(flags.k3s_server)


def _command(text: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError:
        words = ()
    if not words:
        raise _expected("a command", text)
    return words


def _bus(text: str) -> str:
    """Return an address, or nothing for `none`."""
    if text == "none":
        return ""
    if not _BUS.fullmatch(text):
        raise _expected("unix:path=/PATH, unix:abstract=NAME or none", text)
    return text


def _autonomy(text: str) -> Autonomy:
    try:
        return Autonomy(text)
    except ValueError:
        raise _expected(" or ".join(Autonomy), text) from None


# name, type, default, metavar, help; the defaults that depend on others are filled in below
_OPTIONAL: tuple[tuple[str, Callable[[str], object], object, str, str], ...] = (
    ("--key-file", Path, None, "PATH", "this node's key ($CREDENTIALS_DIRECTORY/node.key)"),
    ("--listen", _listen, ("0.0.0.0", 8801), "ADDR:PORT", "where to serve (0.0.0.0:8801)"),  # noqa: S104 - for Prometheus
    ("--bind", _address, None, "ADDR", "source address of outgoing connections (any)"),
    ("--interval", _interval, 1.0, "SECONDS", "between beats, until the supervisor sets it (1)"),
    ("--units", _list_of("names of units", _UNIT.fullmatch), None, "A,B",
     "units that must be active and may be restarted (by role)"),
    ("--mounts", _list_of("absolute paths", lambda path: path.startswith("/")), ("/",), "A,B",
     "mount points that must be writable (/)"),
    ("--clock-threshold", _seconds, 0.5, "SECONDS", "a clock further off is skewed (0.5)"),
    ("--bus", _bus, None, "ADDRESS",
     "systemd's message bus, or none: use systemctl (the system bus, unless --systemctl is given)"),
    ("--systemctl", _command, None, "COMMAND", "how to call systemctl (systemctl)"),
    ("--autonomy", _autonomy, Autonomy.NONE, "WHAT",
     "none or restart-units: what to do alone while the supervisor is silent (none)"),
    ("--autonomy-after", _seconds, 120.0, "SECONDS", "of silence, before anything alone (120)"),
    ("--timezone", _zone, None, "ZONE", "the time zone this node must keep (any)"),
    ("--boot-history", Path, None, "FILE",
     "counts boots in a file that survives them, on the root (none)"),
    ("--k3s-server", _server, None, "URL",
     f"the Kubernetes API to watch; empty: none (master: {K3S_SERVER})"),
    ("--k3s-credentials", Path, None, "FOLDER",
     "with `token` and `ca.crt`; without, there is no write canary (none)"),
    ("--peers", _list_of("networks", _is_network), (), "CIDR,CIDR",
     "whose nodes the supervisor may have us look at (none)"),
    ("--path.procfs", Path, Path("/proc"), "PATH", "(/proc)"),
    ("--path.sysfs", Path, Path("/sys"), "PATH", "(/sys)"),
    ("--path.kmsg", Path, Path("/dev/kmsg"), "PATH", "the kernel's log (/dev/kmsg)"),
    ("--path.rootfs", Path, Path("/"), "PATH", "(/)"),
    ("--path.run", Path, Path("/run/pimedic-agent"), "PATH",
     "state of this boot, on tmpfs (/run/pimedic-agent)"),
)  # fmt: skip


class Parser(argparse.ArgumentParser):
    """Complains in one line and exits with 2."""

    def __init__(self) -> None:
        super().__init__(
            prog="pimedic-agent",
            description="The watchdog agent of one node. Defaults stand in parentheses.",
            allow_abbrev=False,
        )
        add = self.add_argument
        add("--node", required=True, type=_name, metavar="NAME", help="this node's name")
        add("--role", required=True, type=_role, metavar="ROLE", help=", ".join(Role))
        add(
            "--supervisor",
            required=True,
            action="append",
            type=_supervisor,
            metavar="URL",
            help="http://ADDRESS:PORT; give several to fail over",
        )
        add(
            "--no-detector",
            action="append",
            default=[],
            choices=DETECTOR_NAMES,
            metavar="NAME",
            help=f"switch one off: {', '.join(DETECTOR_NAMES)}",
        )
        for flag, kind, default, metavar, text in _OPTIONAL:
            add(flag, type=kind, default=default, metavar=metavar, help=text)
        add("--allow-sysrq", action="store_true", help="let a command reboot through sysrq")
        add(
            "--from-ram",
            action="store_true",
            help="copy the agent into memory and run there (needs root, and a bus)",
        )
        add("--log-pretty", action="store_true", help="log for people instead of JSON lines")

    def error(self, message: str) -> NoReturn:
        """Say one line: --help tells the rest."""
        self.exit(2, f"{self.prog}: {message}\n")

    def default_key_file(self) -> Path:
        """Return where systemd put the key, or complain."""
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            self.error("argument --key-file: missing, and there is no $CREDENTIALS_DIRECTORY")
        return Path(folder) / "node.key"


def settings_from(flags: argparse.Namespace, host: Host | None = None) -> Settings:
    """Return what the flags say, with the role's units unless others were given.

    Paths are those of the node; with `host` they are where an agent in memory finds them.
    """
    given = vars(flags)
    units = UNITS_OF_ROLE[flags.role] if flags.units is None else flags.units
    listen_host, listen_port = flags.listen
    return Settings(
        node=flags.node,
        supervisors=tuple(flags.supervisor),
        listen_host=listen_host,
        listen_port=listen_port,
        bind=flags.bind or "",
        interval_s=flags.interval,
        procfs=at(host, given["path.procfs"]),
        sysfs=at(host, given["path.sysfs"]),
        rootfs=at(host, given["path.rootfs"]),
        kmsg=at(host, given["path.kmsg"]),
        run=at(host, given["path.run"]),
        bus=_default_bus() if flags.bus is None and flags.systemctl is None else flags.bus or "",
        systemctl=flags.systemctl or ("systemctl",),
        units=tuple(unit_name(unit) for unit in units),
        mounts=flags.mounts,
        clock_threshold_s=flags.clock_threshold,
        timezone=flags.timezone or "",
        boot_history=flags.boot_history,  # read through the disk helper, by its name on the node
        k3s_server=_k3s_server(flags),
        k3s_credentials=flags.k3s_credentials and at(host, flags.k3s_credentials),
        peers=flags.peers,
        without=frozenset(flags.no_detector),
        allow_sysrq=flags.allow_sysrq,
        autonomy=flags.autonomy,
        autonomy_after_s=flags.autonomy_after,
        host=host,
    )


def _default_bus() -> str:
    """Return the system bus if there is one."""
    return SYSTEM_BUS if Path(SYSTEM_BUS.partition("=")[2]).is_socket() else ""
