"""The timeline: append-only, sealed, bounded."""

import sqlite3
from pathlib import Path

import pytest

from supervisor.journal.journal import FILE_NAME, Journal
from supervisor.journal.timeline import Event, Retention


def fill(journal: Journal, count: int) -> None:
    """Append `count` entries."""
    for number in range(count):
        journal.timeline.append(
            Event("seen", f"entry {number}", node="green1", incident=f"i{number % 2}",
                  data={"number": number})
        )  # fmt: skip


def test_entries_come_back_as_written(tmp_path: Path) -> None:
    """The tail is the last entries in order, with everything that was said."""
    with Journal(tmp_path) as journal:
        fill(journal, 5)
        tail = journal.timeline.tail(2)
    assert [(e.seq, e.text, e.node, e.incident, e.data) for e in tail] == [
        (4, "entry 3", "green1", "i1", {"number": 3}),
        (5, "entry 4", "green1", "i0", {"number": 4}),
    ]


def test_a_reader_can_go_on_where_it_was(tmp_path: Path) -> None:
    """`since_seq` leaves out what was read, and sequence numbers go on after a restart."""
    with Journal(tmp_path) as journal:
        fill(journal, 3)
    with Journal(tmp_path) as journal:
        assert journal.timeline.append_all([Event("a", "x"), Event("b", "y")]) == 5
        assert [e.seq for e in journal.timeline.tail(10, since_seq=3)] == [4, 5]
        assert [e.seq for e in journal.timeline.of_incident("i0")] == [1, 3]
        assert journal.timeline.verify() == ""


def test_appending_nothing_changes_nothing(tmp_path: Path) -> None:
    """An empty batch returns the last number."""
    with Journal(tmp_path) as journal:
        fill(journal, 2)
        assert journal.timeline.append_all([]) == 2
        assert journal.timeline.verify() == ""


TAMPERING = [
    ("UPDATE timeline SET text = 'all was well' WHERE seq = 3", "entry 3 is not what was written"),
    ("UPDATE timeline SET data = '{}' WHERE seq = 3", "entry 3 is not what was written"),
    ("UPDATE timeline SET at_boottime = at_boottime + 1 WHERE seq = 1", "entry 1 is not"),
    ("DELETE FROM timeline WHERE seq IN (2, 3)", "entries 2 to 3 are missing"),
    ("DELETE FROM timeline WHERE seq = 1", "entries 1 to 1 are missing"),
    ("DELETE FROM timeline WHERE seq = 5", "the chain ends at entry 4, and not at 5"),
]


@pytest.mark.parametrize(("edit", "finding"), TAMPERING)
def test_edits_are_found(tmp_path: Path, edit: str, finding: str) -> None:
    """A changed, removed or cut-off entry is found, and named."""
    with Journal(tmp_path) as journal:
        fill(journal, 5)
        assert journal.timeline.verify() == ""
    with sqlite3.connect(tmp_path / FILE_NAME) as raw:
        raw.execute(edit)
    raw.close()
    with Journal(tmp_path) as journal:
        assert finding in journal.timeline.verify()


def test_old_entries_go_and_the_chain_still_holds(tmp_path: Path) -> None:
    """Beyond the retention the oldest go, and what is kept can still be verified."""
    with Journal(tmp_path, retention=Retention(rows=10)) as journal:
        fill(journal, 37)
        assert [e.seq for e in journal.timeline.tail(100)] == list(range(28, 38))
        assert journal.timeline.verify() == ""
        journal.timeline.append_all([Event("a", "x")] * 25)  # a batch larger than what is kept
        assert [e.seq for e in journal.timeline.tail(100)] == list(range(53, 63))
        assert journal.timeline.verify() == ""


def test_no_entry_can_be_huge(tmp_path: Path) -> None:
    """Text and data beyond their bounds are cut, and the entry stays readable and sealed."""
    with Journal(tmp_path, retention=Retention(text_chars=20, data_chars=100)) as journal:
        journal.timeline.append(Event("seen", "t" * 500, data={"raw": "d" * 5000}))
        (entry,) = journal.timeline.tail()
        assert entry.text == "t" * 20
        assert set(entry.data) == {"truncated"}
        assert journal.timeline.verify() == ""
