"""What agents tell late: each entry is written once, and acknowledged."""

from common.wire import Heartbeat, Witnessed
from supervisor.core.effects import NoteKind
from supervisor.daemon.witnesses import Witnesses


def _beat(*sequences: int, boot_id: str = "b1") -> Heartbeat:
    entries = [
        Witnessed(sequence=n, kind="condition", text=f"change {n}", age_s=42.4) for n in sequences
    ]
    return Heartbeat(
        node="yellow1",
        boot_id=boot_id,
        session="s",
        sequence=1,
        uptime_s=1,
        wall_ns=1,
        journal=entries,
    )


def test_entries_become_notes() -> None:
    """Each with its age, its node, and the data it was made from."""
    (note,), acknowledged = Witnesses().take(_beat(7))
    assert (note.kind, note.node, acknowledged) == (NoteKind.WITNESSED, "yellow1", 7)
    assert note.text == "yellow1 told late, 42 s ago: change 7"
    assert note.data["boot_id"] == "b1"


def test_repeated_entries_are_written_once() -> None:
    """A reply that got lost makes the agent repeat itself, and is repeated."""
    witnesses = Witnesses()
    witnesses.take(_beat(7, 8))
    notes, acknowledged = witnesses.take(_beat(7, 8, 9))
    assert ([note.data["sequence"] for note in notes], acknowledged) == ([9], 9)
    assert witnesses.take(_beat(7, 8)) == ([], 8)


def test_next_boot_counts_anew() -> None:
    """Sequence numbers belong to a boot."""
    witnesses = Witnesses()
    witnesses.take(_beat(1000))
    notes, _ = witnesses.take(_beat(3, boot_id="b2"))
    assert len(notes) == 1


def test_nothing_told_is_nothing_acknowledged() -> None:
    """An ordinary beat has no journal."""
    assert Witnesses().take(_beat()) == ([], None)
