"""Applies what comes due on the ports, in real time."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import NoReturn

from lab.switch.ports import Ports


class Timekeeper:
    """Runs as a task beside whatever changes the ports. Tests may step a clock themselves."""

    def __init__(self, ports: Ports, clock: Callable[[], float]) -> None:
        self._ports = ports
        self._clock = clock
        self._changed = asyncio.Event()
        ports.on_schedule(self._changed.set)

    async def run(self) -> NoReturn:
        """Apply each change when its time has come."""
        while True:
            self._changed.clear()
            self._ports.run_due()
            due = self._ports.next_due()
            wait = None if due is None else max(due - self._clock(), 0.001)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), wait)
