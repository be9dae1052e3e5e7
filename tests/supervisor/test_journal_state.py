"""Snapshots, the term, and ages that survive restarts."""

from pathlib import Path

import pytest

from supervisor.journal.ages import Stamp, age_of
from supervisor.journal.journal import Journal


def test_snapshots_come_back(tmp_path: Path) -> None:
    """What was saved last is loaded after a restart, by kind; what was deleted is not."""
    with Journal(tmp_path) as journal:
        journal.state.save("incident", "i1", {"state": "open"})
        journal.state.save("incident", "i1", {"state": "treating", "tries": [1, 2]})
        journal.state.save("incident", "i2", {})
        journal.state.save("override", "i1", "another kind")
        journal.state.delete("incident", "i2")
        journal.state.delete("incident", "never there")
    with Journal(tmp_path) as journal:
        assert journal.state.load_all("incident") == {"i1": {"state": "treating", "tries": [1, 2]}}
        assert journal.state.load_all("override") == {"i1": "another kind"}
        assert journal.state.load_all("nothing") == {}


def test_a_kind_can_be_replaced_as_a_whole(tmp_path: Path) -> None:
    """`replace_all` leaves exactly what it was given, and other kinds alone."""
    with Journal(tmp_path) as journal:
        journal.state.save("incident", "old", 1)
        journal.state.save("override", "o", 2)
        journal.state.replace_all("incident", {"a": 1, "b": [2]})
        assert journal.state.load_all("incident") == {"a": 1, "b": [2]}
        assert journal.state.load_all("override") == {"o": 2}


def test_each_start_has_a_higher_term(tmp_path: Path) -> None:
    """Terms count up across restarts, from 1."""
    terms = []
    for _ in range(3):
        with Journal(tmp_path) as journal:
            terms.append(journal.state.next_term())
    assert terms == [1, 2, 3]


AGES = [
    # happened (boot, s), now (boot, s) -> surely passed
    (("a", 100.0), ("a", 160.0), 60.0),
    (("a", 100.0), ("b", 30.0), 30.0),  # the uptime of this boot, however long ago it was
    (("a", 100.0), ("b", 5000.0), 5000.0),
    (("a", 100.0), ("a", 99.0), 0.0),  # never negative
]


@pytest.mark.parametrize(("then", "now", "age"), AGES)
def test_ages_never_claim_too_much(
    then: tuple[str, float], now: tuple[str, float], age: float
) -> None:
    """Exact within a boot; across boots the sure lower bound."""
    assert age_of(*then, *now) == age


def test_a_stamp_is_of_this_boot() -> None:
    """Two stamps in a row carry one boot id and do not go backwards."""
    first, second = Stamp.now(), Stamp.now()
    assert first.boot_id == second.boot_id
    assert 0 <= age_of(first.boot_id, first.at_boottime, second.boot_id, second.at_boottime) < 60
