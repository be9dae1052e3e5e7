"""From words to nodes, and their order."""

from pathlib import Path

import pytest

from common.fleet.members import (
    Kind,
    UnknownTargetError,
    in_order,
    meant,
    members_of,
    named,
)
from common.inventory import load_cluster

CONFIG = Path(__file__).resolve().parents[3] / "config"
RACK = members_of(load_cluster(CONFIG / "cluster.toml"))


def ports(word: str) -> list[int]:
    return [member.port for member in meant(word, RACK)]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("yellow3", [37]),
        ("YELLOW_3", [37]),
        ("login", [15]),
        ("pi-login", [15]),
        ("backup", [9]),
        ("mlops_master", [11]),
        ("green", [34, 36, 38, 40, 42, 44, 46, 48]),
        ("yellow", [33, 35, 37, 39, 41, 43, 45, 47]),
        ("all", sorted([15, 11, *range(33, 49)])),
    ],
)
def test_the_words_of_the_old_script(word: str, expected: list[int]) -> None:
    """Every word that the old script took means the ports that it meant; `all` never the backup."""
    assert sorted(ports(word)) == expected


@pytest.mark.parametrize(
    ("word", "near"),
    [("yelow3", "yellow3"), ("gren", "green"), ("al", "all"), ("lgoin", "login")],
)
def test_a_wrong_word_tells_the_nearest(word: str, near: str) -> None:
    """Who mistypes is told what it may have been."""
    with pytest.raises(UnknownTargetError, match=rf"did you mean.*\b{near}\b"):
        meant(word, RACK)


def test_a_group_is_no_node() -> None:
    """Where one node has to be meant, a group's word means nobody."""
    assert named("green", RACK) is None


@pytest.mark.parametrize("kind", ["cycle", "off"])
def test_cut_last_what_others_depend_on(kind: Kind) -> None:
    """Nobody is cut before those who depend on it: login is the last of all."""
    order = in_order(kind, [*meant("login", RACK), *meant("all", RACK)])
    assert len(order) == 18
    names = [member.name for member in order]
    assert names[-2:] == ["mlops_master", "pi_login"]
    for place, member in enumerate(order):
        assert not set(member.dependents) & set(names[place:])


def test_on_first_what_others_depend_on() -> None:
    """Power comes first to those from whom the others boot."""
    names = [member.name for member in in_order("on", meant("all", RACK))]
    assert names[:2] == ["pi_login", "mlops_master"]
