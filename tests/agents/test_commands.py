"""The command desk: refused, expired, or run once with a deadline."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agents.command_journal import CommandJournal
from agents.commands import WAITING_LIMIT, Commands
from agents.metrics import Metrics
from agents.treatment import TreatmentError
from common.clock import boottime
from common.wire import Command


class Treat:
    """A real treatment of this test: notes that it ran, then does as it was made."""

    name = "treat"

    def __init__(self, act: Callable[[], Any] | None = None, *, needs_root: bool = True) -> None:
        self.needs_root = needs_root
        self.ran: list[dict[str, str]] = []
        self._act = act

    def refusal(self, arguments: Mapping[str, str]) -> str:
        """Refuse what it was made to refuse."""
        return "not with that" if "bad" in arguments else ""

    async def carry_out(self, arguments: Mapping[str, str], deadline_s: float) -> str:  # noqa: ARG002
        """Note, then act."""
        self.ran.append(dict(arguments))
        return await self._act() if self._act else "proof"


def _order(command_id: str = "c1", **more: Any) -> Command:
    return Command(**{"id": command_id, "treatment": "treat", "deadline_s": 5, **more})


def _desk(folder: Path, treat: Treat) -> Commands:
    return Commands({treat.name: treat}, CommandJournal(folder, "boot"), Metrics("0"))


@asynccontextmanager
async def _at_work(commands: Commands) -> AsyncIterator[None]:
    task = asyncio.get_running_loop().create_task(commands.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=5)


async def _results(commands: Commands, count: int = 1) -> list[tuple[str, str, str]]:
    async with asyncio.timeout(5):
        while len(found := commands.results()) < count:  # noqa: ASYNC110 - the desk has no event
            await asyncio.sleep(0.01)
    return [(result.id, result.status, result.detail) for result in found]


async def test_carries_out_and_reports(tmp_path: Path) -> None:
    """A command runs with its arguments, and its result carries the treatment's proof."""
    treat = Treat()
    commands = _desk(tmp_path, treat)
    async with _at_work(commands):
        commands.accept([_order(arguments={"unit": "ssh"})], boottime())
        assert await _results(commands) == [("c1", "succeeded", "proof")]
    assert treat.ran == [{"unit": "ssh"}]


async def test_repeated_command_runs_once(tmp_path: Path) -> None:
    """Waiting, running, done or acknowledged: the same id never runs again."""
    gate, treat = asyncio.Event(), Treat()

    async def wait() -> str:
        await gate.wait()
        return "once"

    treat._act = wait
    commands = _desk(tmp_path, treat)
    async with _at_work(commands):
        commands.accept([_order(), _order()], boottime())
        await asyncio.sleep(0)
        commands.accept([_order()], boottime())
        gate.set()
        await _results(commands)
        commands.accept([_order()], boottime())
        commands.acknowledge(["c1"])
        assert commands.results() == ()
        commands.accept([_order()], boottime())
        assert await _results(commands) == [("c1", "succeeded", "once")]
    assert len(treat.ran) == 1


async def test_unknown_treatment_is_refused(tmp_path: Path) -> None:
    """Only what is on the list runs."""
    commands = _desk(tmp_path, Treat())
    commands.accept([_order(treatment="rm-rf")], boottime())
    assert await _results(commands) == [("c1", "refused", "this agent knows no treatment rm-rf")]


async def test_arguments_are_judged_by_the_treatment(tmp_path: Path) -> None:
    """A treatment refuses arguments before anything happens."""
    treat = Treat()
    commands = _desk(tmp_path, treat)
    commands.accept([_order(arguments={"bad": "x"})], boottime())
    assert await _results(commands) == [("c1", "refused", "not with that")]
    assert treat.ran == []


async def test_late_command_expires(tmp_path: Path) -> None:
    """A command whose turn comes after its deadline doesn't run."""
    treat = Treat()
    commands = _desk(tmp_path, treat)
    async with _at_work(commands):
        commands.accept([_order(deadline_s=3)], boottime() - 4)
        ((_, status, _),) = await _results(commands)
    assert status == "expired"
    assert treat.ran == []


async def test_deadline_ends_a_treatment(tmp_path: Path) -> None:
    """A treatment that takes too long is cancelled, and the next one gets its turn."""
    commands = _desk(tmp_path, Treat(asyncio.Event().wait))
    async with _at_work(commands):
        commands.accept([_order("c1", deadline_s=0.05), _order("c2", deadline_s=0.2)], boottime())
        found = await _results(commands, 2)
    assert [(id_, status) for id_, status, _ in found] == [("c1", "failed"), ("c2", "failed")]
    assert "not done within" in found[0][2]


async def test_failures_are_told(tmp_path: Path) -> None:
    """A treatment's own error is the detail; a bug in it ends the command, not the desk."""

    async def fail() -> str:
        raise TreatmentError("unit is masked")

    async def crash() -> str:
        raise ZeroDivisionError

    for number, (act, detail) in enumerate(
        [(fail, "unit is masked"), (crash, "ZeroDivisionError()")]
    ):
        commands = _desk(tmp_path, Treat(act))
        command_id = f"f{number}"
        async with _at_work(commands):
            commands.accept([_order(command_id)], boottime())
            assert (command_id, "failed", detail) in await _results(commands, number + 1)


async def test_unrecordable_command_is_refused(tmp_path: Path) -> None:
    """Without its record a command could run twice: so it doesn't run."""
    treat = Treat()
    commands = _desk(tmp_path / "missing", treat)
    async with _at_work(commands):
        commands.accept([_order()], boottime())
        ((_, status, detail),) = await _results(commands)
    assert status == "refused"
    assert "recorded" in detail
    assert treat.ran == []


async def test_queue_is_bounded(tmp_path: Path) -> None:
    """More commands than fit are left aside unrecorded, so that asking again works."""
    treat = Treat()
    commands = _desk(tmp_path, treat)
    orders = [_order(f"c{n}") for n in range(WAITING_LIMIT + 3)]
    commands.accept(orders, boottime())
    async with _at_work(commands):
        await _results(commands, WAITING_LIMIT)
        commands.accept(orders, boottime())
        await _results(commands, len(orders))
    assert len(treat.ran) == len(orders)


async def test_stalled_root_refuses_what_needs_it(tmp_path: Path) -> None:
    """While the root is stalled a treatment that needs it is refused, with the reason."""
    treat = Treat()
    journal = CommandJournal(tmp_path, "boot")
    commands = Commands({"treat": treat}, journal, Metrics("0"), stalled=lambda: "for 12 s")
    commands.accept([_order()], boottime())
    (result,) = commands.results()
    assert (result.status, treat.ran) == ("refused", [])
    assert result.detail == "the root file system is stalled: for 12 s"


async def test_stalled_root_doesnt_hinder_what_needs_nothing(tmp_path: Path) -> None:
    """The last resort needs no disk, so a stall is no reason against it."""
    treat = Treat(needs_root=False)
    journal = CommandJournal(tmp_path, "boot")
    commands = Commands({"treat": treat}, journal, Metrics("0"), stalled=lambda: "for 12 s")
    assert await commands.carry_out("treat", {}, 5) == ("succeeded", "proof")


async def test_own_acts_wait_for_their_turn(tmp_path: Path) -> None:
    """Never two treatments at once; one whose turn comes too late isn't given."""
    gate = asyncio.Event()

    async def act() -> str:
        await gate.wait()
        return "proof"

    treat = Treat(act)
    told: list[str] = []
    commands = Commands(
        {"treat": treat},
        CommandJournal(tmp_path, "boot"),
        Metrics("0"),
        on_end=lambda _now, _kind, text: told.append(text),
    )
    loop = asyncio.get_running_loop()
    first = loop.create_task(commands.carry_out("treat", {"unit": "a"}, 5))
    second = loop.create_task(commands.carry_out("treat", {"unit": "b"}, 0.01))
    await asyncio.sleep(0.05)  # the second's deadline, not a settling
    gate.set()
    assert (await first)[0] == "succeeded"
    assert (await second)[0] == "expired"
    assert treat.ran == [{"unit": "a"}]
    assert told[0] == "treat a: succeeded, proof"
