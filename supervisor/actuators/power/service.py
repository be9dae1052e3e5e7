"""The power service: the safety above any driver. Start reading at `PowerService.cycle`.

refusals -> intent on disk -> look at all ports -> "sending" on disk -> the driver acts
-> the port is made provably on -> all ports compared -> intent closed, or left to `run`
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping
from typing import NoReturn

from common import tasks
from supervisor.actuators.power.breaker import Breaker
from supervisor.actuators.power.bystanders import Bystanders
from supervisor.actuators.power.driver import PortState, PowerDriver, PowerError
from supervisor.actuators.power.guarded import GuardedDriver
from supervisor.actuators.power.operation import Operation
from supervisor.actuators.power.orders import (
    Kind,
    Outlets,
    PowerOutcome,
    PowerRequest,
    Reconciled,
    Reconciliation,
    Verdict,
)
from supervisor.actuators.power.procedure import Procedure
from supervisor.actuators.power.reconciliation import Reconciler
from supervisor.actuators.power.refusals import Refusal, Refusals
from supervisor.actuators.power.settings import PowerSettings
from supervisor.actuators.power.settling import pauses
from supervisor.journal.errors import JournalError
from supervisor.journal.journal import Journal


class PowerService:
    """One switch. Orders take turns; each is journalled, proven and, if cut short, finished."""

    def __init__(
        self,
        driver: PowerDriver,
        journal: Journal,
        outlets: Outlets,
        settings: PowerSettings | None = None,
        *,
        rng: random.Random | None = None,
    ) -> None:
        """`rng` is for the jitter alone."""
        settings = settings or PowerSettings()
        rng = rng or random.Random()  # noqa: S311 - jitter is no secret
        self.breaker = Breaker()
        self._settings = settings
        self._rng = rng
        self._intents = journal.intents
        self._outlets = outlets
        self._switch = GuardedDriver(driver, settings, self.breaker)
        self._refusals = Refusals(outlets, journal.intents, settings, self.breaker)
        bystanders = Bystanders(self._switch, journal.intents, outlets, settings, rng)
        self._procedure = Procedure(self._switch, bystanders, settings, rng)
        self._reconciler = Reconciler(self._switch, bystanders, journal.intents, settings, rng)
        self._turn = asyncio.Lock()
        self._running: set[asyncio.Task[PowerOutcome]] = set()
        self._work_left = asyncio.Event()
        self._untold: list[Reconciled] = []
        self._closing = False

    async def cycle(self, request: PowerRequest) -> PowerOutcome:
        """Switch the node's port off and on again. Never raises for what the switch does.

        Cancelling the caller doesn't cancel the operation: the port has to come on again.
        """
        return await self._order("cycle", request)

    async def off(self, request: PowerRequest) -> PowerOutcome:
        """Switch the node's port off, by hand: it stays off until a person orders `on`."""
        return await self._order("off", request)

    async def on(self, request: PowerRequest) -> PowerOutcome:
        """Switch the node's port on, by hand."""
        return await self._order("on", request)

    async def status(self) -> Mapping[int, PortState]:
        """Return every port. Raises `PowerError`, also while the breaker is open."""
        return await self._switch.status()

    async def look(self) -> Mapping[int, PortState] | None:
        """Return every port with its link, for the senses; None if it gave way to an order.

        Raises `PowerError`, also while the breaker is open.
        """
        return await self._switch.look()

    async def macs(self) -> Mapping[str, int]:
        """Return the port behind which each address was seen lately. Raises `PowerError`."""
        return await self._switch.macs()

    async def validate(self) -> None:
        """Test the way to the switch; success resets the breaker. Raises `PowerError`."""
        await self._switch.validate()

    async def reconcile(self) -> Reconciliation:
        """Finish what was cut short, as far as the switch allows now; see `reconciliation`."""
        async with self._turn:
            result = await self._reconciler.round()
        told, self._untold = self._untold, []
        return Reconciliation(
            (*told, *result.closed), result.switched_on, result.pending, result.problem
        )

    async def run(self, tell: Callable[[Reconciled], None]) -> NoReturn:
        """Reconcile for ever, as a root task: at the start, and whenever something is left over.

        `tell` gets each story, for the timeline.
        """
        waits = pauses(self._settings, self._rng)
        while True:
            self._work_left.clear()
            result = await self.reconcile()
            for story in result.closed:
                tell(story)
            if not result.pending:
                waits = pauses(self._settings, self._rng)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._settings.idle_look_s):
                        await self._work_left.wait()
            elif self.breaker.reason:
                await asyncio.sleep(self._settings.breaker_retry_s)
                with contextlib.suppress(PowerError):
                    await self._switch.validate()
            else:
                await asyncio.sleep(next(waits))

    async def aclose(self) -> None:
        """Let running operations finish, for `close_s` seconds, then close the connection."""
        self._closing = True
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=self._settings.close_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1.0)
        await self._switch.aclose()

    async def _order(self, kind: Kind, request: PowerRequest) -> PowerOutcome:
        if self._closing:
            return self._refuse(kind, request, Refusal("the power service is closing"))
        if refusal := self._refusals.at_sight(kind, request):
            return self._refuse(kind, request, refusal)
        work = tasks.spawn(self._in_turn(kind, request), f"power {kind} {request.node}")
        self._running.add(work)
        work.add_done_callback(self._running.discard)
        return await asyncio.shield(work)

    async def _in_turn(self, kind: Kind, request: PowerRequest) -> PowerOutcome:
        try:
            async with asyncio.timeout(self._settings.lock_wait_s):
                await self._turn.acquire()
        except TimeoutError:
            busy = Refusal("the switch is busy with other operations", retry_in_s=0.0)
            return self._refuse(kind, request, busy)
        try:
            return await self._alone(kind, request)
        finally:
            self._turn.release()

    async def _alone(self, kind: Kind, request: PowerRequest) -> PowerOutcome:
        earlier = await self._reconciler.round()
        self._untold += earlier.closed
        try:
            refusal = await asyncio.to_thread(self._refusals.by_history, kind, request)
        except JournalError as error:
            refusal = Refusal(f"the journal can't be read: {error}")
        if refusal:
            return self._refuse(kind, request, refusal)
        outlet = self._outlets[request.node]
        off_s = self._refusals.off_time(request) if kind == "cycle" else 0.0
        operation = Operation(self._intents, kind, request, outlet, off_s)
        try:
            return await self._procedure.run(operation)
        finally:
            self._work_left.set()

    def _refuse(self, kind: Kind, request: PowerRequest, refusal: Refusal) -> PowerOutcome:
        outlet = self._outlets.get(request.node)
        return PowerOutcome(
            "", kind, request.node, outlet.port if outlet else None, Verdict.REFUSED,
            refusal.reason, settled=False, retry_in_s=refusal.retry_in_s,
        )  # fmt: skip
