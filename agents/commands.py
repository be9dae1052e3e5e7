"""Carries out the supervisor's commands, one at a time, off the heartbeat path.

    unknown treatment, arguments not allowed ─▶ refused
    its deadline passed before its turn came ─▶ expired
    else, once recorded, it runs             ─▶ succeeded or failed

Deadlines count from the receipt of the command. A command seen before never runs again:
its result is repeated.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import structlog

from agents.command_journal import CommandJournal, JournalError
from agents.metrics import Metrics
from agents.treatment import Treatment, TreatmentError
from common.clock import boottime
from common.wire import Command, CommandResult

WAITING_LIMIT = 8
_log = structlog.get_logger(__name__)

Status = Literal["succeeded", "failed", "refused", "expired"]


@dataclass(frozen=True, slots=True)
class _Order:
    command: Command
    received_at: float


class Commands:
    """The desk between heartbeat and treatments."""

    def __init__(
        self,
        treatments: Mapping[str, Treatment],
        journal: CommandJournal,
        metrics: Metrics,
        stalled: Callable[[], str] = lambda: "",
        on_end: Callable[[float, str, str], None] = lambda _now, _kind, _text: None,
    ) -> None:
        """`stalled` says how the root is stalled, if it is; `on_end` is told of treatments."""
        self._treatments = treatments
        self._stalled = stalled
        self._on_end = on_end
        self._one_at_a_time = asyncio.Lock()
        self._journal = journal
        self._metrics = metrics
        self._queue: asyncio.Queue[_Order] = asyncio.Queue(WAITING_LIMIT)
        self._in_hand: set[str] = set()  # waiting or running

    def accept(self, commands: Iterable[Command], now: float) -> None:
        """Take commands from a verified reply. Never blocks, never raises."""
        for command in commands:
            if command.id in self._in_hand:
                continue
            if command.id in self._journal:
                self._journal.repeat(command.id)
            elif reason := self._refusal(command):
                self._end(command, "refused", reason)
            else:
                self._enqueue(_Order(command, now))

    def acknowledge(self, command_ids: Iterable[str]) -> None:
        """Forget results that the supervisor has."""
        self._journal.acknowledge(command_ids)

    def results(self) -> tuple[CommandResult, ...]:
        """Return the results for the next beat."""
        return self._journal.unacknowledged()

    async def run(self) -> None:
        """Carry out until cancelled."""
        while True:
            order = await self._queue.get()
            try:
                await self._handle(order)
            finally:
                self._in_hand.discard(order.command.id)

    def _refusal(self, command: Command) -> str:
        treatment = self._treatments.get(command.treatment)
        if treatment is None:
            return f"this agent knows no treatment {command.treatment}"
        return treatment.refusal(command.arguments) or self._hindrance(treatment)

    def _hindrance(self, treatment: Treatment) -> str:
        """Say why it can't be carried out just now."""
        stalled = self._stalled() if treatment.needs_root else ""
        return f"the root file system is stalled: {stalled}" if stalled else ""

    def _enqueue(self, order: _Order) -> None:
        try:
            self._queue.put_nowait(order)
        except asyncio.QueueFull:
            # Neither run nor recorded: a supervisor that still wants it says so again.
            _log.warning("command_left_aside", command=order.command.id, waiting=WAITING_LIMIT)
        else:
            self._in_hand.add(order.command.id)

    async def _handle(self, order: _Order) -> None:
        command = order.command
        left_s = command.deadline_s - (boottime() - order.received_at)
        if left_s <= 0:
            self._end(command, "expired", "its deadline passed before its turn came")
            return
        try:
            self._journal.begin(command.id)
        except JournalError as error:
            self._end(command, "refused", f"it can't be recorded: {error}")
            return
        begun = boottime()
        _log.info("treatment_begun", command=command.id, treatment=command.treatment)
        status, detail = await self.carry_out(command.treatment, command.arguments, left_s)
        self._end(command, status, detail, boottime() - begun)

    async def carry_out(
        self, name: str, arguments: Mapping[str, str], deadline_s: float
    ) -> tuple[Status, str]:
        """Give a treatment now, after any that is being given; also for the agent's own acts."""
        until = boottime() + deadline_s
        async with self._one_at_a_time:
            left_s = until - boottime()
            status, detail = await self._treat(self._treatments[name], arguments, left_s)
        what = " ".join([name, *arguments.values()])
        self._on_end(boottime(), "treatment", f"{what}: {status}, {detail}")
        return status, detail

    async def _treat(
        self, treatment: Treatment, arguments: Mapping[str, str], left_s: float
    ) -> tuple[Status, str]:
        if reason := treatment.refusal(arguments) or self._hindrance(treatment):
            return "refused", reason
        if left_s <= 0:
            return "expired", "its deadline passed before its turn came"
        try:
            async with asyncio.timeout(left_s):
                return "succeeded", await treatment.carry_out(arguments, left_s)
        except TreatmentError as error:
            return "failed", str(error)
        except TimeoutError:
            return "failed", f"not done within {left_s:.1f} s"
        except Exception as error:  # noqa: BLE001 - a bug in a treatment must not end the agent
            _log.exception("treatment_crashed", treatment=treatment.name)
            return "failed", repr(error)

    def _end(self, command: Command, status: Status, detail: str, took_s: float = 0.0) -> None:
        result = CommandResult(id=command.id, status=status, detail=detail[:400], took_s=took_s)
        self._journal.finish(result)
        self._metrics.commands.labels(status).inc()
        _log.info(
            "command_ended",
            command=command.id,
            treatment=command.treatment,
            status=status,
            detail=detail,
            took_s=round(took_s, 3),
        )
