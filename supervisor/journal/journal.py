"""The journal as the daemon holds it: one file, three concerns."""

from collections.abc import Callable
from pathlib import Path
from typing import Self

from supervisor.journal.ages import Stamp
from supervisor.journal.database import Database
from supervisor.journal.intents import Intents
from supervisor.journal.state import StateStore
from supervisor.journal.timeline import Retention, Timeline

FILE_NAME = "journal.sqlite3"


class Journal:
    """`intents`, `timeline` and `state` over one database in the state directory."""

    def __init__(
        self,
        state_dir: Path,
        *,
        now: Callable[[], Stamp] = Stamp.now,
        retention: Retention = Retention(),  # noqa: B008 - frozen
    ) -> None:
        """Open the journal, creating it if need be; raises `JournalError` (see `Database`)."""
        self.database = Database(state_dir / FILE_NAME)
        self.intents = Intents(self.database, now)
        self.timeline = Timeline(self.database, now, retention)
        self.state = StateStore(self.database)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, and let another supervisor open it."""
        self.database.close()
