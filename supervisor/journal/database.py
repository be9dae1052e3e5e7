"""The file under the journal: SQLite in WAL mode, each commit fsynced, one serialised connection.

Reference: https://sqlite.org/pragma.html#pragma_synchronous: in WAL mode FULL syncs the log
at every commit, so that what a write returned for outlives a power cut.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from supervisor.journal.errors import JournalError
from supervisor.journal.migrations import APPLICATION_ID, MIGRATIONS
from supervisor.journal.writer_lock import WriterLock, give_to_owner

# A person's sqlite3 shell may hold the file for a moment; nobody else may.
BUSY_S = 5.0
PRIVATE_FILE, PRIVATE_DIR = 0o600, 0o700


class Database:
    """An open, migrated journal file. Safe to use from several threads: they take turns."""

    def __init__(self, path: Path) -> None:
        """Open `path`, creating it (0600) and its directory (0700) as needed.

        Raises `JournalError` when the file is in use by another supervisor, is damaged, is
        not ours, was written by a newer version, or can't be opened.
        """
        self.path = path
        self._turn = threading.RLock()
        try:
            path.parent.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
            self._writer = WriterLock(path)
        except OSError as error:
            raise JournalError(path, f"can't be opened: {error.strerror}") from None
        try:
            self._connection = _connect(path)
            _migrate(path, self._connection)
            _sync_directory(path.parent)
        except sqlite3.Error as error:
            self._writer.release()
            raise JournalError(path, _explain(error)) from None
        except OSError as error:
            self._writer.release()
            raise JournalError(path, f"can't be opened: {error.strerror}") from None
        except JournalError:
            self._writer.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; when this block has ended without an error, it is on disk.

        One inside another belongs to the outer one.
        """
        with self._turn:
            if self._connection.in_transaction:
                yield self._connection
                return
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                except BaseException:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise JournalError(self.path, _explain(error)) from error

    def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        """Return what a query finds; the caller bounds it."""
        with self._turn:
            try:
                return self._connection.execute(sql, parameters).fetchall()
            except sqlite3.Error as error:
                raise JournalError(self.path, _explain(error)) from error

    def close(self) -> None:
        """Close the file and let another supervisor open it. Twice is harmless."""
        with self._turn:
            self._connection.close()
            self._writer.release()


def _connect(path: Path) -> sqlite3.Connection:
    # Created here and not by SQLite, which would let the umask decide who may read it.
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        os.fchmod(fd, PRIVATE_FILE)
        give_to_owner(fd, path.parent)
    finally:
        os.close(fd)
    connection = sqlite3.connect(
        path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    try:
        mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        for pragma in ("synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error:
        connection.close()
        raise
    if mode != "wal":
        connection.close()
        raise JournalError(path, "its file system can't do write-ahead logging; use a local disk")
    if verdict != "ok":
        connection.close()
        raise JournalError(path, f"damaged ({verdict}); {_ADVICE}")
    return connection


def _migrate(path: Path, connection: sqlite3.Connection) -> None:
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        owner = connection.execute("PRAGMA application_id").fetchone()[0]
        empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
        _refuse_strangers(path, version=version, owner=owner, empty=empty)
        for number, step in enumerate(MIGRATIONS[version:], version + 1):
            connection.execute("BEGIN IMMEDIATE")
            for statement in step:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={number}")
            connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise


def _refuse_strangers(path: Path, *, version: int, owner: int, empty: bool) -> None:
    if owner != APPLICATION_ID and not empty:
        raise JournalError(path, "is another program's SQLite file; name a different one")
    if version > len(MIGRATIONS):
        raise JournalError(
            path,
            f"written by a newer version of pimedic (schema {version}, this one knows "
            f"{len(MIGRATIONS)}); install that version again, or move the file away",
        )


_ADVICE = (
    "move it away together with its -wal and -shm files and start again: "
    "past incidents and used-up budgets are then forgotten"
)


def _explain(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return f"damaged ({error}); {_ADVICE}"
    if code == sqlite3.SQLITE_BUSY:
        return f"held by another program for more than {BUSY_S:g} s (a sqlite3 shell?)"
    return f"can't be used: {error}"


def _sync_directory(directory: Path) -> None:
    """Make the new files' names as durable as their contents."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
