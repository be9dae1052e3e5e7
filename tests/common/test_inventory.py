"""The inventory: 19 nodes as documented, and one clear message for each mistake."""

from pathlib import Path

import pytest

from common.inventory import load_cluster
from common.toml_files import ConfigError
from common.topology import Service

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "cluster.toml"

# name, serial, mac, ip, port: Appendix A of the project documentation
DOCUMENTED = """
pi_login f154e171 e4:5f:01:f6:07:b2 192.168.2.1 15
pi_backup 6d30a4c2 d8:3a:dd:0b:01:17 192.168.2.3 9
mlops_master 2490e89e d8:3a:dd:0b:01:2c 192.168.2.2 11
green1 85b6d0ea e4:5f:01:f6:07:87 192.168.2.20 34
green2 0783b082 e4:5f:01:f6:08:02 192.168.2.21 36
green3 c72aafcfc e4:5f:01:f6:07:c6 192.168.2.22 38
green4 7cb48d88 e4:5f:01:f6:07:8d 192.168.2.23 40
green5 43b5285d e4:5f:01:f5:f1:5d 192.168.2.24 46
green6 7adb8fa7 e4:5f:01:f6:07:e4 192.168.2.25 42
green7 e38b3110 e4:5f:01:f5:f1:ea 192.168.2.26 44
green8 26e8a399 e4:5f:01:f5:f1:87 192.168.2.27 48
yellow1 800fbfc4 e4:5f:01:f5:f2:05 192.168.2.28 33
yellow2 4c9e9b20 e4:5f:01:f5:f2:11 192.168.2.29 35
yellow3 c0a3cab4 e4:5f:01:f5:f1:ae 192.168.2.30 37
yellow4 d31716f4 e4:5f:01:f5:f0:dc 192.168.2.31 39
yellow5 ac1e75dd e4:5f:01:f5:f1:a5 192.168.2.32 41
yellow6 d510fe23 e4:5f:01:f5:f2:38 192.168.2.33 43
yellow7 69f990f7 e4:5f:01:f5:f1:96 192.168.2.34 45
yellow8 0349cde2 e4:5f:01:f5:f1:d2 192.168.2.35 47
"""


def test_ships_the_documented_nodes() -> None:
    """The shipped inventory has every node as Appendix A has it."""
    cluster = load_cluster(SHIPPED)
    rows = {(n.name, n.serial, n.mac, n.ip, str(n.port)) for n in cluster}
    assert rows == {tuple(line.split()) for line in DOCUMENTED.split("\n") if line}


def test_dependencies_and_protection() -> None:
    """Seventeen nodes boot from login, only backup is protected, k3s comes from the master."""
    cluster = load_cluster(SHIPPED)
    assert len(cluster.dependents("pi_login")) == 17
    assert [n.name for n in cluster if n.protected] == ["pi_backup"]
    assert cluster.nodes["green1"].depends_on[Service.K3S] == "mlops_master"
    assert cluster.upstream("pi_login") == {}


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("login", "pi_login"),
        ("pi_login", "pi_login"),
        ("backup", "pi_backup"),
        ("green_1", "green1"),
        ("Yellow-8", "yellow8"),
        ("mlops_master", "mlops_master"),
    ],
)
def test_old_spellings(spelling: str, name: str) -> None:
    """Names are found in every spelling people have used."""
    found = load_cluster(SHIPPED).resolve(spelling)
    assert found is not None
    assert found.name == name


MISTAKES = {
    "unknown key": ("port = 36", "prot = 36", 40, "nodes.green2.prot: unknown key"),
    "duplicate port": ("port = 36", "port = 34", 40, "port: 34 is already green1's port (line 39)"),
    "duplicate ip": ('"192.168.2.21"', '"192.168.2.20"', 40, "is already green1's ip"),
    "duplicate mac": ("e4:5f:01:f6:08:02", "e4:5f:01:f6:07:87", 40, "is already green1's mac"),
    "bad mac": ("e4:5f:01:f6:08:02", "e4:5f:01:f6:08", 40, "expected a MAC address like"),
    "bad ip": ('"192.168.2.21"', '"192.168.2.256"', 40, "expected an IPv4 address"),
    "outside": ('"192.168.2.21"', '"192.168.3.21"', 40, "expected an address in 192.168.2.0/24"),
    "bad serial": ("0783b082", "0783b08", 40, "expected 8 hexadecimal digits, found '0783b08'"),
    "unacknowledged serial": (
        ', accept = { serial = "nine digits, as documented in 2024-25" }',
        "",
        42,
        "expected 8 hexadecimal digits, found 'c72aafcfc'",
    ),
    "no such port": ("port = 36", "port = 99", 40, "expected a port from 1 to 48, found 99"),
    "text for a number": ("port = 36", 'port = "36"', 40, "expected a valid integer, found '36'"),
    "unknown role": ('role = "login"', 'role = "boss"', 35, "found 'boss'"),
    "unknown dependency": (
        '{ netboot = "pi_login", k3s',
        '{ netboot = "nobody", k3s',
        32,
        "nobody",
    ),
    "cycle": (
        '[roles.login]\nssh_user = "ubuntu"',
        '[roles.login]\ndepends_on = { netboot = "mlops_master" }',
        20,
        "dependency cycle: pi_login -> mlops_master -> pi_login",
    ),
    "self-dependency": (
        'role = "login",',
        'role = "login", depends_on = { netboot = "pi_login" },',
        35,
        "dependency cycle: pi_login -> pi_login",
    ),
    "not TOML": ("[cluster]", "[cluster", 4, "not valid TOML"),
    "alias taken": ('aliases = ["backup"]', 'aliases = ["Login"]', 36, "expected a name of a-z"),
    "missing key": ('name = "pi-mlops"\n', "", 4, "cluster.name: missing"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake: str, tmp_path: Path) -> None:
    """Each mistake gives exactly one message, with file, line and what was expected."""
    right, wrong, line, said = MISTAKES[mistake]
    text = SHIPPED.read_text()
    assert right in text
    path = tmp_path / "cluster.toml"
    path.write_text(text.replace(right, wrong, 1))
    with pytest.raises(ConfigError) as error:
        load_cluster(path)
    messages = [m for m in str(error.value).splitlines() if "port: missing" not in m]
    assert len(messages) == 1
    assert messages[0].startswith(f"{path}:{line}: ")
    assert said in messages[0]


def test_missing_file(tmp_path: Path) -> None:
    """A file that isn't there is said so."""
    with pytest.raises(ConfigError, match="no such file"):
        load_cluster(tmp_path / "nowhere.toml")
