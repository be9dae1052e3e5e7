"""What the clients of a file server say of it: many independent witnesses, each about itself.

A server whose NFS has gone dumb looks well from outside: it beats, and its ssh answers. But the
agents of the nodes that live on it run from memory and tell that their roots stall. One such
word is that node's own affair; most of them together are about the server.
"""

from collections.abc import Iterator

from common.observations import Observation, Sense
from common.topology import Cluster, Service
from supervisor.core.conditions import Ward
from supervisor.core.liveness import Beats, Clients

KIND = "clients"
STALLED = frozenset({"root_stalled", "nfs_stalled"})
LEAST = 3
"""Fewer witnesses than these say nothing about their server."""


class Witnesses:
    """Listens to all clients of each server."""

    def __init__(self, cluster: Cluster) -> None:
        self._clients: dict[str, list[str]] = {}
        for node in cluster:
            for server, services in cluster.upstream(node.name).items():
                if Service.NETBOOT in services:
                    self._clients.setdefault(server, []).append(node.name)

    def heard(self, ward: Ward) -> Iterator[Observation]:
        """Yield what the clients of each server say now; nothing if too few of them speak."""
        for server, clients in self._clients.items():
            stalled = [name for name in clients if ward[name].true_kinds & STALLED]
            known = ward[server].vitals.probes.get(KIND)
            if not stalled and (known is None or known.outcome == Clients.WELL):
                continue
            speaking = [name for name in clients if ward[name].signs.beats is Beats.FRESH]
            if len(speaking) < LEAST:
                continue
            most = len(stalled) >= LEAST and 2 * len(stalled) > len(speaking)
            word = Clients.STALLED if most else Clients.WELL
            detail = (
                f"{len(stalled)} of the {len(speaking)} nodes on it that speak say that they stall"
            )
            yield Observation(Sense.PEER, server, KIND, word, "", detail)
