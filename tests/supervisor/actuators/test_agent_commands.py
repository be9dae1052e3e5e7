"""Commands on their way to agents and back."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from common.wire import CommandResult, Heartbeat
from supervisor.actuators.agent_commands import MAX_PER_NODE, AgentCommands
from supervisor.core.effects import Action, Treatment
from supervisor.core.events import Result


def an_action(name: str = "a1", node: str = "green1", deadline_s: float = 5.0) -> Action:
    """Restart a unit."""
    return Action(name, node, Treatment.RESTART_UNIT, deadline_s, {"unit": "k3s-agent.service"})


def a_beat(*results: CommandResult, node: str = "green1", boot_id: str = "boot") -> Heartbeat:
    """A heartbeat with results."""
    return Heartbeat(
        node=node,
        boot_id=boot_id,
        session="n",
        sequence=1,
        uptime_s=1,
        wall_ns=1,
        results=results,
    )


async def started(work: Awaitable[Any]) -> asyncio.Task[Any]:
    """Start `work`, up to its first wait."""
    task = asyncio.get_running_loop().create_task(work)
    await asyncio.sleep(0)
    return task


@pytest.mark.parametrize(
    ("status", "result"),
    [
        ("succeeded", Result.SUCCEEDED),
        ("failed", Result.FAILED),
        ("refused", Result.REFUSED),
        ("expired", Result.NOT_SENT),
    ],
)
async def test_a_command_is_offered_until_its_result_comes(status: Any, result: Result) -> None:
    """The same command in each reply; its result ends it and is acknowledged."""
    commands = AgentCommands()
    task = await started(commands.perform(an_action()))
    for _ in range(2):
        (offered,), acknowledged = commands.exchange(a_beat())
        assert (offered.id, offered.treatment) == ("a1", "restart_unit")
        assert offered.arguments == {"unit": "k3s-agent.service"}
        assert 0 < offered.deadline_s <= 5
        assert acknowledged == ()
    done = CommandResult(id="a1", status=status, detail="so it went")
    assert commands.exchange(a_beat(done)) == ((), ("a1",))
    assert await task == (result, "so it went")


async def test_results_nobody_waits_for_are_acknowledged() -> None:
    """An agent repeats a result until then, also over a restart of the supervisor."""
    old = CommandResult(id="old", status="failed")
    assert AgentCommands().exchange(a_beat(old)) == ((), ("old",))


async def test_a_node_cannot_answer_for_another() -> None:
    """A result counts only from the node that was ordered."""
    commands = AgentCommands()
    task = await started(commands.perform(an_action()))
    forged = CommandResult(id="a1", status="succeeded")
    assert commands.exchange(a_beat(forged, node="green2")) == ((), ("a1",))
    assert not task.done()
    commands.exchange(a_beat(CommandResult(id="a1", status="failed")))
    assert (await task)[0] is Result.FAILED


async def test_without_a_beat_nothing_was_sent() -> None:
    """Past the deadline a command that was never offered is known not to have run."""
    result, detail = await AgentCommands().perform(an_action(deadline_s=0.05))
    assert result is Result.NOT_SENT
    assert "no heartbeat" in detail


async def test_offered_and_unanswered_is_unknown() -> None:
    """Past the deadline nobody can say whether an offered command ran; it is offered no more."""
    commands = AgentCommands()
    task = await started(commands.perform(an_action(deadline_s=0.05)))
    commands.exchange(a_beat())
    assert (await task)[0] is Result.UNKNOWN
    assert commands.exchange(a_beat()) == ((), ())


async def test_a_command_is_never_offered_to_a_second_boot() -> None:
    """It might run twice; what the first boot did is unknown."""
    commands = AgentCommands()
    task = await started(commands.perform(an_action()))
    commands.exchange(a_beat(boot_id="first"))
    assert commands.exchange(a_beat(boot_id="second")) == ((), ())
    assert (await task)[0] is Result.UNKNOWN


async def test_the_queue_is_bounded() -> None:
    """One too many is not sent; other nodes have their own queue."""
    commands = AgentCommands()
    tasks = [await started(commands.perform(an_action(f"a{n}"))) for n in range(MAX_PER_NODE)]
    assert (await commands.perform(an_action("one-more")))[0] is Result.NOT_SENT
    tasks.append(await started(commands.perform(an_action("b", node="green2"))))
    assert len(commands.exchange(a_beat(node="green2"))[0]) == 1
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert commands.exchange(a_beat()) == ((), ())


async def test_what_the_wire_cannot_carry_is_refused() -> None:
    """Nothing is sent."""
    wrong = Action("a b", "green1", Treatment.RESTART_UNIT, 5.0)
    assert (await AgentCommands().perform(wrong))[0] is Result.REFUSED
