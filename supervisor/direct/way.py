"""The direct way to the switch: orders pass the core's rails and the journal, as in the daemon."""

import asyncio
import contextlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from common import clock, tasks
from common.fleet.orders import Ended, Order, OrderRefusedError, WayLostError, ended_of
from supervisor.actuators.power.orders import Reconciled
from supervisor.actuators.power.service import PowerService
from supervisor.core.effects import Note, NoteKind, Perform, Treatment
from supervisor.core.events import ActRequested
from supervisor.core.rails import Rail
from supervisor.daemon.engine import Engine, QueueFullError
from supervisor.direct.look import Look
from supervisor.journal.errors import JournalError
from supervisor.journal.journal import Journal

_FINISH_S = 90.0  # past the power service's own deadlines nothing more can be expected
_FLUSH_S = 10.0
_PROOF_S = 45.0  # a switch may carry out late what it was told; after that it is proven or not
_RECONCILE_EVERY_S = 1.0


class DirectWay:
    """One person's hands at the switch. `aclose` leaves no port half switched if it can be helped.

    The rail `starts` is skipped: without heartbeats it can't know who is back, and whoever orders
    is alone at the switch and keeps to `stagger_s` and `max_booting` by plan (`common.fleet`).
    """

    def __init__(
        self, engine: Engine, power: PowerService, journal: Journal, look: Look, author: str
    ) -> None:
        self._engine = engine
        self._power = power
        self._journal = journal
        self._look = look
        self._author = author
        self._told: list[Ended] = []
        self._open: set[str] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._work: list[asyncio.Task[None]] = []

    @property
    def said(self) -> str:
        """Say which way it is."""
        return f"directly at the switch, as {self._author}: the supervisor is down"

    async def begin(self) -> str:
        """Start, and first finish what somebody left half done; return what became of it."""
        self._work = [tasks.spawn(self._engine.write_down(), "direct scribe")]
        self._note(f"direct mode by {self._author}: the supervisor is down")
        return await self._reconcile(0.0)

    async def look(self) -> Mapping[str, Any]:
        """Return the picture of now, as the switch and the nodes' ssh ports give it."""
        return await self._look.ports(self._engine.status())

    async def order(self, order: Order) -> str:
        """Have one node's power switched."""
        forever = order.off_for == "forever"
        asked = ActRequested(
            request_id=secrets.token_hex(6),
            node=order.node,
            treatment=Treatment(order.treatment),
            author=self._author,
            reason=order.reason,
            arguments={} if order.off_s is None else {"off_s": f"{order.off_s:g}"},
            allow_protected=order.protected,
            skip=frozenset({*order.skip_rails, Rail.STARTS}),
            until=None if forever else clock.boottime() + float(order.off_for),
        )
        try:
            effects = await self._engine.submit(asked)
        except (JournalError, QueueFullError) as error:
            raise OrderRefusedError(["journal"], f"can't be journalled: {error}") from None
        refused = [e for e in effects if isinstance(e, Note) and e.kind is NoteKind.REFUSED]
        if refused:
            rails = [str(note.data["rail"]) for note in refused]
            raise OrderRefusedError(rails, "; ".join(note.text for note in refused))
        action = next(e.action for e in effects if isinstance(e, Perform))
        self._open.add(action.id)
        self._idle.clear()
        return action.id

    async def ended(self) -> Sequence[Ended]:
        """Return which actions have ended since the last call."""
        if self._work and self._work[0].done():
            raise WayLostError("the journal's scribe has ended; see the log")
        told, self._told = self._told, []
        return told

    async def aclose(self) -> None:
        """Finish what has begun, bring what is unproven to an end, and let the journal go."""
        await self._until_idle(_FINISH_S)
        await self._reconcile(_PROOF_S)
        await self._power.aclose()
        await self._until_idle(_FLUSH_S)
        for task in self._work:
            task.cancel()
        await asyncio.wait(self._work, timeout=1.0)
        self._journal.close()

    def publish(self, entry: Mapping[str, Any]) -> None:
        """Take in a timeline entry that has been written."""
        if ended := ended_of(entry):
            self._open.discard(ended.action)
            if not self._open:
                self._idle.set()
            self._told.append(ended)

    async def _reconcile(self, within_s: float) -> str:
        """Finish unfinished business; return what is left of it."""
        deadline = clock.boottime() + within_s
        while True:
            result = await self._power.reconcile()
            for done in result.closed:
                self._story(done)
            if not result.pending:
                return ""
            if clock.boottime() >= deadline or self._power.breaker.reason:
                return f"{result.pending} unfinished: {result.problem or 'not proven yet'}"
            await asyncio.sleep(_RECONCILE_EVERY_S)

    def _story(self, done: Reconciled) -> None:
        data = {"op": done.op_id, "port": done.port, "action": done.action_id}
        self._engine.enqueue([Note(NoteKind.POWER, done.story, done.node, None, data)])

    def _note(self, text: str) -> None:
        self._engine.enqueue([Note(NoteKind.POWER, text, None, None, {})])

    async def _until_idle(self, within_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._idle.wait()
