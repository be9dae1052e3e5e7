"""Exit codes of everything that moves a port, and which of them an operation ends with."""

from collections.abc import Sequence

from common.fleet.progress import Progress, Stage

DONE, FAILED, USAGE, NO_TOKEN, REFUSED, TIMED_OUT, INTERRUPTED = 0, 1, 2, 4, 5, 124, 130

TABLE = """
Exit codes:

| code | meaning |
| --- | --- |
| 0 | done, and every node is back |
| 1 | at least one node failed, or the supervisor or the switch didn't answer |
| 2 | wrong usage: unknown name, missing reason or confirmation |
| 4 | no token, or one that isn't accepted |
| 5 | held back by a rail or refused by the switch; nothing was done to that node |
| 124 | done, but not every node was back in time |
| 130 | interrupted: what had begun was finished, nothing new was started |
"""

_WORST_FIRST = (
    (Stage.FAILED, FAILED),
    (Stage.REFUSED, REFUSED),
    (Stage.LATE, TIMED_OUT),
)


def code_of(steps: Sequence[Progress], *, interrupted: bool) -> int:
    """Return the exit code of an operation that is over."""
    if interrupted:
        return INTERRUPTED
    stages = {step.stage for step in steps}
    return next((code for stage, code in _WORST_FIRST if stage in stages), DONE)
