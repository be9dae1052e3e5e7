"""Snapshots of open business (incidents, action history, overrides) as JSON, and the term."""

import json
from collections.abc import Mapping
from typing import Any

from supervisor.journal.database import Database

_SAVE = (
    "INSERT INTO snapshots VALUES (?, ?, ?)"
    " ON CONFLICT (kind, id) DO UPDATE SET payload = excluded.payload"
)


class StateStore:
    """A small map of (kind, id) to JSON. What a write returned for is on disk."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, kind: str, item: str, payload: Any) -> None:
        """Keep `payload` (JSON) under (`kind`, `item`), in place of what was there."""
        text = json.dumps(payload, sort_keys=True)
        with self._database.transaction() as connection:
            connection.execute(_SAVE, (kind, item, text))

    def replace_all(self, kind: str, payloads: Mapping[str, Any]) -> None:
        """Make `payloads` all that is kept of `kind`, in one step."""
        rows = [(kind, item, json.dumps(value, sort_keys=True)) for item, value in payloads.items()]
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM snapshots WHERE kind = ?", (kind,))
            connection.executemany(_SAVE, rows)

    def delete(self, kind: str, item: str) -> None:
        """Forget one; forgetting what isn't there is harmless."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM snapshots WHERE kind = ? AND id = ?", (kind, item))

    def load_all(self, kind: str) -> dict[str, Any]:
        """Return everything kept of `kind`, by id."""
        rows = self._database.rows(
            "SELECT id, payload FROM snapshots WHERE kind = ? ORDER BY id", (kind,)
        )
        return {row["id"]: json.loads(row["payload"]) for row in rows}

    def next_term(self, above: int = 0) -> int:
        """Return a number that no earlier call had, and greater than `above`. The first is 1."""
        with self._database.transaction() as connection:
            row = connection.execute(
                "INSERT INTO counters VALUES ('term', ? + 1)"
                " ON CONFLICT (name) DO UPDATE SET value = max(value, ?) + 1 RETURNING value",
                (above, above),
            ).fetchone()
        return int(row["value"])
