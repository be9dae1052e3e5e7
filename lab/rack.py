"""The rack: nineteen virtual Pis on one switch, of which one serves the others' disks."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Literal

from common.clock import boottime
from common.topology import Cluster, Node, Service
from lab import services
from lab.appearance import PiState
from lab.errors import MisuseError
from lab.faults import Activity, find
from lab.pi import Parts, Pi
from lab.switch.ports import Ports

_ANSWER_S = 20.0
_POLL_S = 0.05


class Rack:
    """Every Pi, its power from `ports`, and what one Pi's failure does to those it serves."""

    def __init__(
        self,
        cluster: Cluster,
        ports: Ports,
        assemble: Callable[[Node], Parts],
        boot_s: float,
        *,
        agents_in_memory: bool = True,
    ) -> None:
        self.cluster, self.ports = cluster, ports
        self.failed: asyncio.Future[services.Service] = asyncio.get_running_loop().create_future()
        self.pis: dict[str, Pi] = {}
        self._waiting: asyncio.Queue[Pi] = asyncio.Queue()  # bounded by the number of Pis
        self._queued: set[str] = set()
        try:
            for node in cluster:
                self.pis[node.name] = Pi(
                    assemble(node), boot_s, self, agent_in_memory=agents_in_memory
                )
        except BaseException:
            self.close()
            raise
        for pi in self.pis.values():
            self._plug_in(pi)
            self._stall_dependents(pi)
        ports.on_power(self._on_power)

    def start(self) -> None:
        """Have every Pi with power up at once, as if it had run for long."""
        for pi in self.pis.values():
            pi.power(on=self.ports[pi.node.port].powered, boot_s=0)

    async def start_agents(self) -> None:
        """Start agents as their turn comes, each once the one before it answers. Runs for ever."""
        while True:
            pi = await self._waiting.get()
            self._queued.discard(pi.node.name)
            pi.start_agent()
            await _until_it_answers(pi)

    def suffer(self, name: str, fault_name: str, argument: str = "") -> str:
        """Break something and say what now happens. Raises `LabError`."""
        pi, fault = self._find(name), find(fault_name, argument)
        if fault.at_switch:
            self._set_port(pi, "off")
        else:
            pi.suffer(fault, argument)
        return f"{pi.node.name}: {fault.name} {argument}".strip() + f" - {fault.does}"

    def heal(self, name: str) -> str:
        """Mend one node, or `all`, without anybody's treatment. Raises `LabError`."""
        found = list(self.pis.values()) if name == "all" else [self._find(name)]
        for pi in found:
            self._set_port(pi, "auto")
            pi.heal()
        return f"{name if name == 'all' else found[0].node.name}: healed"

    def describe(self) -> Iterator[dict[str, Any]]:
        """Yield what each Pi is like."""
        for pi in self.pis.values():
            looks = pi.looks
            yield {
                "node": pi.node.name,
                "address": pi.node.ip,
                "port": pi.node.port,
                "state": pi.state,
                "stalled": pi.stalled and pi.state is PiState.UP,
                "faults": pi.faults,
                "ssh": looks.ssh,
                "agent": looks.agent.name.lower(),
                "agent_pid": pi.agent.pid,
                "watts": looks.watts,
                "boot_id": pi.tree.boot_id if pi.state is PiState.UP else None,
            }

    def close(self) -> None:
        """End everything at once."""
        for pi in self.pis.values():
            pi.close()

    # What a Pi tells the rack (`lab.pi.Surroundings`).

    def changed(self, pi: Pi) -> None:
        """Let those that `pi` serves feel how it is."""
        if len(self.pis) == len(self.cluster.nodes):
            self._stall_dependents(pi)

    def start_agent(self, pi: Pi) -> None:
        """Queue the start of an agent: nineteen at once would keep each other from starting."""
        if pi.node.name not in self._queued:
            self._queued.add(pi.node.name)
            self._waiting.put_nowait(pi)

    def gave_up(self, service: services.Service) -> None:
        """Remember the first service that can't be kept running: the lab can't go on."""
        if not self.failed.done():
            self.failed.set_result(service)

    def _find(self, name: str) -> Pi:
        node = self.cluster.resolve(name)
        if not node:
            raise MisuseError(f"unknown node {name!r}; expected one of {', '.join(self.pis)}")
        return self.pis[node.name]

    def _plug_in(self, pi: Pi) -> None:
        port = self.ports.plug(pi.node.port, mac=pi.node.mac)
        port.ip, port.hostname = pi.node.ip, pi.node.name
        port.watts = lambda: pi.looks.watts
        port.link = lambda: pi.looks.linked

    def _set_port(self, pi: Pi, admin: Literal["auto", "off"]) -> None:
        self.ports.set_admin([pi.node.port], admin, cause="lab", session=0)

    def _on_power(self, number: int, powered: bool) -> None:  # noqa: FBT001 - Ports' Watcher
        for pi in self.pis.values():
            if pi.node.port == number:
                pi.power(on=powered)

    def _stall_dependents(self, provider: Pi) -> None:
        stalled = not provider.looks.serves
        for pi in self.pis.values():
            if pi.node.depends_on.get(Service.NETBOOT) == provider.node.name:
                pi.stall(stalled=stalled)


async def _until_it_answers(pi: Pi) -> None:
    """Wait until the agent of `pi` accepts connections, or will not for now."""
    give_up = boottime() + _ANSWER_S
    while boottime() < give_up and pi.agent.pid and pi.looks.agent is Activity.RUNNING:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(pi.node.ip, pi.node.agent_port)
            writer.close()
            await writer.wait_closed()
            return
        await asyncio.sleep(_POLL_S)
