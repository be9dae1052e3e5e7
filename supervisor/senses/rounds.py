"""The rhythm of looking: every node once per interval, spread over it, few at a time."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from common.topology import Node

Look = Callable[[Node], Awaitable[None]]
_JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Rounds:
    """Looks at each node every `every_s` seconds, give or take a tenth.

    Looks start staggered, so that a rack isn't probed in one burst, and no more than `at_once`
    run at a time. `chance` returns a number in [0, 1).
    """

    every_s: float
    at_once: int = 16
    chance: Callable[[], float] = random.random

    async def run(self, nodes: Sequence[Node], look: Look) -> None:
        """Go on for ever. `look` bounds its own time; what it raises ends the rounds."""
        gate = asyncio.Semaphore(self.at_once)
        async with asyncio.TaskGroup() as group:
            for place, node in enumerate(nodes):
                first = self.every_s * place / len(nodes)
                group.create_task(self._again_and_again(node, look, gate, first), name=node.name)
            if not nodes:
                await asyncio.Event().wait()  # nothing to look at is no reason to end

    async def _again_and_again(
        self, node: Node, look: Look, gate: asyncio.Semaphore, first: float
    ) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + first
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            async with gate:
                await look(node)
            pause = self.every_s * (1 + _JITTER * (2 * self.chance() - 1))
            due = max(due + pause, loop.time())  # after a slow look, start anew
