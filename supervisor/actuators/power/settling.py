"""Making ports provably on: look, order, look again, with growing and uneven pauses."""

import asyncio
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from common import clock
from supervisor.actuators.power.driver import PortState, PowerError
from supervisor.actuators.power.guarded import GuardedDriver
from supervisor.actuators.power.ports import is_on, is_on_and_delivering
from supervisor.actuators.power.settings import PowerSettings


@dataclass(frozen=True, slots=True)
class Settled:
    """How it ended: the ports still not provably on, those ordered on, and the last look."""

    missing: frozenset[int]
    ordered: frozenset[int]
    table: Mapping[int, PortState]  # empty if the switch didn't tell
    problem: str = ""


def pauses(settings: PowerSettings, rng: random.Random) -> Iterator[float]:
    """Yield the pauses between tries, in seconds, for ever."""
    pause = settings.retry_first_s
    while True:
        yield pause * (1 + settings.retry_jitter * rng.uniform(-1, 1))
        pause = min(pause * 2, settings.retry_max_s)


async def make_on(
    switch: GuardedDriver,
    ports: Mapping[int, str],
    settings: PowerSettings,
    rng: random.Random,
    *,
    not_before: float = 0.0,
    powered: frozenset[int] = frozenset(),
    once: bool = False,
) -> Settled:
    """Try for `settle_s` seconds until all `ports` (with the op id to order each by) are on.

    Before the instant `not_before` (boot time) nothing is ordered: a cycle's off time is the
    device's, and the switch itself may be about to end it. Without a readable table it orders
    `on` all the same, which can do no harm. Those of `powered` had power, so their power is
    awaited too: a port told `auto` may take seconds to find its device. `once`: look and order
    a single time.
    """
    deadline = max(clock.boottime(), not_before) + (0 if once else settings.settle_s)
    ordered = set[int]()
    waits = pauses(settings, rng)
    while True:
        table, problem = await _look(switch)
        missing = frozenset(port for port in ports if not is_on(table.get(port)))
        if not missing and all(is_on_and_delivering(table.get(port)) for port in powered):
            return Settled(missing, frozenset(ordered), table)
        if missing and clock.boottime() >= not_before and (table or not once):
            problem = await order_on(switch, {port: ports[port] for port in missing}) or problem
            ordered |= missing
        pause = next(waits)
        if clock.boottime() + pause > deadline or switch.is_tripped:
            return Settled(missing, frozenset(ordered), table, problem)
        await asyncio.sleep(pause)


async def _look(switch: GuardedDriver) -> tuple[Mapping[int, PortState], str]:
    try:
        return await switch.status(), ""
    except PowerError as error:
        return {}, str(error)


async def order_on(switch: GuardedDriver, ports: Mapping[int, str]) -> str:
    """Order each port on; one that fails keeps no other waiting. Return what went wrong."""
    problem = ""
    for port, op_id in sorted(ports.items()):
        try:
            await switch.on(port, op_id)
        except PowerError as error:
            problem = str(error)
    return problem
