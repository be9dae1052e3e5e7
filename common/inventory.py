"""Load `cluster.toml`: parse, validate, and turn into a `common.topology.Cluster`.

Two stages: pydantic checks each value's form, then `_relations` checks what rows say about
each other. Every problem found is reported at once, each with file, line and key.
"""

import ipaddress
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from common.toml_files import ConfigError, KeyPath, Problem, TomlFile, load
from common.topology import Cluster, Node, Role, Service, Switch, canonical

SERIAL = re.compile(r"^[0-9a-f]{8}$")
MAC = re.compile(r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$")
NAME = re.compile(r"^[a-z][a-z0-9_-]{0,31}$")


def _mac(text: str) -> str:
    if not MAC.match(text.lower()):
        raise ValueError(f"expected a MAC address like e4:5f:01:f6:07:b2, found {text!r}")
    return text.lower()


def _ip(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise ValueError(f"expected an IPv4 address like 192.168.2.20, found {text!r}") from None


def _cidr(text: str) -> str:
    try:
        return str(ipaddress.IPv4Network(text))
    except ValueError as error:
        raise ValueError(
            f"expected a network like 192.168.2.0/24, found {text!r}: {error}"
        ) from None


def _name(text: str) -> str:
    if not NAME.match(text):
        raise ValueError(f"expected a name of a-z, 0-9, _ and -, at most 32 long, found {text!r}")
    return text


MacAddress = Annotated[str, AfterValidator(_mac)]
IPAddress = Annotated[str, AfterValidator(_ip)]
NodeName = Annotated[str, AfterValidator(_name)]
TcpPort = Annotated[int, Field(ge=1, le=65535, strict=True)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _ClusterTable(_Table):
    name: str
    timezone: str


class _NetworkTable(_Table):
    cidr: Annotated[str, AfterValidator(_cidr)]


class _SwitchTable(_Table):
    name: str
    address: IPAddress
    ports: Annotated[int, Field(ge=1, le=512, strict=True)] = 48
    ssh_port: TcpPort = 22
    user: str = "admin"


class _Defaults(_Table):
    """What a role gives and a row may override."""

    depends_on: dict[Service, NodeName] | None = None
    ssh_user: str | None = None
    ssh_port: TcpPort | None = None
    agent_port: TcpPort | None = None
    protected: bool | None = None


class _NodeRow(_Defaults):
    role: Role
    serial: str
    mac: MacAddress
    ip: IPAddress
    port: Annotated[int, Field(ge=1, strict=True)]
    groups: tuple[NodeName, ...] = ()
    aliases: tuple[NodeName, ...] = ()
    accept: dict[Literal["serial"], str] = Field(default_factory=dict)


class _InventoryFile(_Table):
    cluster: _ClusterTable
    network: _NetworkTable
    switch: _SwitchTable
    roles: dict[Role, _Defaults] = Field(default_factory=dict)
    nodes: Annotated[dict[NodeName, _NodeRow], Field(min_length=1)]


def load_cluster(path: Path) -> Cluster:
    """Read the inventory. Raises `ConfigError` naming every problem with file, line and key."""
    file = load(path)
    parsed = file.parse_as(_InventoryFile)
    nodes = {name: _node(name, row, parsed) for name, row in parsed.nodes.items()}
    cluster = Cluster(
        parsed.cluster.name,
        parsed.cluster.timezone,
        parsed.network.cidr,
        Switch(**parsed.switch.model_dump()),
        nodes,
    )
    if problems := dict.fromkeys(_relations(file, cluster)):  # a role's mistake is said once
        raise ConfigError(*problems)
    return cluster


def _node(name: str, row: _NodeRow, parsed: _InventoryFile) -> Node:
    """Lay a row over its role's defaults; what neither says, `Node` knows."""
    own = row.model_dump(exclude={"accept"}, exclude_none=True)
    role = parsed.roles.get(row.role, _Defaults()).model_dump(exclude_none=True)
    accepted = {str(field): reason for field, reason in row.accept.items()}
    return Node(name=name, accepted=accepted, **{**role, **own})


def _relations(file: TomlFile, cluster: Cluster) -> Iterator[Problem]:
    yield from _malformed_serials(file, cluster)
    yield from _outside(file, cluster)
    yield from _duplicates(file, cluster)
    dangling = list(_unknown_dependencies(file, cluster))
    yield from dangling
    if not dangling:
        yield from _cycles(file, cluster)


def _malformed_serials(file: TomlFile, cluster: Cluster) -> Iterator[Problem]:
    for node in cluster:
        key = ("nodes", node.name, "serial")
        good, accepted = bool(SERIAL.match(node.serial)), "serial" in node.accepted
        if not good and not accepted:
            yield file.problem(
                key,
                f"expected 8 hexadecimal digits, found {node.serial!r};"
                ' if the board really says so, add accept = { serial = "why" }',
            )
        if good and accepted:
            yield file.problem(key, "this serial is well-formed: remove its accept")


def _outside(file: TomlFile, cluster: Cluster) -> Iterator[Problem]:
    network = ipaddress.IPv4Network(cluster.cidr)
    for node in cluster:
        if ipaddress.IPv4Address(node.ip) not in network:
            message = f"expected an address in {cluster.cidr}, found {node.ip!r}"
            yield file.problem(("nodes", node.name, "ip"), message)
        if node.port > cluster.switch.ports:
            message = f"expected a port from 1 to {cluster.switch.ports}, found {node.port}"
            yield file.problem(("nodes", node.name, "port"), message)


def _duplicates(file: TomlFile, cluster: Cluster) -> Iterator[Problem]:
    seen: dict[tuple[str, object], str] = {}
    for node in cluster:
        values: list[tuple[str, object]] = [
            ("serial", node.serial),
            ("mac", node.mac),
            ("ip", node.ip),
            ("port", node.port),
        ]
        spellings = {canonical(spelling): spelling for spelling in (node.name, *node.aliases)}
        for field, value in [*values, *(("name", folded) for folded in spellings)]:
            other = seen.setdefault((field, value), node.name)
            if other != node.name:
                shown = spellings.get(str(value), value) if field == "name" else value
                key: KeyPath = ("nodes", node.name, "aliases" if field == "name" else field)
                line = file.line(("nodes", other))
                yield file.problem(key, f"{shown!r} is already {other}'s {field} (line {line})")


def _unknown_dependencies(file: TomlFile, cluster: Cluster) -> Iterator[Problem]:
    for node in cluster:
        for service, provider in node.depends_on.items():
            if provider not in cluster.nodes:
                key = _dependency_key(file, node, service)
                yield file.problem(key, f"unknown node {provider!r}; expected a name from [nodes]")


def _dependency_key(file: TomlFile, node: Node, service: Service) -> KeyPath:
    """Point at the row if it says so itself, else at its role's line."""
    own = file.data["nodes"][node.name].get("depends_on", {})
    table: KeyPath = ("nodes", node.name) if service in own else ("roles", str(node.role))
    return (*table, "depends_on", str(service))


def _cycles(file: TomlFile, cluster: Cluster) -> Iterator[Problem]:
    """Report each cycle once, at its first node in file order."""
    reported: set[str] = set()
    for start in cluster:
        if start.name in reported:
            continue
        path = _path_back(cluster, start.name)
        if path:
            reported.update(path)
            service = next(s for s, p in start.depends_on.items() if p == path[1])
            key = _dependency_key(file, start, service)
            yield file.problem(key, f"dependency cycle: {' -> '.join(path)}")


def _path_back(cluster: Cluster, start: str) -> list[str]:
    """Return the dependency path from `start` back to itself, or nothing."""
    todo, visited = [[start]], set[str]()
    while todo:
        path = todo.pop()
        for provider in cluster.nodes[path[-1]].depends_on.values():
            if provider == start:
                return [*path, start]
            if provider not in visited:
                visited.add(provider)
                todo.append([*path, provider])
    return []
