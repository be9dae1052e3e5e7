"""Whether anything answers at the node's address, below userland.

`tcp`: a handshake with the agent's port; a refusal proves a kernel as well as success does.
`icmp`: an echo, through the kernel's unprivileged ping sockets (net.ipv4.ping_group_range).
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from icmplib import ICMPLibError, async_ping  # type: ignore[import-untyped]  # it has no types

from common.observations import Observation, Sense
from common.topology import Node
from supervisor.core.events import Observed
from supervisor.senses.rounds import Rounds
from supervisor.senses.tcp import Connected, Failed, FaultLog, OwnFaultError, connect


@dataclass(frozen=True, slots=True)
class ReachSense:
    """Reaches out to each node. `timeout_s` bounds each of the looks, which run together."""

    every_s: float
    timeout_s: float
    source: str = ""
    icmp: bool = True
    at_once: int = 16
    _tcp_faults: FaultLog = field(default_factory=lambda: FaultLog("tcp"))
    _icmp_faults: FaultLog = field(default_factory=lambda: FaultLog("icmp"))

    async def run(self, nodes: Sequence[Node], emit: Callable[[Observed], None]) -> None:
        """Look for ever."""

        async def look(node: Node) -> None:
            observations = tuple(await self.look(node))
            if observations:
                emit(Observed(observations))

        await Rounds(self.every_s, self.at_once).run(nodes, look)

    async def look(self, node: Node) -> Iterable[Observation]:
        """Look once in each way that is possible."""
        looks = [self._tcp(node), self._ping(node)] if self.icmp else [self._tcp(node)]
        return [seen for seen in await asyncio.gather(*looks) if seen]

    async def _tcp(self, node: Node) -> Observation | None:
        try:
            answer = await connect(node.ip, node.agent_port, self.timeout_s, self.source)
        except OwnFaultError as error:
            self._tcp_faults.trouble(error)
            return None
        self._tcp_faults.fine()
        match answer:
            case Connected(_, writer):
                writer.close()
                return Observation(Sense.PROBE, node.name, "tcp", "open")
            case Failed(outcome, detail):
                return Observation(Sense.PROBE, node.name, "tcp", outcome, detail=detail)

    async def _ping(self, node: Node) -> Observation | None:
        """Send one echo request; `value` is the round trip in milliseconds."""
        try:
            host = await async_ping(
                node.ip,
                count=1,
                timeout=self.timeout_s,
                privileged=False,
                source=self.source or None,
            )
            if not host.packets_sent:
                raise OwnFaultError("no echo request could be sent")
        except (ICMPLibError, OSError, OwnFaultError) as error:
            self._icmp_faults.trouble(error)
            return None
        self._icmp_faults.fine()
        if host.is_alive:
            return Observation(Sense.PROBE, node.name, "icmp", "reply", value=host.avg_rtt)
        return Observation(Sense.PROBE, node.name, "icmp", "nothing")
