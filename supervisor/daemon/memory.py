"""What outlives a supervisor: the core's records in the journal, and back again.

The core's times are CLOCK_BOOTTIME of the boot they were made in. Records of an earlier boot are
shifted so that what happened last happened at this boot's start: a sure lower bound of every age,
so that budgets and cool-downs are never cut short.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from common import clock
from supervisor.core.effects import Effect, Forget, Kept, Note, Save
from supervisor.core.medic import Restored
from supervisor.core.status import IncidentState
from supervisor.journal.journal import Journal
from supervisor.journal.timeline import Entry, Event

CLOSED_KEPT = 200  # incidents to remember for people after they closed
_TIMES = frozenset(
    {
        "at",
        "opened_at",
        "state_since",
        "action_at",
        "action_overdue_at",
        "well_since",
        "own_well_since",
        "retry_at",
        "idle_since",
        "until",
    }
)


class Memory:
    """The core's records, kept in the journal. Blocking: call it off the event loop."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._boot_id = clock.boot_id()

    def keep(self, effects: Sequence[Effect]) -> list[Mapping[str, Any]]:
        """Write down what `effects` say, durably and all or nothing; return the timeline entries.

        Raises `JournalError` when it can't.
        """
        with self._journal.database.transaction():
            return self._keep(effects)

    def _keep(self, effects: Sequence[Effect]) -> list[Mapping[str, Any]]:
        for effect in effects:
            match effect:
                case Save(kept, key, record):
                    stamped = {"boot": self._boot_id, "saved_at": clock.boottime()}
                    self._journal.state.save(kept, key, {**stamped, "record": dict(record)})
                case Forget(kept, key):
                    self._journal.state.delete(kept, key)
                case _:
                    pass
        notes = [effect for effect in effects if isinstance(effect, Note)]
        if not notes:
            return []
        head = self._journal.timeline.append_all(
            Event(n.kind, n.text, n.node or "", n.incident or "", dict(n.data)) for n in notes
        )
        written = self._journal.timeline.after(head - len(notes), len(notes))
        return [as_shown(entry) for entry in written]

    def restore(self, now: float) -> Restored:
        """Return what the last supervisor left, with times on this boot's clock."""
        incidents = self._load(Kept.INCIDENT, now)
        numbers = [int(record["id"].removeprefix("inc-")) for record in incidents]
        self._forget_closed(incidents)
        return Restored(
            [r for r in incidents if r["state"] != IncidentState.RECOVERED],
            self._load(Kept.ACTION, now),
            self._load(Kept.OVERRIDE, now),
            max(numbers, default=0) + 1,
        )

    def _load(self, kept: Kept, now: float) -> list[dict[str, Any]]:
        stored = self._journal.state.load_all(kept).values()
        return [_shifted(one, self._boot_id, now) for one in stored]

    def _forget_closed(self, incidents: list[dict[str, Any]]) -> None:
        closed = [r["id"] for r in incidents if r["state"] == IncidentState.RECOVERED]
        for incident_id in sorted(closed)[:-CLOSED_KEPT]:
            self._journal.state.delete(Kept.INCIDENT, incident_id)

    # --- for people -------------------------------------------------------------------------

    def incidents(self, limit: int) -> list[Mapping[str, Any]]:
        """Return the newest incidents, newest first."""
        stored = self._journal.state.load_all(Kept.INCIDENT)
        return [stored[key]["record"] for key in sorted(stored, reverse=True)[:limit]]

    def incident(self, incident_id: str) -> Mapping[str, Any] | None:
        """Return one incident with its timeline, or None."""
        stored = self._journal.state.load_all(Kept.INCIDENT).get(incident_id)
        if stored is None:
            return None
        story = [as_shown(entry) for entry in self._journal.timeline.of_incident(incident_id)]
        return {**stored["record"], "timeline": story}

    def entries(self, since: int, limit: int) -> list[Mapping[str, Any]]:
        """Return the first `limit` timeline entries after `since`, oldest first."""
        return [as_shown(entry) for entry in self._journal.timeline.after(since, limit)]

    def latest(self, limit: int) -> list[Mapping[str, Any]]:
        """Return the newest timeline entries, oldest first."""
        return [as_shown(entry) for entry in self._journal.timeline.tail(limit)]


class StoredHistory:
    """The journal for the API's readers: each look runs in a thread, off the event loop."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def incidents(self, limit: int) -> Sequence[Mapping[str, Any]]:
        """Return the newest incidents, newest first."""
        return await asyncio.to_thread(self._memory.incidents, limit)

    async def incident(self, incident_id: str) -> Mapping[str, Any] | None:
        """Return one incident with its timeline."""
        return await asyncio.to_thread(self._memory.incident, incident_id)

    async def entries(self, since: int, limit: int) -> Sequence[Mapping[str, Any]]:
        """Return timeline entries after `since`, oldest first."""
        return await asyncio.to_thread(self._memory.entries, since, limit)

    async def latest(self, limit: int) -> Sequence[Mapping[str, Any]]:
        """Return the newest timeline entries."""
        return await asyncio.to_thread(self._memory.latest, limit)


def as_shown(entry: Entry) -> Mapping[str, Any]:
    """Return a timeline entry as people and programs see it."""
    return {
        "seq": entry.seq,
        "at": entry.wall,
        "kind": entry.kind,
        "node": entry.node or None,
        "incident": entry.incident or None,
        "text": entry.text,
        "data": entry.data,
    }


def _shifted(stored: Mapping[str, Any], boot_id: str, now: float) -> dict[str, Any]:
    record = dict(stored["record"])
    if stored["boot"] == boot_id:
        return record
    shift = min(0.0, now) - stored["saved_at"]
    for key in _TIMES & record.keys():
        if record[key] is not None:
            record[key] += shift
    if "held" in record:
        record["held"] = {
            rail: (why, since + shift) for rail, (why, since) in record["held"].items()
        }
    return record
