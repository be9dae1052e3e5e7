"""A cycle of two commands, for what can't finish one by itself.

If we die in between, the port stays off until the journal's reconciliation switches it on. While
we live, every way out of here has ordered `on`, but for one: who must not be spoken to any more.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

from supervisor.actuators.power.driver import (
    CycleOutcome,
    CycleResult,
    Phase,
    PortState,
    PowerError,
)

Switch = Callable[[Literal["off", "on"]], Awaitable[PortState]]
_TRIES_ON = 3


async def cycle(
    before: PortState, switch: Switch, off_s: float, *, pause_s: float = 1.0
) -> CycleResult:
    """Switch off, wait `off_s` seconds, switch on.

    `switch` returns the port once it shows the state, and raises `PowerError` if it never does.
    Raises `PowerError` if nothing was sent, or if the switch must not be spoken to any more.
    """
    try:
        off = await switch("off")
    except PowerError as error:
        if error.phase is Phase.NOT_SENT or error.trips_breaker:
            raise
        if error.phase is Phase.REJECTED:
            return CycleResult(CycleOutcome.REFUSED, str(error), (before,))
        _, end = await _on(switch, pause_s)  # it may be off all the same
        return CycleResult(CycleOutcome.UNKNOWN, f"{error}; {end}", (before,))
    await asyncio.sleep(off_s)
    on, end = await _on(switch, pause_s)
    if on is None:
        return CycleResult(CycleOutcome.UNKNOWN, f"seen off, {end}", (before, off))
    return CycleResult(CycleOutcome.VERIFIED, f"seen off, {end}", (before, off, on))


async def _on(switch: Switch, pause_s: float) -> tuple[PortState | None, str]:
    """Order `on` until it shows, a few times; the power service goes on where this ends."""
    problem = ""
    for attempt in range(_TRIES_ON):
        if attempt:
            await asyncio.sleep(pause_s)
        try:
            return await switch("on"), "then on"
        except PowerError as error:
            if error.trips_breaker:
                raise PowerError(
                    Phase.UNKNOWN, str(error), trips_breaker=True, stage=error.stage
                ) from None
            problem = str(error)
    return None, f"but not on again: {problem}"
