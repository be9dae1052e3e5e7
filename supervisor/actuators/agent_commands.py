"""Commands for agents: held until a heartbeat's reply can carry them, and until a result is back.

A command is offered in every reply until its result arrives; the agent runs it at most once
per boot. One that may have been running when its node rebooted is never offered to the next
boot: nobody could say whether it ran twice.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import structlog
from pydantic import ValidationError

from common import clock
from common.wire import Command, CommandResult, Heartbeat
from supervisor.core.effects import Action
from supervisor.core.events import Result

MAX_PER_NODE = 16
_log = structlog.get_logger(__name__)
_MEANING = {
    "succeeded": Result.SUCCEEDED,
    "failed": Result.FAILED,
    "refused": Result.REFUSED,
    "expired": Result.NOT_SENT,  # it came too late, and the agent left it alone
}

Outcome = tuple[Result, str]


@dataclass(slots=True, eq=False)
class _Held:
    command: Command
    until: float
    ended: asyncio.Future[Outcome] = field(repr=False)
    offered_to: str | None = None  # the boot that may be running it

    def end(self, result: Result, detail: str) -> None:
        if not self.ended.done():
            self.ended.set_result((result, detail))


class AgentCommands:
    """The orders on their way. `now` is a monotonic clock in seconds."""

    def __init__(self, now: Callable[[], float] = clock.boottime) -> None:
        self._now = now
        self._held: dict[str, dict[str, _Held]] = {}

    async def perform(self, action: Action) -> Outcome:
        """Have the node's agent carry `action` out; ends by the action's deadline."""
        node = self._held.setdefault(action.node, {})
        if len(node) >= MAX_PER_NODE:
            return Result.NOT_SENT, f"{len(node)} commands already wait for {action.node}"
        try:
            command = Command(
                id=action.id,
                treatment=action.treatment.value,
                arguments=dict(action.arguments),
                deadline_s=action.deadline_s,
            )
        except ValidationError as error:
            return Result.REFUSED, f"not a command: {error.errors()[0]['msg']}"
        ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        held = node[action.id] = _Held(command, self._now() + action.deadline_s, ended)
        try:
            async with asyncio.timeout(action.deadline_s):
                return await ended
        except TimeoutError:
            return _overdue(held, action.deadline_s)
        finally:
            node.pop(action.id, None)

    def exchange(self, beat: Heartbeat) -> tuple[tuple[Command, ...], tuple[str, ...]]:
        """Take in a beat's results; return the commands to offer, and the ids to acknowledge.

        Every result is acknowledged, also one that nobody waits for any more: an agent repeats
        it until then.
        """
        for result in beat.results:
            self._take(beat.node, result)
        acknowledged = tuple(result.id for result in beat.results)
        return tuple(self._offers(beat)), acknowledged

    def _take(self, node: str, result: CommandResult) -> None:
        """Only the node that was ordered can answer for an order."""
        held = self._held.get(node, {}).get(result.id)
        if held is None:
            _log.info("result_of_no_command", node=node, id=result.id, status=result.status)
            return
        held.end(_MEANING[result.status], result.detail)

    def _offers(self, beat: Heartbeat) -> Iterator[Command]:
        for held in self._held.get(beat.node, {}).values():
            left = held.until - self._now()
            if held.ended.done() or left <= 0:
                continue
            if held.offered_to not in {None, beat.boot_id}:
                held.end(Result.UNKNOWN, "the node rebooted before it told the result")
                continue
            held.offered_to = beat.boot_id
            yield held.command.model_copy(update={"deadline_s": left})


def _overdue(held: _Held, deadline_s: float) -> Outcome:
    if held.offered_to is None:
        return Result.NOT_SENT, f"no heartbeat came within {deadline_s:g} s to take it"
    return Result.UNKNOWN, f"sent, and no result within {deadline_s:g} s"
