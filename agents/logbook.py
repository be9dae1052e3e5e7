"""What the agent saw and did while its supervisor was silent, to be handed over later.

    a beat is answered     what was noted before it was sent is known to the supervisor: dropped
    a beat isn't answered  from there on everything is kept
    answered again         the kept entries ride on the beats, oldest first, until acknowledged

In memory and bounded: the oldest go first, and how many went is told in their place. Sequence
numbers are microseconds of CLOCK_BOOTTIME, so they only grow within a boot, also when the
agent was restarted. Instants are seconds of CLOCK_BOOTTIME.
"""

from collections import deque
from dataclasses import dataclass

from common.observations import Truth
from common.wire import WireObservation, Witnessed

CAPACITY = 512
HANDED_AT_ONCE = 32  # as many as a beat may carry


@dataclass(frozen=True, slots=True)
class _Entry:
    sequence: int
    at: float
    kind: str
    text: str


class Logbook:
    """Entries, oldest first. Only the event loop touches it."""

    def __init__(self) -> None:
        self._entries: deque[_Entry] = deque()
        self._last = 0
        self._dropped = 0
        self._owed_up_to = -1
        """The newest entry that was made in silence: all up to it have to be told."""
        self._silent_since: float | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def note(self, now: float, kind: str, text: str) -> None:
        """Keep an entry; `kind` is condition, treatment or supervisor."""
        self._last = max(self._last + 1, int(now * 1e6))
        if len(self._entries) >= CAPACITY:
            self._entries.popleft()
            self._dropped += 1
        self._entries.append(_Entry(self._last, now, kind, text[:400]))

    def changed(self, now: float, seen: WireObservation, before: Truth | None) -> None:
        """Note a condition that isn't what it was."""
        if before is None and seen.status is not Truth.TRUE:
            return  # first seen, and well: no news
        what = f"{seen.kind} {seen.subject}".strip()
        text = f"{what}: {before or 'new'} -> {seen.status}, {seen.detail}"
        self.note(now, "condition", text)

    def unanswered(self, now: float) -> None:
        """A beat got no usable answer."""
        if self._silent_since is None:
            self._silent_since = now
            self.note(now, "supervisor", "the supervisor fell silent")

    def answered(self, sent_at: float, now: float) -> None:
        """A beat that was sent at `sent_at` was answered."""
        if self._silent_since is not None:
            silent_s = now - self._silent_since
            self.note(now, "supervisor", f"the supervisor answers again, after {silent_s:.1f} s")
            self._silent_since, self._owed_up_to = None, self._last
        while self._entries and self._entries[0].at <= sent_at and not self._owes(self._entries[0]):
            self._entries.popleft()
        if not self._entries:
            self._dropped = 0

    def to_hand_over(self, now: float) -> tuple[Witnessed, ...]:
        """Return the oldest entries that the supervisor has to be told, for the next beat."""
        owed = [entry for entry in self._entries if self._owes(entry)][:HANDED_AT_ONCE]
        if not owed:
            return ()
        told = [
            Witnessed(
                sequence=entry.sequence,
                kind=entry.kind,
                text=entry.text,
                age_s=max(0.0, now - entry.at),
            )
            for entry in owed
        ]
        if self._dropped:
            lost = f"({self._dropped} older entries were dropped) {told[0].text}"[:400]
            told[0] = told[0].model_copy(update={"text": lost})
        return tuple(told)

    def acknowledge(self, sequence: int | None) -> None:
        """Drop everything up to `sequence`: the supervisor has it."""
        if sequence is None:
            return
        while self._entries and self._entries[0].sequence <= sequence:
            self._entries.popleft()
            self._dropped = 0

    def silent_s(self, now: float) -> float:
        """Return for how long the supervisor has been silent; 0 while it answers."""
        return 0.0 if self._silent_since is None else max(0.0, now - self._silent_since)

    def _owes(self, entry: _Entry) -> bool:
        return entry.sequence <= self._owed_up_to
