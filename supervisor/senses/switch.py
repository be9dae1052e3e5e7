"""What the switch says of each node's port: the out-of-band witness.

One look tells of every port. If the switch can't be asked, that is an observation about the
switch, and none about any port: what was known of them goes stale by itself. The look goes over
the connection that orders use, and gives way to them.

It looks seldom while all is well, and often while somebody is uneasy: power that was cut shows
nowhere else, and a beat that is late is enough to begin to doubt.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import structlog

from common import clock
from common.observations import Observation, Sense, Truth
from common.topology import Node
from supervisor.core.events import Observed
from supervisor.core.ports import Link, Power

SWITCH = "switch"
_JITTER = 0.1
_log = structlog.get_logger(__name__)


class PortReport(Protocol):
    """A port as a power driver describes it. `observed_at` is in seconds of CLOCK_BOOTTIME."""

    @property
    def admin(self) -> Literal["auto", "off", "unknown"]:
        """What the switch is set to."""

    @property
    def delivering(self) -> bool | None:
        """Whether power flows; None if the switch doesn't say."""

    @property
    def watts(self) -> float | None:
        """How much."""

    @property
    def link(self) -> bool | None:
        """Whether its Ethernet link is up; None if the switch doesn't say."""

    @property
    def pd_class(self) -> str | None:
        """The class that the device asked power for."""

    @property
    def observed_at(self) -> float:
        """When."""


Ports = Callable[[], Awaitable[Mapping[int, PortReport] | None]]


@dataclass(slots=True)
class SwitchSense:
    """Looks at the switch every `every_s` seconds, waiting at most `timeout_s` for its answer.

    `ports` returns None when the look gave way to an order: then nothing is said.
    Between two calls of `hurry` it looks every `urgent_every_s` seconds instead.
    """

    ports: Ports
    every_s: float
    timeout_s: float
    urgent_every_s: float = 1.0
    tells_delivery: bool = True
    _reachable: bool = True
    _urgent: asyncio.Event = field(default_factory=asyncio.Event)

    def hurry(self) -> None:
        """Look soon: somebody is uneasy now."""
        self._urgent.set()

    async def run(self, nodes: Sequence[Node], emit: Callable[[Observed], None]) -> None:
        """Look for ever."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            if seen := await self.look(nodes):
                emit(Observed(seen))
            self._urgent.clear()
            spread = _JITTER * (2 * random.random() - 1)  # noqa: S311 - jitter, no secret
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(began + self.every_s * (1 + spread)):
                    await self._urgent.wait()
            await asyncio.sleep(began + self.urgent_every_s - loop.time())

    async def look(self, nodes: Sequence[Node]) -> tuple[Observation, ...]:
        """Look once."""
        try:
            async with asyncio.timeout(self.timeout_s):
                ports = await self.ports()
        except Exception as error:  # noqa: BLE001 - whatever a driver raises, it could not be asked
            detail = str(error) or f"no answer within {self.timeout_s:g} s"
            self._note(reachable=False, detail=detail)
            return (_switch(Truth.TRUE, detail),)
        if ports is None:
            return ()
        self._note(reachable=True)
        now = clock.boottime()
        told = self.tells_delivery
        seen = (one for node in nodes for one in _seen(node, ports.get(node.port), now, told))
        return (_switch(Truth.FALSE, ""), *seen)

    def _note(self, *, reachable: bool, detail: str = "") -> None:
        """Log a loss once, and its recovery once."""
        if reachable != self._reachable:
            _log.warning("switch_reachable" if reachable else "switch_unreachable", detail=detail)
        self._reachable = reachable


def power(port: PortReport | None, *, tells_delivery: bool = True) -> Power:
    """Reduce a port to one word."""
    match port.admin if port else "unknown", port.delivering if port else None:
        case "auto", None if not tells_delivery:
            return Power.ON
        case "off", _:
            return Power.DISABLED
        case _, True:
            return Power.ON
        case "auto", False:
            return Power.OFF
        case _:
            return Power.UNKNOWN


def _seen(
    node: Node,
    port: PortReport | None,
    now: float,
    tells_delivery: bool,  # noqa: FBT001 - the sense's own setting
) -> Iterator[Observation]:
    """Yield what one look tells of a port: the link first, for it belongs to the power's word."""
    age = max(0.0, now - port.observed_at) if port else 0.0
    subject = str(node.port)
    if port is not None and port.link is not None:
        link = Link.UP if port.link else Link.DOWN
        yield Observation(Sense.SWITCH, node.name, "link", link, subject, age=age)
    word = power(port, tells_delivery=tells_delivery)
    detail = (port.pd_class or "").lower() if port else "the switch doesn't list this port"
    if port is not None and word is Power.ON and port.delivering is None:
        detail = "set on; this switch can't tell whether power flows"
    watts = port.watts if port else None
    yield Observation(Sense.SWITCH, node.name, "port", word, subject, detail, watts, age)


def _switch(unreachable: Truth, detail: str) -> Observation:
    return Observation(Sense.SWITCH, SWITCH, "switch_unreachable", unreachable, detail=detail)
