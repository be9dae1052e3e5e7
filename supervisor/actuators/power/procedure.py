"""How one order is carried out and proven, once nothing speaks against it.

Every way out of here ends with the port proven, or with an intent that is not closed, which
reconciliation finishes. The tables at the end say what may be claimed.
"""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from common import clock
from supervisor.actuators.power.bystanders import Bystanders
from supervisor.actuators.power.driver import CycleOutcome, Phase, PortState, PowerError
from supervisor.actuators.power.guarded import GuardedDriver
from supervisor.actuators.power.operation import Operation
from supervisor.actuators.power.orders import PortChange, PowerOutcome, Verdict
from supervisor.actuators.power.ports import (
    in_words,
    is_off,
    is_on,
    is_on_and_delivering,
    was_seen_off,
)
from supervisor.actuators.power.settings import PowerSettings
from supervisor.actuators.power.settling import Settled, make_on, pauses
from supervisor.journal.errors import JournalError
from supervisor.journal.intents import IntentState

_log = structlog.get_logger(__name__)
Table = Mapping[int, PortState]

_OF_OUTCOME = {
    CycleOutcome.VERIFIED: Verdict.VERIFIED,
    CycleOutcome.SENT_UNVERIFIED: Verdict.SENT_UNVERIFIED,
    CycleOutcome.UNKNOWN: Verdict.UNKNOWN,
    CycleOutcome.REFUSED: Verdict.REFUSED,
}
_OF_PHASE = {
    Phase.NOT_SENT: Verdict.FAILED,
    Phase.REJECTED: Verdict.REFUSED,
    Phase.UNKNOWN: Verdict.UNKNOWN,
}
_NO_EFFECT = frozenset({Verdict.FAILED, Verdict.REFUSED})


@dataclass(frozen=True, slots=True)
class _Sent:
    """What the driver made of an order, and when it was given (boot time)."""

    verdict: Verdict
    detail: str
    at: float


class Procedure:
    """Carries out one operation. The caller holds the switch's lock."""

    def __init__(
        self,
        switch: GuardedDriver,
        bystanders: Bystanders,
        settings: PowerSettings,
        rng: random.Random,
    ) -> None:
        self._switch = switch
        self._bystanders = bystanders
        self._settings = settings
        self._rng = rng

    async def run(self, op: Operation) -> PowerOutcome:
        """Journal, look, act, prove."""
        try:
            await op.begin()
        except JournalError as error:
            return op.outcome(Verdict.REFUSED, f"can't be journalled: {error}")
        try:
            before = await self._switch.status()
        except PowerError as error:
            return await self._give_up(op, Verdict.FAILED, f"nothing was sent: {error}")
        if reason := _objection(op, before) or await self._stale_map(op):
            return await self._give_up(op, Verdict.REFUSED, reason)
        try:
            await op.sending([port for port, state in before.items() if is_on(state)])
        except JournalError as error:
            return op.outcome(Verdict.REFUSED, f"can't be journalled: {error}")
        sent = await self._send(op, before)
        if sent.verdict not in _NO_EFFECT:
            known = sent.verdict is not Verdict.UNKNOWN
            await op.advance(IntentState.SENT if known else IntentState.UNKNOWN, sent.detail)
        if op.kind == "off":
            return await self._prove_off(op, before, sent)
        return await self._prove_on(op, before, sent)

    async def _stale_map(self, op: Operation) -> str:
        """Return what the switch's address table says against the inventory, if it says anything.

        A dead node's address ages out, so its absence says nothing. An address elsewhere does.
        """
        if op.kind == "on":
            return ""
        try:
            seen_at = (await self._switch.macs()).get(op.outlet.mac.lower(), op.port)
        except PowerError as error:
            _log.warning("addresses_not_read", error=str(error))
            return ""
        if seen_at == op.port:
            return ""
        return f"{op.request.node} is behind port {seen_at}, and not {op.port}: check the inventory"

    async def _give_up(self, op: Operation, verdict: Verdict, detail: str) -> PowerOutcome:
        await op.advance(IntentState.FAILED, detail)
        return op.outcome(verdict, detail)

    async def _send(self, op: Operation, before: Table) -> _Sent:
        at = clock.boottime()
        try:
            match op.kind:
                case "off":
                    await self._switch.off(op.port, op.op_id)
                case "on":
                    await self._switch.on(op.port, op.op_id)
                case "cycle":
                    result = await self._switch.cycle(op.port, op.off_s, op.op_id)
                    verdict = _OF_OUTCOME[result.outcome]
                    seen = was_seen_off(result.seen, before.get(op.port), op.port)
                    if verdict is Verdict.VERIFIED and not seen:
                        verdict = Verdict.SENT_UNVERIFIED  # a claim without a look behind it
                    return _Sent(verdict, result.detail, at)
        except PowerError as error:
            return _Sent(_OF_PHASE[error.phase], str(error), at)
        return _Sent(Verdict.SENT_UNVERIFIED, "the switch took the command", at)

    async def _prove_on(self, op: Operation, before: Table, sent: _Sent) -> PowerOutcome:
        harmless = sent.verdict in _NO_EFFECT
        had_power = is_on_and_delivering(before.get(op.port))
        settled = await make_on(
            self._switch,
            {op.port: op.op_id},
            self._settings,
            self._rng,
            not_before=0.0 if harmless else sent.at + op.off_s,
            powered=frozenset({op.port} if op.kind == "cycle" and had_power else ()),
            once=harmless,  # so it says; one look, in case it errs
        )
        others = await self._repair(op, before, settled.table)
        is_back = not had_power or is_on_and_delivering(settled.table.get(op.port))
        verdict, state = _end(op, sent.verdict, settled, is_back=is_back)
        detail = _story(op, sent, settled, others)
        if state is not None:
            await op.advance(state, detail)
        return op.outcome(verdict, detail, settled=not settled.missing, other_ports=others)

    async def _prove_off(self, op: Operation, before: Table, sent: _Sent) -> PowerOutcome:
        table = await self._look_until_off(op.port, once=sent.verdict in _NO_EFFECT)
        others = await self._repair(op, before, table)
        proven = is_off(table.get(op.port))
        detail = f"{sent.detail}; the port is {in_words(table.get(op.port))}{_beside(others)}"
        verdict = sent.verdict
        if sent.verdict in _NO_EFFECT:
            await op.advance(IntentState.FAILED, detail)
        elif proven:
            verdict = Verdict.VERIFIED
            await op.advance(IntentState.DONE, detail)
        return op.outcome(verdict, detail, settled=proven, other_ports=others)

    async def _look_until_off(self, port: int, *, once: bool) -> Table:
        deadline = clock.boottime() + (0 if once else self._settings.settle_s)
        table: Table = {}
        for pause in pauses(self._settings, self._rng):
            try:
                table = await self._switch.status()
            except PowerError:
                table = {}
            if (
                is_off(table.get(port))
                or self._switch.is_tripped
                or clock.boottime() + pause > deadline
            ):
                break
            await asyncio.sleep(pause)
        return table

    async def _repair(self, op: Operation, before: Table, after: Table) -> tuple[PortChange, ...]:
        return await self._bystanders.repair(before, after, port=op.port, cause=op.op_id)


def _objection(op: Operation, before: Table) -> str:
    """Return what a look at the port says against the order."""
    state = before.get(op.port)
    if state is None:
        return f"the switch lists no PoE port {op.port}"
    if op.kind == "cycle" and state.admin == "off":
        return f"port {op.port} is switched off, and not by us; it takes an `on` by hand first"
    return ""


def _end(
    op: Operation, sent: Verdict, settled: Settled, *, is_back: bool
) -> tuple[Verdict, IntentState | None]:
    """Return what may be claimed, and the intent's end; None leaves it to reconciliation.

    `is_back`: the power that flowed before flows again.
    """
    if settled.missing:
        # That nothing was sent is the driver's word; a cycle's port has to be seen on as well.
        if sent in _NO_EFFECT and op.kind == "on":
            return sent, IntentState.FAILED
        return Verdict.UNKNOWN, IntentState.UNKNOWN if sent is not Verdict.UNKNOWN else None
    if op.kind == "on":
        return Verdict.VERIFIED, IntentState.DONE
    if sent is Verdict.VERIFIED:
        if not is_back:
            return Verdict.SENT_UNVERIFIED, None
        return Verdict.VERIFIED, IntentState.DONE
    if sent in _NO_EFFECT:
        return sent, IntentState.FAILED
    return sent, None  # it may still take effect: reconciliation looks again


def _story(op: Operation, sent: _Sent, settled: Settled, others: tuple[PortChange, ...]) -> str:
    if settled.missing:
        end = f"port {op.port} was not seen on again"
        end += f" ({settled.problem})" if settled.problem else ""
    else:
        end = f"port {op.port} is {in_words(settled.table.get(op.port))}"
        end += ", after it was ordered on again" if settled.ordered else ""
    return f"{sent.detail}; {end}{_beside(others)}"


def _beside(others: tuple[PortChange, ...]) -> str:
    off = [change for change in others if change.restored is not None]
    if not off:
        return ""
    back = all(change.restored for change in off)
    ports = ", ".join(str(change.port) for change in off)
    return f"; other ports went off: {ports} ({'on again' if back else 'NOT all on again'})"
