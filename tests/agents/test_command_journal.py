"""At most once per command and boot, whatever happens to the agent."""

import json
from pathlib import Path

import pytest

from agents.command_journal import CAPACITY, FILE_NAME, CommandJournal, JournalError
from common.wire import CommandResult


def _done(command_id: str, status: str = "succeeded") -> CommandResult:
    return CommandResult(id=command_id, status=status)


def test_is_written_before_the_command_runs(tmp_path: Path) -> None:
    """`begin` leaves the id on file: an agent that dies the next instant will know it."""
    CommandJournal(tmp_path, "boot").begin("c1")
    assert "c1" in CommandJournal(tmp_path, "boot")


def test_begun_without_result_was_interrupted(tmp_path: Path) -> None:
    """After a restart, a command that was begun and has no result reports just that."""
    CommandJournal(tmp_path, "boot").begin("c1")
    (result,) = CommandJournal(tmp_path, "boot").unacknowledged()
    assert (result.id, result.status) == ("c1", "failed")
    assert result.detail == "interrupted by a restart of the agent"


def test_results_survive_a_restart(tmp_path: Path) -> None:
    """A result that nobody acknowledged is repeated by the next agent of this boot."""
    journal = CommandJournal(tmp_path, "boot")
    journal.begin("c1")
    journal.finish(_done("c1"))
    assert CommandJournal(tmp_path, "boot").unacknowledged() == (_done("c1"),)


def test_acknowledged_results_are_not_repeated_but_known(tmp_path: Path) -> None:
    """An acknowledged command is silent, and still never runs again."""
    journal = CommandJournal(tmp_path, "boot")
    journal.begin("c1")
    journal.finish(_done("c1"))
    journal.acknowledge(["c1", "never-heard-of"])
    reread = CommandJournal(tmp_path, "boot")
    assert reread.unacknowledged() == ()
    assert "c1" in reread


def test_acknowledging_a_running_command_is_ignored(tmp_path: Path) -> None:
    """There is nothing to acknowledge yet: its result will still be told."""
    journal = CommandJournal(tmp_path, "boot")
    journal.begin("c1")
    journal.acknowledge(["c1"])
    journal.finish(_done("c1"))
    assert journal.unacknowledged() == (_done("c1"),)


def test_another_boot_starts_afresh(tmp_path: Path) -> None:
    """Commands belong to a boot: the file of an earlier one counts for nothing."""
    CommandJournal(tmp_path, "boot-1").begin("c1")
    assert "c1" not in CommandJournal(tmp_path, "boot-2")


@pytest.mark.parametrize("content", [b"", b"{", b'{"entries": 1}', b"\xff\xfe"])
def test_damaged_file_refuses_commands(tmp_path: Path, content: bytes) -> None:
    """Who can't know what ran must not run anything; the evidence stays."""
    (tmp_path / FILE_NAME).write_bytes(content)
    journal = CommandJournal(tmp_path, "boot")
    with pytest.raises(JournalError, match="damaged"):
        journal.begin("c1")
    journal.finish(_done("c1", "refused"))
    assert journal.unacknowledged() == (_done("c1", "refused"),)
    assert (tmp_path / FILE_NAME).read_bytes() == content


def test_unwritable_folder_refuses_commands(tmp_path: Path) -> None:
    """A command that can't be recorded must not run."""
    journal = CommandJournal(tmp_path / "gone", "boot")
    with pytest.raises(JournalError, match="No such file"):
        journal.begin("c1")
    assert "c1" not in journal


def test_only_acknowledged_commands_are_forgotten(tmp_path: Path) -> None:
    """The file stays bounded by forgetting the oldest that the supervisor knows the end of."""
    journal = CommandJournal(tmp_path, "boot")
    for n in range(CAPACITY + 10):
        journal.begin(f"c{n}")
        journal.finish(_done(f"c{n}"))
        if n != 0:
            journal.acknowledge([f"c{n}"])
    entries = json.loads((tmp_path / FILE_NAME).read_text())["entries"]
    assert len(entries) == CAPACITY
    assert "c0" in journal
    assert "c1" not in journal


def test_full_of_unacknowledged_refuses_commands(tmp_path: Path) -> None:
    """When nothing may be forgotten, nothing more may run."""
    journal = CommandJournal(tmp_path, "boot")
    for n in range(CAPACITY):
        journal.begin(f"c{n}")
    with pytest.raises(JournalError, match="acknowledgement"):
        journal.begin("one-too-many")


def test_repeat_tells_a_result_again(tmp_path: Path) -> None:
    """A supervisor that lost the result can have it once more."""
    journal = CommandJournal(tmp_path, "boot")
    journal.begin("c1")
    journal.finish(_done("c1"))
    journal.acknowledge(["c1"])
    journal.repeat("c1")
    assert journal.unacknowledged() == (_done("c1"),)
