"""Which commands this boot has seen, so that none runs twice.

A small file in tmpfs: it outlives the agent and dies with the boot. An entry is written
before its command runs; one that was begun and has no result when the agent starts was cut
off by the agent's own end. When the file can't be trusted or written, commands are refused.
"""

import os
from collections.abc import Iterable
from pathlib import Path

import structlog
from pydantic import ValidationError

from common.wire import CommandResult, WireModel

FILE_NAME = "commands.json"
CAPACITY = 256
_INTERRUPTED = "interrupted by a restart of the agent"
_log = structlog.get_logger(__name__)


class JournalError(Exception):
    """A command can't be recorded, so it must not run. Its text is for people."""


class _Entry(WireModel):
    id: str
    result: CommandResult | None = None
    acknowledged: bool = False


class _File(WireModel):
    boot_id: str
    entries: tuple[_Entry, ...]


class CommandJournal:
    """The commands of this boot, oldest first. Only acknowledged ones are ever forgotten."""

    def __init__(self, folder: Path, boot_id: str) -> None:
        self._path = folder / FILE_NAME
        self._boot_id = boot_id
        self._entries: dict[str, _Entry] = {}
        self._distrust = ""
        self._load()

    def __contains__(self, command_id: object) -> bool:
        return command_id in self._entries

    def begin(self, command_id: str) -> None:
        """Record that a command is about to run. Raises `JournalError`: then it must not."""
        if self._distrust:
            raise JournalError(self._distrust)
        self._make_room()
        self._entries[command_id] = _Entry(id=command_id)
        try:
            self._save()
        except OSError as error:
            del self._entries[command_id]
            raise JournalError(f"{self._path}: {error.strerror}") from None

    def finish(self, result: CommandResult) -> None:
        """Record what came of a command, begun or not."""
        self._entries[result.id] = _Entry(id=result.id, result=result)
        self._try_to_save()

    def acknowledge(self, command_ids: Iterable[str]) -> None:
        """Stop repeating these results: the supervisor has them."""
        found = [known for id_ in command_ids if (known := self._entries.get(id_)) and known.result]
        for entry in found:
            self._entries[entry.id] = entry.model_copy(update={"acknowledged": True})
        if found:
            self._try_to_save()

    def repeat(self, command_id: str) -> None:
        """Say the result of a command once more: the supervisor asked again."""
        entry = self._entries[command_id]
        self._entries[command_id] = entry.model_copy(update={"acknowledged": False})

    def unacknowledged(self) -> tuple[CommandResult, ...]:
        """Return the results to be repeated, oldest first."""
        entries = self._entries.values()
        return tuple(e.result for e in entries if e.result and not e.acknowledged)

    def _make_room(self) -> None:
        spare = [entry.id for entry in self._entries.values() if entry.acknowledged]
        for command_id in spare[: max(0, len(self._entries) + 1 - CAPACITY)]:
            del self._entries[command_id]
        if len(self._entries) >= CAPACITY:
            raise JournalError(f"{CAPACITY} results wait for their acknowledgement")

    def _load(self) -> None:
        try:
            stored = _File.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return
        except OSError as error:
            self._distrust = f"{self._path}: can't be read: {error.strerror}"
        except ValidationError:
            self._distrust = f"{self._path}: is damaged; commands run again after a reboot"
        else:
            if stored.boot_id == self._boot_id:  # else of an earlier boot: no tmpfs
                self._entries = {entry.id: _settled(entry) for entry in stored.entries}
            return
        _log.error("command_journal_unusable", reason=self._distrust)

    def _try_to_save(self) -> None:
        if self._distrust:
            return  # what is there is evidence
        try:
            self._save()
        except OSError as error:
            _log.error("command_journal_unwritable", path=str(self._path), error=error.strerror)

    def _save(self) -> None:
        content = _File(boot_id=self._boot_id, entries=tuple(self._entries.values()))
        new = self._path.with_suffix(".new")
        new.write_bytes(content.model_dump_json().encode())
        os.replace(new, self._path)  # noqa: PTH105 - atomic, and the idiom everyone knows


def _settled(entry: _Entry) -> _Entry:
    if entry.result:
        return entry
    result = CommandResult(id=entry.id, status="failed", detail=_INTERRUPTED)
    return _Entry(id=entry.id, result=result)
