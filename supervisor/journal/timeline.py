"""What happened, entry by entry, append-only, each entry sealed by a hash over the one before.

The chain shows accidents and careless edits. It carries no key: whoever can write the file
can seal it anew, unless its head was noted elsewhere (`head()`; the daemon logs it).
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from supervisor.journal.ages import Stamp
from supervisor.journal.database import Database


@dataclass(frozen=True, slots=True)
class Retention:
    """How much to keep: at most `rows * (text_chars + data_chars)` characters and a little."""

    rows: int = 50_000  # years of a quiet cluster, a week of a very sick one
    text_chars: int = 2_000
    data_chars: int = 16_000


@dataclass(frozen=True, slots=True)
class Event:
    """Something to remember. `data` is JSON; what exceeds the retention's bounds is cut."""

    kind: str
    text: str
    node: str = ""
    incident: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as it is kept."""

    seq: int
    wall: str
    boot_id: str
    at_boottime: float
    kind: str
    node: str
    incident: str
    text: str
    data: Mapping[str, Any]
    hash: str


_COLUMNS = "seq, wall, boot_id, at_boottime, kind, node, incident, text, data, hash"


class Timeline:
    """The supervisor's diary."""

    def __init__(
        self,
        database: Database,
        now: Callable[[], Stamp] = Stamp.now,
        retention: Retention = Retention(),
    ) -> None:
        """Keep what `retention` allows of what is appended."""
        self._database = database
        self._now = now
        self._retention = retention

    def append(self, event: Event) -> int:
        """Add one entry; return its sequence number. It is on disk then."""
        return self.append_all([event])

    def append_all(self, events: Iterable[Event]) -> int:
        """Add several with one write to disk; return the last one's sequence number."""
        with self._database.transaction() as connection:
            ends = connection.execute("SELECT head_seq, head_hash FROM timeline_ends").fetchone()
            seq, seal = ends["head_seq"], ends["head_hash"]
            for event in events:
                seq += 1
                seal = self._insert(connection, seq, seal, event)
            connection.execute("UPDATE timeline_ends SET head_seq = ?, head_hash = ?", (seq, seal))
            self._forget(connection, seq - self._retention.rows)
        return int(seq)

    def tail(self, limit: int = 100, since_seq: int = 0) -> list[Entry]:
        """Return the last `limit` entries after `since_seq`, oldest first."""
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM timeline WHERE seq > ? ORDER BY seq DESC LIMIT ?",  # noqa: S608 - constant
            (since_seq, limit),
        )
        return [_entry(row) for row in reversed(rows)]

    def after(self, seq: int, limit: int) -> list[Entry]:
        """Return the first `limit` entries after `seq`, oldest first."""
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM timeline WHERE seq > ? ORDER BY seq LIMIT ?",  # noqa: S608 - constant
            (seq, limit),
        )
        return [_entry(row) for row in rows]

    def of_incident(self, incident: str, limit: int = 1000) -> list[Entry]:
        """Return the last `limit` entries of one incident, oldest first."""
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM timeline WHERE incident = ? ORDER BY seq DESC LIMIT ?",  # noqa: S608 - constant
            (incident, limit),
        )
        return [_entry(row) for row in reversed(rows)]

    def head(self) -> tuple[int, str]:
        """Return the last entry's sequence number and seal."""
        row = self._database.rows("SELECT head_seq, head_hash FROM timeline_ends")[0]
        return row["head_seq"], row["head_hash"]

    def verify(self) -> str:
        """Walk the chain; return what is wrong with it, or an empty string."""
        ends = self._database.rows("SELECT * FROM timeline_ends")[0]
        seq, seal = ends["anchor_seq"], ends["anchor_hash"]
        for row in self._database.rows(f"SELECT {_COLUMNS} FROM timeline ORDER BY seq"):  # noqa: S608 - constant
            if row["seq"] != seq + 1:
                return f"entries {seq + 1} to {row['seq'] - 1} are missing"
            seq, seal = row["seq"], _seal(seal, tuple(row)[:-1])
            if seal != row["hash"]:
                return f"entry {seq} is not what was written"
        if (seq, seal) != (ends["head_seq"], ends["head_hash"]):
            return f"the chain ends at entry {seq}, and not at {ends['head_seq']}"
        return ""

    def _insert(self, connection: sqlite3.Connection, seq: int, before: str, event: Event) -> str:
        at = self._now()
        text = event.text[: self._retention.text_chars]
        values = (
            seq, at.wall, at.boot_id, at.at_boottime, event.kind, event.node, event.incident,
            text, self._dump(event.data),
        )  # fmt: skip
        seal = _seal(before, values)
        marks = ", ".join("?" * 10)
        connection.execute(f"INSERT INTO timeline VALUES ({marks})", (*values, seal))  # noqa: S608 - marks
        return seal

    def _dump(self, data: Mapping[str, Any]) -> str:
        text = json.dumps(data, sort_keys=True, default=str)
        if len(text) <= self._retention.data_chars:
            return text
        return json.dumps({"truncated": text[: self._retention.data_chars // 2]})

    def _forget(self, connection: sqlite3.Connection, up_to: int) -> None:
        """Drop entries to `up_to`; the last one's seal becomes the chain's anchor."""
        row = connection.execute(
            "SELECT seq, hash FROM timeline WHERE seq <= ? ORDER BY seq DESC LIMIT 1", (up_to,)
        ).fetchone()
        if row is None:
            return
        connection.execute("DELETE FROM timeline WHERE seq <= ?", (row["seq"],))
        connection.execute(
            "UPDATE timeline_ends SET anchor_seq = ?, anchor_hash = ?", (row["seq"], row["hash"])
        )


def _seal(before: str, values: tuple[Any, ...]) -> str:
    content = json.dumps([before, *values], ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(content.encode("ascii")).hexdigest()


def _entry(row: sqlite3.Row) -> Entry:
    values = dict(row)
    return Entry(**(values | {"data": json.loads(values["data"])}))
