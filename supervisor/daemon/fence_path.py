"""The check of the whole way to a power act, before one is needed: once a day, and after a start.

Whatever an emergency would need is tried, changing nothing: the credentials, the journal, the
login, the switch's table against the inventory, its addresses, the breaker. A check that finds
something is made again soon; the core believes the second, calls a person once, and says once
when all is good again.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from common.observations import Observation, Sense
from common.topology import Node
from supervisor.actuators.power.driver import PortState, PowerError
from supervisor.core.conditions import SWITCH
from supervisor.core.events import Observed
from supervisor.core.liveness import FencePath
from supervisor.journal.errors import JournalError
from supervisor.senses.addresses import mismatch

FIRST_S = 20.0
"""Soon after a start, but not among its first looks."""
DAILY_S = 86400.0
AGAIN_S = (60.0, 300.0, 900.0, 3600.0)
"""After a failure: soon, to confirm it; then ever more seldom: failed logins can lock one out."""
_JITTER = 0.1
_SHOWN = 4


class Way(Protocol):
    """The power service, as far as it can be tried without harm."""

    async def validate(self) -> None:
        """Test login, host key and output. Raises `PowerError`."""

    async def status(self) -> Mapping[int, PortState]:
        """Return every port. Raises `PowerError`."""

    async def macs(self) -> Mapping[str, int]:
        """Return the port behind which each address was seen lately. Raises `PowerError`."""


class Store(Protocol):
    """Where intents would be written."""

    def save(self, kind: str, item: str, payload: Any) -> None:
        """Keep something. Raises `JournalError`."""


@dataclass(frozen=True, slots=True)
class FencePathCheck:
    """Tries everything that a power act needs.

    `files` are the credentials; `deadline_s` bounds each of its three questions to the switch.
    """

    way: Way
    store: Store
    files: Sequence[Path]
    nodes: Sequence[Node]
    deadline_s: float

    async def run(self, emit: Callable[[Observed], None]) -> None:
        """Check for ever."""
        await asyncio.sleep(_spread(FIRST_S))
        failures = 0
        while True:
            problems = await self.check()
            emit(Observed((_told(problems, len(self.nodes)),)))
            failures = failures + 1 if problems else 0
            pause = AGAIN_S[min(failures, len(AGAIN_S)) - 1] if failures else DAILY_S
            await asyncio.sleep(_spread(pause))

    async def check(self) -> list[str]:
        """Return what was found wrong, most basic first."""
        problems = await asyncio.to_thread(lambda: [*_unreadable(self.files), *self._unwritable()])
        try:
            async with asyncio.timeout(self.deadline_s):
                await self.way.validate()
            async with asyncio.timeout(self.deadline_s):
                ports = await self.way.status()
            async with asyncio.timeout(self.deadline_s):
                addresses = await self.way.macs()
        except PowerError as error:
            return [*problems, f"the switch: {error}"]
        except TimeoutError:
            return [*problems, f"the switch gave no answer within {self.deadline_s:g} s"]
        return [*problems, *_unlike(self.nodes, ports, addresses)]

    def _unwritable(self) -> Iterator[str]:
        try:
            self.store.save("probe", "fence_path", {})
        except JournalError as error:
            yield f"the journal can't be written: {error}"


def _unreadable(files: Sequence[Path]) -> Iterator[str]:
    for path in files:
        try:
            empty = not path.read_bytes()
        except OSError as error:
            yield f"{path}: {error.strerror}"
        else:
            if empty:
                yield f"{path}: empty"


def _unlike(
    nodes: Sequence[Node], ports: Mapping[int, PortState], addresses: Mapping[str, int]
) -> Iterator[str]:
    """Compare with the inventory. A port that a person switched off is theirs, and no fault."""
    for node in nodes:
        state, seen_at = ports.get(node.port), addresses.get(node.mac.lower(), node.port)
        if state is None:
            yield f"the switch lists no port {node.port}, which {node.name} should be on"
        elif state.admin == "unknown" and state.delivering is None:
            yield f"port {node.port} of {node.name} can't be read: {state.raw!r}"
        if seen_at != node.port:
            yield mismatch(node, seen_at)


def _told(problems: Sequence[str], nodes: int) -> Observation:
    if not problems:
        detail = f"login, {nodes} ports, addresses, journal and credentials are good"
        return Observation(Sense.SWITCH, SWITCH, "fence_path", FencePath.SURE, detail=detail)
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    detail = "; ".join(problems[:_SHOWN]) + more
    return Observation(Sense.SWITCH, SWITCH, "fence_path", FencePath.BROKEN, detail=detail)


def _spread(seconds: float) -> float:
    return seconds * (1 + _JITTER * (2 * random.random() - 1))  # noqa: S311 - jitter, no secret
