"""The timeline as it happens: many readers, none of which can hold up the medic.

Each reader has a bounded queue. One that doesn't keep up is dropped with a last word; it may
come back with the last number it saw.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Entry = Mapping[str, Any]
"""One line of the timeline, ready for JSON; `seq` is its number, growing by one or more."""


class FullError(Exception):
    """There are as many readers as there may be."""


@dataclass(slots=True, eq=False)
class Reader:
    """One client's place in the timeline. `ending` says why no more will come."""

    waiting: deque[Entry] = field(default_factory=deque)
    ending: str = ""
    wake: asyncio.Event = field(default_factory=asyncio.Event)


class Feed:
    """Hands each published entry to every reader, and remembers the newest ones."""

    def __init__(self, remembered: int = 1000, queue: int = 256, readers: int = 32) -> None:
        self._recent: deque[Entry] = deque(maxlen=remembered)
        self._queue = queue
        self._most = readers
        self._readers: set[Reader] = set()
        self._closed = False

    def publish(self, entry: Entry) -> None:
        """Show `entry` to everybody; never blocks."""
        self._recent.append(entry)
        for reader in list(self._readers):
            if len(reader.waiting) >= self._queue:
                self._drop(reader, "too_slow")
            else:
                reader.waiting.append(entry)
                reader.wake.set()

    def join(self) -> Reader:
        """Start reading from now on. Raises `FullError`."""
        if len(self._readers) >= self._most:
            raise FullError
        reader = Reader(ending="shutdown" if self._closed else "")
        self._readers.add(reader)
        return reader

    def leave(self, reader: Reader) -> None:
        """Stop reading."""
        self._readers.discard(reader)

    def recent(self, since: int) -> list[Entry]:
        """Return the remembered entries numbered above `since`, oldest first."""
        return [entry for entry in self._recent if entry["seq"] > since]

    @property
    def remembers_from(self) -> int | None:
        """The number of the oldest remembered entry, or None if there is none."""
        return int(self._recent[0]["seq"]) if self._recent else None

    def close(self) -> None:
        """End every stream: the supervisor is stopping."""
        self._closed = True
        for reader in list(self._readers):
            self._drop(reader, "shutdown")

    def _drop(self, reader: Reader, why: str) -> None:
        self._readers.discard(reader)
        reader.ending = why
        reader.wake.set()
