"""When may the next node start? One rule a case."""

from dataclasses import dataclass, field

import pytest

from common.fleet.members import Kind, Member
from common.fleet.progress import Limits, Progress, Stage, next_up

LOGIN = Member("pi_login", 15, "login", dependents=("green1", "green2", "green3"))
GREENS = [Member(f"green{number}", 32 + 2 * number, "worker") for number in (1, 2, 3)]
LIMITS = Limits(stagger_s=5.0, max_booting=2)
NOW = 1000.0


@dataclass
class Case:
    """Who comes next, given the stages of green1 to green3 (and when they got power), and login."""

    says: str
    greens: list[Stage]
    powered_ago: list[float | None] = field(default_factory=lambda: [None] * 3)
    login: Stage = Stage.WAITING
    kind: Kind = "cycle"
    starts: str | None = None
    why: str = ""


W, O, B, K, F = Stage.WAITING, Stage.ORDERED, Stage.BOOTING, Stage.BACK, Stage.FAILED  # noqa: E741 - a table's columns
CASES = [
    Case("the first starts at once", [W, W, W], starts="green1"),
    Case("one at a time at the switch", [O, W, W], why="the switch is at green1"),
    Case("too soon after a start", [B, W, W], [4.9, None, None], why="5 s between two starts"),
    Case("long enough after a start", [B, W, W], [5.0, None, None], starts="green2"),
    Case("two boot already", [B, B, W], [60, 30, None], why="2 nodes are booting"),
    Case("one of them is back", [K, B, W], [60, 30, None], starts="green3"),
    Case("a failed one holds nobody up", [F, B, W], [None, 30, None], starts="green3"),
    Case("login while somebody boots from it", [K, K, B], [90, 60, 30], why="green3 must be back"),
    Case("login when all are back", [K, K, K], [90, 60, 30], starts="pi_login"),
    Case("login though one is lost", [K, F, K], [90, None, 30], starts="pi_login"),
    Case("off wants no distance", [Stage.OFF, W, W], [1, None, None], kind="off", starts="green2"),
    Case("on while its server boots", [W, W, W], login=B, kind="on", why="pi_login must be back"),
    Case("on with its server back", [W, W, W], login=K, kind="on", starts="green1"),
    Case("nobody is left", [K, K, K], login=K),
]


@pytest.mark.parametrize("case", CASES, ids=[case.says for case in CASES])
def test_who_is_next(case: Case) -> None:
    """The next one starts, or it is said what it waits for."""
    steps = [
        Progress(member, stage, powered_at=None if ago is None else NOW - ago)
        for member, stage, ago in zip(GREENS, case.greens, case.powered_ago, strict=True)
    ]
    login = Progress(LOGIN, case.login)
    everybody = [login, *steps] if case.kind == "on" else [*steps, login]
    found, why = next_up(everybody, case.kind, LIMITS, NOW)
    assert (found.member.name if found else None) == case.starts
    assert case.why in why if case.why else not why
