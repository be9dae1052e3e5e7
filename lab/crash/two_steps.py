"""A driver for a switch that can't finish a cycle by itself: off, wait, on, from here.

The hardest case: a death between the two leaves the port off until somebody else acts.
"""

import asyncio

from supervisor.actuators.power.driver import CycleOutcome, CycleResult
from supervisor.actuators.power.swctrl import SwctrlDriver


class TwoStepDriver(SwctrlDriver):
    """The real driver's `off` and `on`, with nothing but this process between them."""

    async def cycle(self, port: int, *, off_s: float, op_id: str) -> CycleResult:
        """Switch off, wait, switch on."""
        await self.off(port, op_id=op_id)
        off = (await self.status())[port]
        await asyncio.sleep(off_s)
        await self.on(port, op_id=op_id)
        on = (await self.status())[port]
        return CycleResult(CycleOutcome.VERIFIED, "seen off, then on", (off, on))
