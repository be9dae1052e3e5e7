"""Trial writes: only a refusal is a verdict."""

import asyncio
import errno
import os

import pytest

from agents.detectors.read_only_mounts import judge
from agents.disk import Disk, DiskError, RootStalledError
from agents.mount_table import parse_mountinfo
from agents.write_trials import WriteTrials
from common.observations import Truth

ROOT = parse_mountinfo("27 1 0:21 / / rw,relatime - nfs 192.168.2.1:/nfs/green4 rw,vers=3\n")


def test_a_refused_write_outweighs_the_table() -> None:
    """Both sides say rw, and yet the server refuses; what is read-only by design stays so."""
    seen = judge("/", ROOT, refused=frozenset({"/"}))
    assert seen.status is Truth.TRUE
    assert seen.detail.endswith("mounted rw, but writes are refused (EROFS)")
    assert judge("/", ROOT, frozenset({"/"}), frozenset({"/"})).status is Truth.FALSE
    assert judge("/", ROOT).status is Truth.FALSE


class _Answering(Disk):
    """A disk that answers trial writes as it is told: a kernel can't be made to at will."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers_left = list(answers)

    async def try_to_write(self, folder: object) -> None:  # noqa: ARG002 - a port
        if answer := self.answers_left.pop(0):
            raise answer


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        (OSError(errno.EROFS, os.strerror(errno.EROFS)), True),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), False),
        (OSError(errno.EACCES, os.strerror(errno.EACCES)), False),
        (None, False),
        (DiskError("no answer within 2 s"), False),
        (RootStalledError("the root is stalled"), False),
    ],
)
async def test_verdicts(answer: Exception | None, *, refused: bool) -> None:
    """Full, forbidden and unanswered are not read-only."""
    trials = WriteTrials(_Answering(answer), ("/",))
    told = asyncio.Event()
    task = asyncio.get_running_loop().create_task(trials.keep_trying(told.set))
    await asyncio.sleep(0)
    assert (trials.refused == {"/"}, told.is_set()) == (refused, refused)
    task.cancel()
