"""What the switch says of each node's port: the out-of-band witness.

One question to the switch tells of every port. If it can't be asked, that is an observation
about the switch, and none about any port: what was known of them goes stale by itself.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import structlog

from common import clock
from common.observations import Observation, Sense, Truth
from common.topology import Node
from supervisor.core.events import Observed
from supervisor.core.liveness import Power

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
    def observed_at(self) -> float:
        """When."""


Ports = Callable[[], Awaitable[Mapping[int, PortReport]]]


@dataclass(slots=True)
class SwitchSense:
    """Asks the switch every `every_s` seconds, waiting at most `timeout_s` for its answer.

    Where the driver can't tell whether power flows (`tells_delivery`), a port that is set on counts
    as on: it is all that will ever be known, and must not keep a dead node in doubt for ever.
    """

    status: Ports
    every_s: float
    timeout_s: float
    tells_delivery: bool = True
    _reachable: bool = True

    async def run(self, nodes: Sequence[Node], emit: Callable[[Observed], None]) -> None:
        """Look for ever."""
        while True:
            emit(Observed(await self.look(nodes)))
            spread = _JITTER * (2 * random.random() - 1)  # noqa: S311 - jitter, no secret
            await asyncio.sleep(self.every_s * (1 + spread))

    async def look(self, nodes: Sequence[Node]) -> tuple[Observation, ...]:
        """Look once."""
        try:
            async with asyncio.timeout(self.timeout_s):
                ports = await self.status()
        except Exception as error:  # noqa: BLE001 - whatever a driver raises, it could not be asked
            detail = str(error) or f"no answer within {self.timeout_s:g} s"
            self._note(reachable=False, detail=detail)
            return (_switch(Truth.TRUE, detail),)
        self._note(reachable=True)
        now = clock.boottime()
        seen = (_port(node, ports.get(node.port), now, self.tells_delivery) for node in nodes)
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


def _port(
    node: Node,
    port: PortReport | None,
    now: float,
    tells_delivery: bool,  # noqa: FBT001 -- the sense's own setting
) -> Observation:
    word, detail = power(port, tells_delivery=tells_delivery), ""
    if port is None:
        detail = "the switch doesn't list this port"
    elif word is Power.ON and port.delivering is None:
        detail = "set on; this switch can't tell whether power flows"
    return Observation(
        Sense.SWITCH,
        node.name,
        "port",
        word,
        subject=str(node.port),
        detail=detail,
        value=port.watts if port else None,
        age=max(0.0, now - port.observed_at) if port else 0.0,
    )


def _switch(unreachable: Truth, detail: str) -> Observation:
    return Observation(Sense.SWITCH, SWITCH, "switch_unreachable", unreachable, detail=detail)
