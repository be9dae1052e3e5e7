"""Intents: written before the deed, moved along a table, and there after any death."""

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.journal.errors import JournalError
from supervisor.journal.intents import TRANSITIONS, UNFINISHED, Intents, IntentState
from supervisor.journal.journal import Journal

ROOT = Path(__file__).parents[2]


@pytest.fixture
def intents(tmp_path: Path) -> Iterator[Intents]:
    """An empty journal's intents."""
    journal = Journal(tmp_path)
    yield journal.intents
    journal.close()


def begin(intents: Intents, op_id: str, *, kind: str = "cycle", port: int = 6) -> None:
    """Begin one intent."""
    intents.begin(
        op_id=op_id, action_id=f"action-{op_id}", node="green1", port=port,
        mac="dc:a6:32:00:00:01", kind=kind, off_s=10.0, requested_by="runbook hung",
    )  # fmt: skip


PATHS = {
    IntentState.PLANNED: (),
    IntentState.SENDING: (IntentState.SENDING,),
    IntentState.SENT: (IntentState.SENDING, IntentState.SENT),
    IntentState.DONE: (IntentState.SENDING, IntentState.DONE),
    IntentState.FAILED: (IntentState.FAILED,),
    IntentState.UNKNOWN: (IntentState.UNKNOWN,),
    IntentState.RECONCILED: (IntentState.RECONCILED,),
}


@pytest.mark.parametrize(("start", "end"), list(itertools.product(IntentState, IntentState)))
def test_states_move_only_along_the_table(
    intents: Intents, start: IntentState, end: IntentState
) -> None:
    """Each pair of states either is in the table and works, or is refused and changes nothing."""
    begin(intents, "op")
    for state in PATHS[start]:
        intents.advance("op", state)
    if end in TRANSITIONS[start]:
        intents.advance("op", end, "because")
        assert (intents.get("op").state, intents.get("op").detail) == (end, "because")
    else:
        with pytest.raises(JournalError, match=f"from {start} to {end}"):
            intents.advance("op", end)
        assert intents.get("op").state == start


def test_what_is_not_proven_is_unfinished(intents: Intents) -> None:
    """Unfinished are planned, sending, sent and unknown, oldest first."""
    for state, path in PATHS.items():
        begin(intents, state)
        for step in path:
            intents.advance(state, step)
    assert [intent.op_id for intent in intents.unfinished()] == list(
        dict.fromkeys(state for state in PATHS if state in UNFINISHED)
    )
    assert set(UNFINISHED) == {"planned", "sending", "sent", "unknown"}


def test_what_was_on_is_remembered(intents: Intents) -> None:
    """The ports that were on before an act are kept, and a later step doesn't forget them."""
    begin(intents, "op")
    assert intents.get("op").on_before == frozenset()
    intents.advance("op", IntentState.SENDING, on_before=[7, 48, 6])
    intents.advance("op", IntentState.SENT)
    assert intents.get("op").on_before == {6, 7, 48}


def test_an_operation_id_serves_once(intents: Intents) -> None:
    """A second intent with the same operation id is an error, and the first stays."""
    begin(intents, "op", port=6)
    with pytest.raises(JournalError, match="op_id"):
        begin(intents, "op", port=7)
    assert intents.get("op").port == 6


def test_an_unknown_operation_cannot_advance(intents: Intents) -> None:
    """Advancing what was never begun is an error that names it."""
    with pytest.raises(JournalError, match="no intent nowhere"):
        intents.advance("nowhere", IntentState.SENDING)


def test_the_story_of_an_intent_is_kept(intents: Intents) -> None:
    """Every state it went through is there, in order, with its text."""
    begin(intents, "op")
    intents.advance("op", IntentState.SENDING, "to the switch")
    intents.advance("op", IntentState.DONE, "seen off, then on")
    story = [(step.state, step.detail) for step in intents.steps("op")]
    assert story == [
        ("planned", ""), ("sending", "to the switch"), ("done", "seen off, then on"),
    ]  # fmt: skip
    times = [step.at_boottime for step in intents.steps("op")]
    assert times == sorted(times)


def test_of_action_finds_every_attempt(intents: Intents) -> None:
    """The attempts of one action are found by its id."""
    begin(intents, "a")
    begin(intents, "b")
    assert [intent.op_id for intent in intents.of_action("action-a")] == ["a"]


HAND = [
    # what was journalled for port 6, in order -> is it a person's off?
    ([("off", "done")], True),
    ([("off", "sending")], False),
    ([("off", "failed")], False),
    ([("off", "done"), ("on", "done")], False),
    ([("off", "done"), ("on", "planned")], False),
    ([("off", "done"), ("on", "unknown")], False),
    ([("off", "done"), ("on", "failed")], True),
    ([("off", "done"), ("on", "done"), ("off", "done")], True),
    ([("off", "done"), ("cycle", "failed")], True),
    ([("cycle", "done")], False),
]


@pytest.mark.parametrize(("history", "theirs"), HAND)
def test_ports_off_by_hand(
    intents: Intents,
    history: list[tuple[str, str]],
    theirs: bool,  # noqa: FBT001 - a table's column
) -> None:
    """A port is a person's off when their off was done and nobody ordered it on since."""
    for number, (kind, state) in enumerate(history):
        begin(intents, str(number), kind=kind)
        for step in PATHS[IntentState(state)]:
            intents.advance(str(number), step)
    assert intents.ports_off_by_hand() == (frozenset({6}) if theirs else frozenset())


def test_only_old_finished_cycles_are_forgotten(tmp_path: Path) -> None:
    """Memory is bounded; unfinished intents and a person's off are kept for ever."""
    with Journal(tmp_path) as journal:
        intents = Intents(journal.database, keep_cycles=5)
        begin(intents, "hand", kind="off", port=9)
        intents.advance("hand", IntentState.SENDING)
        intents.advance("hand", IntentState.DONE)
        begin(intents, "cut-short")
        for number in range(20):
            begin(intents, f"c{number}")
            intents.advance(f"c{number}", IntentState.FAILED)
        kept = {intent.op_id for intent in intents.recent()}
        assert kept == {"hand", "cut-short", "c15", "c16", "c17", "c18", "c19"}
        assert intents.ports_off_by_hand() == {9}
        assert intents.steps("c0") == []


WRITER = """
import sys
from pathlib import Path
from supervisor.journal.intents import IntentState
from supervisor.journal.journal import Journal
journal = Journal(Path(sys.argv[1]))
print("open", flush=True)
number = 0
while True:
    op = f"op{number}"
    journal.intents.begin(op_id=op, action_id="", node="green1", port=6, mac="", kind="cycle",
                          requested_by="test")
    print("planned", op, flush=True)
    for state in (IntentState.SENDING, IntentState.SENT, IntentState.DONE):
        journal.intents.advance(op, state)
        print(state, op, flush=True)
    number += 1
"""


@pytest.mark.parametrize("seed", range(12))
def test_what_was_promised_survives_kill_9(tmp_path: Path, seed: int) -> None:
    """After SIGKILL at a random moment, every state a call returned for is there, none torn."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert writer.stdout.readline() == "open\n"
    time.sleep(random.Random(seed).uniform(0.0, 0.25))  # noqa: S311 - the input: when to die
    os.kill(writer.pid, signal.SIGKILL)
    promised = [line.split() for line in writer.stdout.read().splitlines(keepends=True)
                if line.endswith("\n")]  # fmt: skip
    writer.wait(10)
    writer.stdout.close()
    order = ["planned", "sending", "sent", "done"]
    with Journal(tmp_path) as journal:
        for state, op in promised:
            steps = [step.state for step in journal.intents.steps(op)]
            assert state in steps
            assert steps == order[: len(steps)]
        unfinished = journal.intents.unfinished()
        assert len(unfinished) <= 1
