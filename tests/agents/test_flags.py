"""Flags: every mistake gets one line that says what was expected."""

from pathlib import Path

import pytest

from agents.flags import Parser, settings_from
from agents.settings import Settings

NEEDED = ["--node", "yellow1", "--role", "worker", "--supervisor", "http://192.168.2.3:8800"]


def _parse(*more: str) -> Settings:
    return settings_from(Parser().parse_args([*NEEDED, *more]))


def test_defaults() -> None:
    """Name, role and supervisor are enough."""
    assert _parse() == Settings(
        node="yellow1",
        supervisors=("http://192.168.2.3:8800",),
        units=("k3s-agent.service",),
    )


@pytest.mark.parametrize(
    ("role", "units"),
    [
        ("login", "nfs-server.service isc-dhcp-server.service tftpd-hpa.service ssh.service"),
        ("master", "k3s.service prometheus.service grafana-server.service"),
        ("worker", "k3s-agent.service"),
        ("backup", "ssh.service"),
    ],
)
def test_role_gives_the_units(role: str, units: str) -> None:
    """Each role has its units that must be active."""
    assert _parse("--role", role).units == tuple(units.split())


def test_only_the_master_watches_the_kubernetes_api() -> None:
    """Its own, unless told another or none."""
    assert _parse("--role", "master").k3s_server == "https://127.0.0.1:6443"
    assert _parse("--role", "login").k3s_server == ""
    assert _parse("--role", "master", "--k3s-server", "").k3s_server == ""


def test_everything_can_be_set() -> None:
    """Every flag reaches its setting."""
    settings = _parse(
        *("--supervisor", "http://[fd00::3]:8800/", "--listen", "127.0.0.7:0"),
        *("--bind", "127.0.0.7", "--interval", "0.25", "--path.procfs", "/a", "--path.sysfs", "/b"),
        *("--path.rootfs", "/c", "--path.run", "/d", "--systemctl", "sh 'my ctl' x"),
        *("--units", "a,b.socket", "--mounts", "/,/srv", "--clock-threshold", "2"),
        *("--no-detector", "clock_sync", "--no-detector", "units"),
        *("--timezone", "Europe/Amsterdam", "--boot-history", "/e", "--path.kmsg", "/f"),
        *("--k3s-server", "https://192.168.2.2:6443/", "--k3s-credentials", "/g"),
        *("--peers", "192.168.2.0/24,fd00::/64"),
    )
    assert settings == Settings(
        node="yellow1",
        supervisors=("http://192.168.2.3:8800", "http://[fd00::3]:8800"),
        listen_host="127.0.0.7",
        listen_port=0,
        bind="127.0.0.7",
        interval_s=0.25,
        procfs=Path("/a"),
        sysfs=Path("/b"),
        rootfs=Path("/c"),
        run=Path("/d"),
        systemctl=("sh", "my ctl", "x"),
        units=("a.service", "b.socket"),
        mounts=("/", "/srv"),
        clock_threshold_s=2.0,
        without=frozenset({"clock_sync", "units"}),
        timezone="Europe/Amsterdam",
        boot_history=Path("/e"),
        kmsg=Path("/f"),
        k3s_server="https://192.168.2.2:6443",
        k3s_credentials=Path("/g"),
        peers=("192.168.2.0/24", "fd00::/64"),
    )


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--node", "a b"], "--node: expected letters, digits"),
        (["--role", "king"], "--role: expected login or backup or master or worker, found 'king'"),
        (["--supervisor", "http://login:8800"], "literal IP address"),
        (["--supervisor", "https://10.0.0.1:1"], "expected http://"),
        (["--supervisor", "http://10.0.0.1"], "expected http://ADDRESS:PORT"),
        (["--supervisor", "http://10.0.0.1:1/v1/heartbeat"], "expected http://ADDRESS:PORT"),
        (["--supervisor", "http://10.0.0.1:x"], "expected http://ADDRESS:PORT"),
        (["--listen", "8801"], "--listen: expected"),
        (["--listen", "0.0.0.0:70000"], "--listen: expected ADDRESS:PORT"),
        (["--listen", "here:8801"], "--listen: expected an IP address"),
        (["--bind", "eth0"], "--bind: expected an IP address"),
        (["--interval", "0.01"], "--interval: expected 0.05 to 60 seconds"),
        (["--interval", "nan"], "--interval: expected a number of seconds above 0"),
        (["--interval", "soon"], "--interval: expected a number of seconds"),
        (["--units", "ssh,--now"], "--units: expected names of units, found '--now'"),
        (["--mounts", "srv"], "--mounts: expected absolute paths, found 'srv'"),
        (["--systemctl", "'open"], "--systemctl: expected a command"),
        (["--no-detector", "weather"], "--no-detector: invalid choice: 'weather'"),
        (["--timezone", "../etc/passwd"], "--timezone: expected a time zone"),
        (["--k3s-server", "https://master:6443"], "--k3s-server: expected https://ADDRESS:PORT"),
        (["--k3s-server", "http://192.168.2.2:6443"], "--k3s-server: expected https://"),
        (["--peers", "192.168.2.1/24"], "--peers: expected networks, found '192.168.2.1/24'"),
        (["--nod", "x"], "unrecognized arguments: --nod"),
    ],
)
def test_mistakes_get_one_line(
    flags: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, and a line that names the flag and what was expected."""
    with pytest.raises(SystemExit) as stopped:
        _parse(*flags)
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert complaint in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "bus"),
    [
        (["--bus", "none"], ""),
        (["--bus", "unix:path=/run/x"], "unix:path=/run/x"),
        (["--systemctl", "sh stand-in"], ""),
        (["--systemctl", "sh stand-in", "--bus", "unix:abstract=x"], "unix:abstract=x"),
    ],
)
def test_how_systemd_is_reached(given: list[str], bus: str) -> None:
    """By the bus that was named; a systemctl that was named is meant to be used."""
    needed = ["--node", "n", "--role", "worker", "--supervisor", "http://127.0.0.1:1"]
    assert settings_from(Parser().parse_args([*needed, *given])).bus == bus


@pytest.mark.parametrize("given", [["--bus", "tcp:host=x"], ["--bus", ""], ["--autonomy", "all"]])
def test_strange_buses_and_liberties_are_mistakes(given: list[str]) -> None:
    """One line and status 2."""
    needed = ["--node", "n", "--role", "worker", "--supervisor", "http://127.0.0.1:1"]
    with pytest.raises(SystemExit) as ended:
        Parser().parse_args([*needed, *given])
    assert ended.value.code == 2
