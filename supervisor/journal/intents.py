"""What was about to be done to a port, written down before it is done.

    planned -> sending -> sent -> done
       |          |         |
       +----------+---------+--> failed | unknown | reconciled

`sending` is on disk before the first byte leaves, so a `planned` intent provably never
reached the switch. Whatever is unfinished at a start was cut short: reconciliation ends it.
"""

import sqlite3
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from supervisor.journal.ages import Stamp
from supervisor.journal.database import Database
from supervisor.journal.errors import JournalError

Kind = Literal["cycle", "off", "on"]


class IntentState(StrEnum):
    """How far an intent has come."""

    PLANNED = "planned"  # written down; nothing sent
    SENDING = "sending"  # may or may not have reached the switch
    SENT = "sent"  # the switch took it; the end is not yet proven
    DONE = "done"  # proven
    FAILED = "failed"  # provably had no effect
    UNKNOWN = "unknown"  # nobody can say; reconciliation must look
    RECONCILED = "reconciled"  # cut short or unknown, then brought to a proven end


_ANY_END = frozenset(
    {IntentState.DONE, IntentState.FAILED, IntentState.UNKNOWN, IntentState.RECONCILED}
)
TRANSITIONS: Mapping[IntentState, frozenset[IntentState]] = {
    IntentState.PLANNED: _ANY_END - {IntentState.DONE} | {IntentState.SENDING},
    IntentState.SENDING: _ANY_END | {IntentState.SENT},
    IntentState.SENT: _ANY_END,
    IntentState.UNKNOWN: _ANY_END - {IntentState.UNKNOWN},
    IntentState.DONE: frozenset(),
    IntentState.FAILED: frozenset(),
    IntentState.RECONCILED: frozenset(),
}
UNFINISHED = tuple(state for state, following in TRANSITIONS.items() if following)


@dataclass(frozen=True, slots=True)
class Intent:
    """One intended act. The stamp (boot id, boot time, wall) says when it entered its `state`."""

    op_id: str  # unique for this attempt
    action_id: str  # the action it belongs to; empty for one by hand
    node: str
    port: int
    mac: str  # of the node expected behind the port
    kind: Kind
    off_s: float  # how long a cycle keeps the port off; 0 otherwise
    requested_by: str
    state: IntentState
    detail: str
    boot_id: str
    at_boottime: float
    wall: str
    on_before: frozenset[int] = frozenset()  # ports that were on before anything was sent


@dataclass(frozen=True, slots=True)
class IntentStep:
    """One state that an intent went through."""

    state: IntentState
    detail: str
    boot_id: str
    at_boottime: float
    wall: str


_FIELDS = "op_id, action_id, node, port, mac, kind, off_s, requested_by, state, detail"
_WRITTEN = f"{_FIELDS}, boot_id, at_boottime, wall"
_COLUMNS = f"{_WRITTEN}, on_before"


class Intents:
    """The journal of intended acts on ports. What a method returned for is on disk."""

    def __init__(
        self,
        database: Database,
        now: Callable[[], Stamp] = Stamp.now,
        *,
        keep_cycles: int = 5000,
    ) -> None:
        """`keep_cycles`: finished cycles to remember; a person's on and off are kept for ever."""
        self._database = database
        self._now = now
        self._keep_cycles = keep_cycles

    def begin(
        self,
        *,
        op_id: str,
        action_id: str,
        node: str,
        port: int,
        mac: str,
        kind: Kind,
        off_s: float = 0.0,
        requested_by: str,
        detail: str = "",
    ) -> Intent:
        """Write a planned intent down. Raises `JournalError` if `op_id` was used before."""
        state, at = IntentState.PLANNED, self._now()
        intent = Intent(
            op_id, action_id, node, port, mac, kind, off_s, requested_by, state, detail,
            at.boot_id, at.at_boottime, at.wall,
        )  # fmt: skip
        with self._database.transaction() as connection:
            marks = ", ".join("?" * 13)
            connection.execute(
                f"INSERT INTO intents ({_WRITTEN}) VALUES ({marks})",  # noqa: S608 - constants
                (
                    op_id, action_id, node, port, mac, kind, off_s, requested_by, state, detail,
                    at.boot_id, at.at_boottime, at.wall,
                ),
            )  # fmt: skip
            _add_step(connection, op_id, state, detail, at)
            self._forget_old_cycles(connection)
        return intent

    def advance(
        self,
        op_id: str,
        state: IntentState,
        detail: str = "",
        *,
        on_before: Collection[int] | None = None,
    ) -> None:
        """Move an intent on. Raises `JournalError` for a step that the table doesn't have.

        `on_before`: the ports that are on now, before anything is sent.
        """
        at = self._now()
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT state FROM intents WHERE op_id = ?", (op_id,)
            ).fetchone()
            if row is None:
                raise JournalError(self._database.path, f"has no intent {op_id}")
            if state not in TRANSITIONS[IntentState(row["state"])]:
                raise JournalError(
                    self._database.path, f"intent {op_id} can't go from {row['state']} to {state}"
                )
            connection.execute(
                "UPDATE intents SET state = ?, detail = ?, boot_id = ?, at_boottime = ?, wall = ?"
                " WHERE op_id = ?",
                (state, detail, at.boot_id, at.at_boottime, at.wall, op_id),
            )
            if on_before is not None:
                connection.execute(
                    "UPDATE intents SET on_before = ? WHERE op_id = ?",
                    (",".join(map(str, sorted(on_before))), op_id),
                )
            _add_step(connection, op_id, state, detail, at)

    def get(self, op_id: str) -> Intent | None:
        """Find one intent."""
        return next(iter(self._select("WHERE op_id = ?", op_id)), None)

    def recent(self, limit: int = 100) -> list[Intent]:
        """Return the latest intents, newest first."""
        return self._select("ORDER BY id DESC LIMIT ?", limit)

    def of_action(self, action_id: str) -> list[Intent]:
        """Return every intent of one action, oldest first."""
        return self._select("WHERE action_id = ? ORDER BY id", action_id)

    def unfinished(self) -> list[Intent]:
        """Return the intents whose end is not proven, oldest first."""
        marks = ", ".join("?" * len(UNFINISHED))
        return self._select(f"WHERE state IN ({marks}) ORDER BY id", *UNFINISHED)

    def ports_off_by_hand(self) -> frozenset[int]:
        """Ports that a person switched off and nobody ordered on since: theirs, not ours.

        An `on` that provably had no effect (failed) changes nothing; any other one says that
        the port is wanted on.
        """
        rows = self._database.rows(
            "SELECT port, kind, max(id) FROM intents"
            " WHERE (kind = 'off' AND state = 'done') OR (kind = 'on' AND state != 'failed')"
            " GROUP BY port"
        )
        return frozenset(row["port"] for row in rows if row["kind"] == "off")

    def last_sent(self, port: int) -> Intent | None:
        """Find the latest act on `port` that may have reached the switch, with its end's stamp.

        A failed one provably had no effect, and one that never came to `sending` never left.
        """
        return next(
            iter(
                self._select(
                    "WHERE port = ? AND state != 'failed' AND EXISTS (SELECT 1 FROM intent_steps"
                    " WHERE op_id = intents.op_id AND state = 'sending') ORDER BY id DESC LIMIT 1",
                    port,
                )
            ),
            None,
        )

    def is_overruled(self, intent: Intent) -> bool:
        """Whether an `on` for the same port was ordered after `intent`."""
        rows = self._database.rows(
            "SELECT 1 FROM intents WHERE port = ? AND kind = 'on' AND state != 'failed'"
            " AND id > (SELECT id FROM intents WHERE op_id = ?) LIMIT 1",
            (intent.port, intent.op_id),
        )
        return bool(rows)

    def steps(self, op_id: str) -> list[IntentStep]:
        """Return every state that an intent went through, in order: its story."""
        rows = self._database.rows(
            "SELECT state, detail, boot_id, at_boottime, wall FROM intent_steps"
            " WHERE op_id = ? ORDER BY id",
            (op_id,),
        )
        return [IntentStep(IntentState(row["state"]), *tuple(row)[1:]) for row in rows]

    def _select(self, clause: str, *parameters: object) -> list[Intent]:
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM intents {clause}",  # noqa: S608 - clauses are constants
            parameters,
        )
        return [_intent(row) for row in rows]

    def _forget_old_cycles(self, connection: sqlite3.Connection) -> None:
        connection.execute(
            "DELETE FROM intents WHERE kind = 'cycle' AND state IN ('done', 'failed', 'reconciled')"
            " AND id <= (SELECT max(id) FROM intents) - ?",
            (self._keep_cycles,),
        )


def _add_step(
    connection: sqlite3.Connection, op_id: str, state: IntentState, detail: str, at: Stamp
) -> None:
    connection.execute(
        "INSERT INTO intent_steps (op_id, state, detail, boot_id, at_boottime, wall)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (op_id, state, detail, at.boot_id, at.at_boottime, at.wall),
    )


def _intent(row: sqlite3.Row) -> Intent:
    values = dict(row)
    on_before = frozenset(int(port) for port in values["on_before"].split(",") if port)
    return Intent(**(values | {"state": IntentState(values["state"]), "on_before": on_before}))
