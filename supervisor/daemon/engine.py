"""The loop around the core: events in, effects out, in order, durably before anything is done.

The core runs on the event loop and never waits. Its effects go through one bounded queue to the
scribe, which writes them down (in a thread: an SD card's fsync can take a second) and only then
shows the notes and starts the actions.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog

from common import clock
from common.tasks import spawn
from supervisor.core.effects import Action, Effect, Perform
from supervisor.core.events import ActionEnded, Event, Result, Tick
from supervisor.core.medic import Medic
from supervisor.core.status import Status
from supervisor.daemon.memory import Memory
from supervisor.journal.errors import JournalError

TICK_S = 0.25
QUEUE_BATCHES = 2000

_log = structlog.get_logger(__name__)
Perform_ = Callable[[Action], Awaitable[tuple[Result, str]]]


class QueueFullError(Exception):
    """The journal has not kept up for minutes."""


Batch = tuple[Sequence[Effect], asyncio.Future[None] | None]


class Engine:
    """Feeds the medic and carries out what it wants.

    `perform` carries out one action; `publish` shows one timeline entry.
    """

    def __init__(
        self,
        medic: Medic,
        memory: Memory,
        perform: Perform_,
        publish: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._medic = medic
        self._memory = memory
        self._perform = perform
        self._publish = publish
        self._batches: asyncio.Queue[Batch] = asyncio.Queue(QUEUE_BATCHES)
        self._journal_works = True

    def tell(self, event: Event) -> Sequence[Effect]:
        """Hand an event to the core, now; return what it wants, which is on its way."""
        effects = self._medic.handle(event, clock.boottime())
        self.enqueue(effects)
        return effects

    async def submit(self, event: Event) -> Sequence[Effect]:
        """Hand a person's word to the core; return once what follows from it is on disk.

        Raises `JournalError` when it can't be written: then it holds only until a restart.
        """
        effects = self._medic.handle(event, clock.boottime())
        if effects:
            written = asyncio.get_running_loop().create_future()
            self.enqueue(effects, written)
            await written
        return effects

    def enqueue(
        self, effects: Sequence[Effect], written: asyncio.Future[None] | None = None
    ) -> None:
        """Have effects written down and carried out, after those before them."""
        if not effects:
            return
        try:
            self._batches.put_nowait((effects, written))
        except asyncio.QueueFull:  # the disk has hung for minutes: act on nothing, keep watching
            _log.error("journal_too_slow", dropped=len(effects))
            self._give_up(effects, "the journal doesn't keep up")
            _answer(written, QueueFullError("the journal doesn't keep up"))

    def is_uneasy(self) -> bool:
        """Tell whether it is worth looking closely right now."""
        return self._medic.is_uneasy(clock.boottime())

    def status(self) -> Status:
        """Return the core's picture of this instant."""
        return self._medic.status(clock.boottime())

    async def tick(self, alive: Callable[[], None]) -> None:
        """Let time pass for the core, for ever; `alive` is called at each turn."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            self.tell(Tick())
            alive()
            due = max(due + TICK_S, loop.time())  # after a stall, no burst of overdue ticks
            await asyncio.sleep(due - loop.time())

    async def write_down(self) -> None:
        """Write, show and start, batch by batch, for ever."""
        while True:
            batches = [await self._batches.get()]
            while not self._batches.empty():  # one fsync serves whatever piled up meanwhile
                batches.append(self._batches.get_nowait())
            effects = [effect for batch, _ in batches for effect in batch]
            error = await self._carry_out(effects)
            for _, written in batches:
                _answer(written, error)

    async def _carry_out(self, effects: Sequence[Effect]) -> JournalError | None:
        """Carry `effects` out; return what kept them from being written, if anything did."""
        try:
            entries = await asyncio.to_thread(self._memory.keep, effects)
        except JournalError as error:
            if self._journal_works:
                _log.error("journal_lost", error=str(error))
            self._journal_works = False
            self._give_up(effects, f"the journal can't be written: {error}")
            return error
        if not self._journal_works:
            _log.info("journal_recovered")
            self._journal_works = True
        for entry in entries:
            _log.info("timeline", **{k: v for k, v in entry.items() if k != "data"})
            self._publish(entry)
        for effect in effects:
            if isinstance(effect, Perform):
                spawn(self._act(effect.action), f"action {effect.action.id}")
        return None

    async def _act(self, action: Action) -> None:
        try:
            result, detail = await self._perform(action)
        except Exception as error:  # noqa: BLE001 - an actuator's bug must not lose the incident
            _log.exception("actuator_failed", action=action.id)
            result, detail = Result.UNKNOWN, f"the actuator failed: {error!r}"
        self.tell(ActionEnded(action.id, result, detail))

    def _give_up(self, effects: Sequence[Effect], why: str) -> None:
        """Nothing is done that isn't written down first."""
        for effect in effects:
            if isinstance(effect, Perform):
                ended = ActionEnded(effect.action.id, Result.NOT_SENT, why)
                asyncio.get_running_loop().call_later(TICK_S, self.tell, ended)


def _answer(written: asyncio.Future[None] | None, error: Exception | None) -> None:
    if written is None or written.done():
        return
    if error is None:
        written.set_result(None)
    else:
        written.set_exception(error)
