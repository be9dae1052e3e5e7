"""Whose connection is this? The end of an agent's persistent connection is an observation.

A connection is known by its two ends (client and server address), because one client port may
be in use towards several of our addresses. It belongs to a node once a beat on it was found
good. Only the loss of a node's *current* connection tells anything.
"""

from collections import Counter
from collections.abc import Callable

End = tuple[str, int | None]
Ends = tuple[End, End]


class Connections:
    """The open connections, and which of them is a node's current one."""

    def __init__(self, disconnected: Callable[[str], None], per_host: int = 128) -> None:
        self._disconnected = disconnected
        self._per_host = per_host
        self._open: Counter[str] = Counter()
        self._nodes: dict[Ends, str] = {}
        self._current: dict[str, Ends] = {}
        self._muted = False

    def opened(self, host: str) -> bool:
        """Count a connection from `host`; False if it already has as many as it may."""
        self._open[host] += 1
        return self._open[host] <= self._per_host

    def belongs_to(self, node: str, ends: Ends) -> None:
        """Note that a beat of `node` was found good on this connection."""
        if self._current.get(node) == ends:
            return
        self._nodes.pop(self._current.get(node, ends), None)
        self._current[node], self._nodes[ends] = ends, node

    def lost(self, host: str, ends: Ends) -> None:
        """Note that a connection ended; tell if it was some node's current one."""
        self._open[host] -= 1
        if self._open[host] <= 0:
            del self._open[host]
        node = self._nodes.pop(ends, None)
        if node is None or self._current.get(node) != ends:
            return
        del self._current[node]
        if not self._muted:
            self._disconnected(node)

    def mute(self) -> None:
        """Report no more losses: from now on it is we who hang up."""
        self._muted = True
