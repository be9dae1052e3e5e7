"""Where the virtual cluster lives: the real inventory, moved onto loopback.

All of 127.0.0.0/8 is this machine, so 192.168.2.N becomes 127.NET.2.N and every virtual Pi
has an address of its own without root. Only addresses and ssh ports change; whatever else
the inventory says, comments included, stays as it was.
"""

import ipaddress
import re
from dataclasses import dataclass, replace
from pathlib import Path

from common.inventory import load_cluster
from common.topology import Cluster, Node
from lab.errors import LabError, MisuseError

SSH_PORT = 2222  # below 1024 only root may listen
DEFAULT_NET = 168
DEFAULT_PORT = 8800
_SSH_PORT_KEY = re.compile(r"\bssh_port\s*=\s*\d+")
_HEADER = re.compile(r"^\[(?P<table>[^\[\]]+)\]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Addresses:
    """One lab's place on loopback: 127.`net`.0.0/16, and the supervisor's TCP `port`."""

    net: int = DEFAULT_NET
    port: int = DEFAULT_PORT

    def __post_init__(self) -> None:
        if not 1 <= self.net <= 254:  # noqa: PLR2004 - 127.0 is where everybody else listens
            raise MisuseError(f"expected a net from 1 to 254 (for 127.NET.*), found {self.net}")
        if not 1024 <= self.port <= 65535:  # noqa: PLR2004 - unprivileged TCP ports
            raise MisuseError(f"expected a port from 1024 to 65535, found {self.port}")

    def of(self, real: str) -> str:
        """Return the loopback address that stands for `real`: its last two parts are kept."""
        third, fourth = real.split(".")[2:]
        return f"127.{self.net}.{third}.{fourth}"

    def moved(self, node: Node) -> Node:
        """Return `node` as the lab has it."""
        return replace(node, ip=self.of(node.ip), ssh_port=SSH_PORT)


def write_inventory(source: Path, target: Path, addresses: Addresses) -> Cluster:
    """Write the lab's inventory and load it.

    Raises `ConfigError` if the source is wrong and `LabError` if it can't be rewritten.
    """
    real = load_cluster(source)
    target.write_text(
        rewrite(source.read_text(encoding="utf-8"), real, addresses), encoding="utf-8"
    )
    cluster = load_cluster(target)
    if dict(cluster.nodes) != {node.name: addresses.moved(node) for node in real}:
        raise LabError(f"{source}: the lab can't move this inventory to loopback")
    return cluster


def rewrite(text: str, real: Cluster, addresses: Addresses) -> str:
    """Return the inventory's text with its addresses on loopback and ssh on an open port."""
    network = ipaddress.IPv4Network(real.cidr)
    wanted = {node.ip for node in real} | {real.switch.address, str(network.network_address)}
    for ip in wanted:
        text = re.sub(rf'(["\']){re.escape(ip)}(["\'/])', rf"\g<1>{addresses.of(ip)}\g<2>", text)
    text = _SSH_PORT_KEY.sub(f"ssh_port = {SSH_PORT}", text)
    for table in ("switch", *(f"roles.{role}" for role in {node.role for node in real})):
        text = _with_ssh_port(text, table)
    return text


def _with_ssh_port(text: str, table: str) -> str:
    """Say the ssh port in `table`, making the table if there is none."""
    headers = list(_HEADER.finditer(text))
    for header, following in zip(headers, [*headers[1:], None], strict=True):
        if header["table"].strip() != table:
            continue
        end = following.start() if following else len(text)
        if _SSH_PORT_KEY.search(text, header.end(), end):
            return text
        line_end = text.find("\n", header.end()) + 1 or len(text)
        return f"{text[:line_end]}ssh_port = {SSH_PORT}\n{text[line_end:]}"
    return f"{text.rstrip()}\n\n[{table}]\nssh_port = {SSH_PORT}\n"
