"""Which exit code an operation ends with."""

import pytest

from common.fleet.members import Member
from common.fleet.progress import Progress, Stage
from console.power.exits import code_of


@pytest.mark.parametrize(
    ("stages", "interrupted", "code"),
    [
        ([Stage.BACK, Stage.BACK], False, 0),
        ([Stage.OFF], False, 0),
        ([Stage.BACK, Stage.LATE], False, 124),
        ([Stage.LATE, Stage.REFUSED], False, 5),
        ([Stage.REFUSED, Stage.FAILED, Stage.LATE], False, 1),
        ([Stage.FAILED, Stage.NOT_STARTED], True, 130),
    ],
)
def test_the_worst_counts(stages: list[Stage], interrupted: bool, code: int) -> None:  # noqa: FBT001 - a column
    """The worst stage of any node decides, and an interruption over all."""
    steps = [Progress(Member(f"n{i}", i, "worker"), stage) for i, stage in enumerate(stages)]
    assert code_of(steps, interrupted=interrupted) == code
