"""What can be seen without heartbeats: the switch's own word, and each node's ssh banner."""

import asyncio
from collections.abc import Mapping
from typing import Any

from common import clock
from common.fleet.progress import Limits
from common.topology import Cluster, Node
from supervisor.actuators.power.driver import PortState, PowerError
from supervisor.actuators.power.service import PowerService
from supervisor.api.schema import ports_json
from supervisor.core.liveness import Ssh
from supervisor.core.status import Status
from supervisor.senses.ssh_banner import SshBannerSense
from supervisor.senses.switch import power

_EVERY_S = 1.0


class Look:
    """Looks at most once a second, however often it is asked."""

    def __init__(
        self, cluster: Cluster, service: PowerService, banner: SshBannerSense, limits: Limits
    ) -> None:
        self._cluster = cluster
        self._service = service
        self._banner = banner
        self._limits = limits
        self._looked_at = -_EVERY_S
        self._table: Mapping[int, PortState] | None = None
        self._answers: dict[str, bool | None] = {}

    async def ports(self, status: Status) -> Mapping[str, Any]:
        """Return the picture of `GET /v1/ports`; alive is who gives an ssh banner."""
        if clock.boottime() - self._looked_at >= _EVERY_S:
            self._looked_at = clock.boottime()
            await asyncio.gather(self._ask_switch(), self._ask_nodes())
        picture = ports_json(status, self._cluster, self._limits)
        picture["switch_reachable"] = "false" if self._table is None else "true"
        for port in picture["ports"]:
            state = (self._table or {}).get(port["port"])
            alive = self._answers.get(port["node"])
            port |= {
                "power": str(power(state)),
                "watts": state.watts if state else None,
                "state": {True: "ssh answers", False: "no ssh", None: "unknown"}[alive],
                "alive": alive is True,
                "boot": None,
                "boot_age_s": None,
            }
        return picture

    async def _ask_switch(self) -> None:
        try:
            self._table = await self._service.status()
        except PowerError:
            self._table = None

    async def _ask_nodes(self) -> None:
        nodes = list(self._cluster)
        answers = await asyncio.gather(*(self._ask(node) for node in nodes))
        self._answers = {node.name: answer for node, answer in zip(nodes, answers, strict=True)}

    async def _ask(self, node: Node) -> bool | None:
        seen = await self._banner.look(node)
        return None if seen is None else seen.outcome == Ssh.BANNER
