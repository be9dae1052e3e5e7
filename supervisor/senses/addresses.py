"""Behind which port the switch sees each node: whether the inventory still fits the cables.

A machine that was moved to another port would be the wrong one to cut power from. That is told
now, and not in the emergency. An address that the switch doesn't list says nothing: a dead
node's ages out.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from common.observations import Observation, Sense
from common.topology import Node
from supervisor.core.events import Observed
from supervisor.core.ports import Address
from supervisor.senses.tcp import FaultLog

_JITTER = 0.1
_FIRST_S = 5.0
Addresses = Callable[[], Awaitable[Mapping[str, int]]]


@dataclass(frozen=True, slots=True)
class AddressSense:
    """Reads the switch's address table every `every_s` seconds, waiting at most `timeout_s`.

    `addresses` returns the port behind which each address (lower case) was seen lately.
    """

    addresses: Addresses
    every_s: float
    timeout_s: float
    _faults: FaultLog = field(default_factory=lambda: FaultLog("addresses"))

    async def run(self, nodes: Sequence[Node], emit: Callable[[Observed], None]) -> None:
        """Look for ever."""
        await asyncio.sleep(_FIRST_S)
        while True:
            if seen := await self.look(nodes):
                emit(Observed(seen))
            spread = _JITTER * (2 * random.random() - 1)  # noqa: S311 - jitter, no secret
            await asyncio.sleep(self.every_s * (1 + spread))

    async def look(self, nodes: Sequence[Node]) -> tuple[Observation, ...]:
        """Look once; nothing is said of whom the table doesn't list, nor when it can't be read."""
        try:
            async with asyncio.timeout(self.timeout_s):
                table = await self.addresses()
        except Exception as error:  # noqa: BLE001 - whatever a driver raises, it could not be asked
            self._faults.trouble(error)
            return ()
        self._faults.fine()
        listed = ((node, table.get(node.mac.lower())) for node in nodes)
        return tuple(_seen(node, port) for node, port in listed if port is not None)


def _seen(node: Node, port: int) -> Observation:
    if port == node.port:
        word, detail = Address.HERE, f"its address is seen behind port {port}"
    else:
        word, detail = Address.ELSEWHERE, mismatch(node, port)
    return Observation(Sense.SWITCH, node.name, "address", word, str(port), detail)


def mismatch(node: Node, port: int) -> str:
    """Say that `node` was seen behind another port than the inventory has."""
    return f"{node.name} is seen behind port {port}, and the inventory says {node.port}"
