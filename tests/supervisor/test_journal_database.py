"""The journal's file: private, single-writer, and plain about what is wrong with it."""

import contextlib
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.journal.database import Database
from supervisor.journal.errors import JournalError
from supervisor.journal.intents import IntentState
from supervisor.journal.journal import FILE_NAME, Journal
from supervisor.journal.migrations import APPLICATION_ID, MIGRATIONS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal will be."""
    return tmp_path / "state" / FILE_NAME


def test_only_the_supervisor_may_read_it(path: Path) -> None:
    """The state directory is 0700 and each file in it 0600, whatever the umask."""
    with Database(path) as database:
        with database.transaction():
            pass
        files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert set(files.values()) == {0o600}
    assert FILE_NAME in files


def test_a_file_that_became_readable_is_closed_again(path: Path) -> None:
    """Opening tightens the mode of a journal that somebody restored with the wrong one."""
    Database(path).close()
    path.chmod(0o644)
    with Database(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_commits_are_synced(path: Path) -> None:
    """The connection runs in WAL mode with synchronous=FULL: each commit is fsynced."""
    with Database(path) as database:
        assert database.rows("PRAGMA journal_mode")[0][0] == "wal"
        assert database.rows("PRAGMA synchronous")[0][0] == 2


def test_schema_version_is_recorded(path: Path) -> None:
    """A new file carries the newest schema's number, and reopening changes nothing."""
    for _ in range(2):
        with Database(path) as database:
            assert database.rows("PRAGMA user_version")[0][0] == len(MIGRATIONS)


def test_a_newer_versions_file_is_left_alone(path: Path) -> None:
    """A file of a newer schema gives an error that names file and versions."""
    Database(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    raw.close()
    newer = rf"{FILE_NAME}.*newer version.*schema {len(MIGRATIONS) + 1}"
    with pytest.raises(JournalError, match=newer) as caught:
        Database(path)
    assert str(path) in str(caught.value)


def test_an_older_versions_intents_are_kept(path: Path) -> None:
    """A file of the first schema is brought up to date, and an act cut short in it is found."""
    path.parent.mkdir()
    with sqlite3.connect(path) as raw:
        for statement in MIGRATIONS[0]:
            raw.execute(statement)
        raw.execute(f"PRAGMA application_id={APPLICATION_ID}")
        raw.execute("PRAGMA user_version=1")
        raw.execute(
            "INSERT INTO intents (op_id, action_id, node, port, mac, kind, off_s, requested_by,"
            " state, detail, boot_id, at_boottime, wall) VALUES"
            " ('op', '', 'green1', 6, '', 'cycle', 10, 'x', 'sending', '', 'boot', 1, '')"
        )
    raw.close()
    with Journal(path.parent) as journal:
        (intent,) = journal.intents.unfinished()
        assert (intent.op_id, intent.on_before) == ("op", frozenset())
        journal.intents.advance("op", IntentState.DONE)


def test_garbage_is_called_damaged(path: Path) -> None:
    """A file that is no database gives an error that says what to do."""
    path.parent.mkdir()
    path.write_bytes(b"not a database at all, " * 100)
    with pytest.raises(JournalError, match=r"damaged.*move it away"):
        Database(path)


def test_a_damaged_page_is_found_when_opening(tmp_path: Path) -> None:
    """Damage inside an otherwise good file is found at once and not weeks later."""
    with Journal(tmp_path) as journal:
        for number in range(300):
            journal.state.save("incident", f"i{number}", {"text": "x" * 200})
    file = tmp_path / FILE_NAME
    content = bytearray(file.read_bytes())
    assert len(content) > 12 * 4096
    for page in range(4, 12):
        content[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    file.write_bytes(content)
    with pytest.raises(JournalError, match="damaged"):
        Journal(tmp_path)


def test_a_strangers_database_is_refused(path: Path) -> None:
    """Another program's SQLite file is not taken over."""
    path.parent.mkdir()
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE theirs (x)")
    raw.close()
    with pytest.raises(JournalError, match="another program"):
        Database(path)


def test_a_second_supervisor_is_told_who_has_it(path: Path) -> None:
    """While one process has the journal open, another gets an error with its process id."""
    with Database(path):
        code = (
            "import sys; from pathlib import Path\n"
            "from supervisor.journal.database import Database\n"
            "from supervisor.journal.errors import JournalError\n"
            "try: Database(Path(sys.argv[1]))\n"
            "except JournalError as error: print(error); sys.exit(3)\n"
        )
        root = Path(__file__).parents[2]
        child = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            capture_output=True, text=True, cwd=root, timeout=30, check=False,
        )  # fmt: skip
    assert child.returncode == 3, child.stderr
    assert "another supervisor (process " in child.stdout


def test_after_closing_the_next_may_open(path: Path) -> None:
    """The single-writer lock ends with `close`, and a failed opening keeps none."""
    first = Database(path)
    with pytest.raises(JournalError, match="in use"):
        Database(path)
    first.close()
    first.close()
    Database(path).close()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A state directory that can't exist gives an error with the path and the system's word."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(JournalError, match=r"can't be opened: (Not a directory|File exists)"):
        Database(tmp_path / "file" / FILE_NAME)


def test_a_failed_block_leaves_nothing(path: Path) -> None:
    """A transaction whose block raises has no effect, and the next one works."""
    with Database(path) as database:
        with contextlib.suppress(ZeroDivisionError), database.transaction() as connection:
            connection.execute("INSERT INTO counters VALUES ('x', 1)")
            raise ZeroDivisionError
        assert database.rows("SELECT * FROM counters") == []
        with database.transaction() as connection:
            connection.execute("INSERT INTO counters VALUES ('x', 2)")
        assert database.rows("SELECT value FROM counters")[0][0] == 2


def test_bad_statements_become_journal_errors(path: Path) -> None:
    """What SQLite refuses surfaces as JournalError with the file's name."""
    with Database(path) as database:
        with pytest.raises(JournalError, match=FILE_NAME):
            database.rows("SELECT * FROM nothing_here")
        with pytest.raises(JournalError, match=FILE_NAME), database.transaction() as connection:
            connection.execute("INSERT INTO counters VALUES ('x', 'no number')")
