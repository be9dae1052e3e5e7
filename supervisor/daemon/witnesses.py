"""What agents saw and did while they couldn't tell us, on its way into the timeline.

An agent repeats its entries until they are acknowledged; each is written once. A restarted
supervisor may write the last few a second time: their sequence numbers tell.
"""

from common.wire import Heartbeat
from supervisor.core.effects import Note, NoteKind


class Witnesses:
    """Remembers, for each node, how far its journal was taken over."""

    def __init__(self) -> None:
        self._taken: dict[str, tuple[str, int]] = {}  # boot id and sequence

    def take(self, beat: Heartbeat) -> tuple[list[Note], int | None]:
        """Return the notes on what is new in `beat`, and the sequence to acknowledge."""
        if not beat.journal:
            return [], None
        boot_id, known = self._taken.get(beat.node, ("", -1))
        known = known if boot_id == beat.boot_id else -1
        fresh = [entry for entry in beat.journal if entry.sequence > known]
        newest = max(entry.sequence for entry in beat.journal)
        self._taken[beat.node] = beat.boot_id, max(known, newest)
        notes = [
            Note(
                NoteKind.WITNESSED,
                f"{beat.node} told late, {entry.age_s:.0f} s ago: {entry.text}",
                beat.node,
                None,
                {**entry.model_dump(mode="json"), "boot_id": beat.boot_id},
            )
            for entry in fresh
        ]
        return notes, newest
