"""The cluster as plain data: nodes, what they depend on, and the switch that powers them.

Built by `common.inventory` from `cluster.toml`; free of third-party code so that the
supervisor's pure core may hold it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Role(StrEnum):
    """What a node is for; runbooks and detectors select by it."""

    LOGIN = "login"
    BACKUP = "backup"
    MASTER = "master"
    WORKER = "worker"


class Service(StrEnum):
    """What one node may depend on another for."""

    NETBOOT = "netboot"  # DHCP, TFTP, NFS root and the way to the internet
    K3S = "k3s"  # the Kubernetes API server


@dataclass(frozen=True, slots=True)
class Node:
    """One Raspberry Pi. `port` is the switch port that carries its network and its power."""

    name: str
    serial: str
    mac: str
    ip: str
    port: int
    role: Role
    groups: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    depends_on: Mapping[Service, str] = field(default_factory=dict)
    ssh_user: str = "ubuntu"
    ssh_port: int = 22
    agent_port: int = 8801
    protected: bool = False
    accepted: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Switch:
    """The switch that every node's port belongs to."""

    name: str
    address: str
    ports: int = 48
    ssh_port: int = 22
    user: str = "admin"


@dataclass(frozen=True, slots=True)
class Cluster:
    """The inventory, validated: names are unique and every dependency exists and is acyclic."""

    name: str
    timezone: str
    cidr: str
    switch: Switch
    nodes: Mapping[str, Node]
    _upstream: dict[str, dict[str, set[Service]]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def resolve(self, name: str) -> Node | None:
        """Find a node by name or any accepted spelling: `login`, `pi_login`, `green_1`."""
        wanted = canonical(name)
        for node in self:
            if wanted in {canonical(spelling) for spelling in (node.name, *node.aliases)}:
                return node
        return None

    def upstream(self, name: str) -> dict[str, set[Service]]:
        """Every node that `name` depends on, directly or not, and for which services."""
        if name in self._upstream:
            return self._upstream[name]
        found: dict[str, set[Service]] = {}
        todo = list(self.nodes[name].depends_on.items())
        while todo:
            service, provider = todo.pop()
            if service in found.setdefault(provider, set()):
                continue
            found[provider].add(service)
            # What a provider lacks, its dependents lack for the service they get from it.
            todo += [(service, far) for far in self.nodes[provider].depends_on.values()]
        self._upstream[name] = found
        return found

    def dependents(self, name: str) -> tuple[str, ...]:
        """Every node that depends on `name`, directly or not, in inventory order."""
        return tuple(node.name for node in self if name in self.upstream(node.name))


def canonical(name: str) -> str:
    """Fold the spellings people use: case, and `_` or `-` between the parts."""
    return name.strip().lower().replace("-", "").replace("_", "")
