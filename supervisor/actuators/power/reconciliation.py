"""Bringing every operation that was cut short to a proven end.

Whatever died between off and on, its intent is in the journal. A cycle's or an `on`'s port is
ordered on unless it provably is and delivers; a port that a person switched off stays off.
Nothing here ever switches a port off.
"""

import asyncio
import random

import structlog

from supervisor.actuators.power.bystanders import Bystanders
from supervisor.actuators.power.driver import PowerError
from supervisor.actuators.power.guarded import GuardedDriver
from supervisor.actuators.power.orders import Reconciled, Reconciliation
from supervisor.actuators.power.ports import Table, in_words, is_off, is_on, is_on_and_delivering
from supervisor.actuators.power.settings import PowerSettings
from supervisor.actuators.power.settling import make_on, order_on
from supervisor.journal.ages import Stamp, age_of
from supervisor.journal.errors import JournalError
from supervisor.journal.intents import Intent, Intents, IntentState

_log = structlog.get_logger(__name__)


class Reconciler:
    """Rounds over the unfinished intents. The caller holds the switch's lock."""

    def __init__(
        self,
        switch: GuardedDriver,
        bystanders: Bystanders,
        intents: Intents,
        settings: PowerSettings,
        rng: random.Random,
    ) -> None:
        self._switch = switch
        self._bystanders = bystanders
        self._intents = intents
        self._settings = settings
        self._rng = rng
        self._ordered: set[str] = set()  # operations whose port this process ordered on
        self._hit: dict[str, frozenset[int]] = {}  # by operation: other ports found off

    async def round(self) -> Reconciliation:
        """Do what can be done now. Raises nothing: what went wrong is in `problem`."""
        try:
            waiting = await asyncio.to_thread(self._intents.unfinished)
            if not waiting:
                return Reconciliation()
            theirs = await asyncio.to_thread(self._intents.ports_off_by_hand)
            overruled = await asyncio.to_thread(self._overruled, waiting)
        except JournalError as error:
            return Reconciliation(pending=1, problem=str(error))
        wanted = {
            intent.port: intent
            for intent in waiting
            if (intent.kind != "off" or intent.op_id in overruled) and intent.port not in theirs
        }
        try:
            before = await self._switch.status()
            after, problem, switched_on = await self._order_on(wanted, before)
        except PowerError as error:
            return Reconciliation(pending=len(waiting), problem=str(error))
        await self._repair(waiting, theirs, after)
        closed = []
        for intent in waiting:
            end = self._end_of(intent, before, after, wanted=intent.port in wanted)
            if end is None:
                continue
            state, story = end[0], end[1] + _beside(self._hit.get(intent.op_id, frozenset()))
            if await self._close(intent, state, story):
                closed.append(_told(intent, story))
        pending = len(waiting) - len(closed)
        return Reconciliation(tuple(closed), switched_on, pending, problem)

    async def _repair(self, waiting: list[Intent], theirs: frozenset[int], after: Table) -> None:
        """Switch on what else an operation switched off.

        Whoever died before the ports were compared left that to us: `on_before` has them.
        """
        asked_for = theirs | {intent.port for intent in waiting}
        for intent in waiting:
            ports = intent.on_before - asked_for
            if gone := frozenset(port for port in ports if is_off(after.get(port))):
                _log.error("other_ports_went_off", ports=sorted(gone), cause=intent.op_id)
                await self._bystanders.restore(gone, intent.op_id)
                self._hit[intent.op_id] = self._hit.get(intent.op_id, frozenset()) | gone
                asked_for |= gone

    def _overruled(self, waiting: list[Intent]) -> set[str]:
        return {
            intent.op_id
            for intent in waiting
            if intent.kind == "off" and self._intents.is_overruled(intent)
        }

    async def _order_on(
        self, wanted: dict[int, Intent], before: Table
    ) -> tuple[Table, str, tuple[int, ...]]:
        """Return the ports after ordering on what must be, what failed, and what was ordered."""
        off, idle = {}, {}
        for port, intent in wanted.items():
            if is_on_and_delivering(before.get(port)):
                continue
            if is_on(before.get(port)):
                idle[port] = intent
            elif self._off_time_is_over(intent):
                off[port] = intent
        after, problem = before, ""
        if off:
            _log.warning("ports_found_off", ports=sorted(off))
            op_ids = {port: intent.op_id for port, intent in off.items()}
            settled = await make_on(self._switch, op_ids, self._settings, self._rng)
            after, problem = settled.table or before, settled.problem
        # Told `auto` and no power: nothing hangs there, or it is about to come. Once will do.
        fresh = {
            port: intent.op_id for port, intent in idle.items() if intent.op_id not in self._ordered
        }
        problem = await order_on(self._switch, fresh) or problem
        self._ordered |= {intent.op_id for intent in off.values()} | set(fresh.values())
        return after, problem, tuple(sorted({*off, *fresh}))

    def _off_time_is_over(self, intent: Intent) -> bool:
        """Whether a device behind a cycle's port had its time without power."""
        return intent.kind != "cycle" or self._age_of(intent) >= intent.off_s

    def _age_of(self, intent: Intent) -> float:
        now = Stamp.now()
        return age_of(intent.boot_id, intent.at_boottime, now.boot_id, now.at_boottime)

    def _may_still_take_effect(self, intent: Intent) -> bool:
        if intent.state is IntentState.PLANNED:
            return False  # nothing was sent
        return self._age_of(intent) < intent.off_s + self._settings.late_effect_s

    def _end_of(
        self, intent: Intent, before: Table, after: Table, *, wanted: bool
    ) -> tuple[IntentState, str] | None:
        """Return how `intent` ends, or None if it can't be said yet."""
        port = after.get(intent.port)
        what = f"{intent.kind} of {intent.node or 'a node'} (port {intent.port})"
        cut = f"{what} was left {intent.state}"
        if not wanted:
            if is_off(port):
                if intent.kind == "off":
                    return IntentState.DONE, f"{cut}; the port is off, as ordered"
                return IntentState.RECONCILED, f"{cut}; a person has switched the port off since"
            if self._may_still_take_effect(intent):
                return None
            return IntentState.RECONCILED, f"{cut}; the port is {in_words(port)}"
        if not is_on(port) or self._may_still_take_effect(intent):
            return None
        found = in_words(before.get(intent.port))
        if intent.op_id in self._ordered:
            return IntentState.RECONCILED, f"{cut}; ordered on again: it is {in_words(port)} now"
        return IntentState.RECONCILED, f"{cut}; the port was found {found}: nothing to do"

    async def _close(self, intent: Intent, state: IntentState, story: str) -> bool:
        if state is IntentState.DONE and intent.state is IntentState.PLANNED:
            state = IntentState.RECONCILED  # off already, and not through us
        try:
            await asyncio.to_thread(self._intents.advance, intent.op_id, state, story)
        except JournalError as error:
            _log.error("intent_not_closed", op_id=intent.op_id, error=str(error))
            return False
        self._ordered.discard(intent.op_id)
        self._hit.pop(intent.op_id, None)
        return True


def _beside(hit: frozenset[int]) -> str:
    ports = ", ".join(map(str, sorted(hit)))
    return f"; other ports were found off and ordered on: {ports}" if hit else ""


def _told(intent: Intent, story: str) -> Reconciled:
    return Reconciled(intent.op_id, intent.action_id, intent.node, intent.port, story)
