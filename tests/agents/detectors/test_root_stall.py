"""`root_stalled`: what is said of it, and that a stall is seen, and its end."""

import errno
import os
from pathlib import Path

import pytest

from agents.detector import DetectorError
from agents.detectors.root_stall import RootStall, judge, judge_answer
from agents.disk import Disk, DiskError
from agents.waiting import Waiting, look_at_waiting
from common.observations import Truth
from lab.hanging import HangingFile
from tests.agents.watching import first_look, watched


@pytest.mark.parametrize(
    ("waiting", "said"),
    [
        (Waiting(), "/ hasn't answered for 43 s; my kernel is fine"),
        (
            Waiting(12, "rpc_wait_bit_killable", 12),
            (
                "/ hasn't answered for 43 s; 12 processes wait in rpc_wait_bit_killable;"
                " my kernel is fine"
            ),
        ),
        (
            Waiting(3, "folio_wait_bit_common", 2, 98.5),
            (
                "/ hasn't answered for 43 s; 3 processes wait, 2 of them in folio_wait_bit_common;"
                " all tasks waited for disks 98.5 % of the last 10 s; my kernel is fine"
            ),
        ),
        (Waiting(1), "/ hasn't answered for 43 s; 1 process waits for a disk; my kernel is fine"),
    ],
)
def test_a_stall_in_words(waiting: Waiting, said: str) -> None:
    """For how long, who else waits and where, and that the kernel answers."""
    seen = judge(43.2, waiting)
    assert (seen.kind, seen.status, seen.detail, seen.value) == (
        "root_stalled",
        Truth.TRUE,
        said,
        43.2,
    )


def test_answers() -> None:
    """Content is well; ESTALE is as bad as none; no file to read is no data."""
    (well,) = judge_answer(None)
    assert (well.status, well.detail) == (Truth.FALSE, "/ answers")
    (stale,) = judge_answer(OSError(errno.ESTALE, os.strerror(errno.ESTALE)))
    assert stale.status is Truth.TRUE
    assert stale.detail.startswith("/ answers ESTALE: its server no longer knows this root")
    assert judge_answer(FileNotFoundError(errno.ENOENT, "")) == []


@pytest.mark.parametrize(
    "trouble", [OSError(errno.EIO, os.strerror(errno.EIO)), DiskError("can't be started")]
)
def test_what_proves_nothing_is_unknown(trouble: OSError | DiskError) -> None:
    """A bad sector, or a helper that doesn't start: neither a stall nor its absence."""
    with pytest.raises(DetectorError):
        judge_answer(trouble)


def _process(procfs: Path, number: int, state: str, function: str) -> None:
    folder = procfs / str(number)
    folder.mkdir(parents=True)
    (folder / "stat").write_text(f"{number} (a) (name) {state} 1 2 3\n")
    (folder / "wchan").write_text(function)


def test_who_waits(tmp_path: Path) -> None:
    """State D only, the commonest function, hidden ones uncounted; names may hold anything."""
    for number, (state, function) in enumerate(
        [
            ("D", "rpc_wait_bit_killable"),
            ("S", "do_epoll_wait"),
            ("D", "rpc_wait_bit_killable"),
            ("D", "io_schedule"),
            ("D", "0"),
        ]
    ):
        _process(tmp_path, 100 + number, state, function)
    (tmp_path / "pressure").mkdir()
    (tmp_path / "pressure/io").write_text(
        "some avg10=99.00 avg60=1 avg300=1 total=1\nfull avg10=97.50 avg60=1 avg300=1 total=1\n"
    )
    assert look_at_waiting(tmp_path) == Waiting(4, "rpc_wait_bit_killable", 2, 97.5)


def test_this_machine_can_be_looked_at() -> None:
    """On the real proc tree nothing fails, whatever is found."""
    assert look_at_waiting(Path("/proc")).processes >= 0


async def test_a_stall_is_seen_and_its_end(tmp_path: Path, disk: Disk) -> None:
    """True with the age of the unanswered question, false again with the first answer."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hostname").write_text("red2\n")
    detector, file = RootStall(disk, tmp_path), HangingFile(tmp_path / "etc/hostname")
    async with watched(detector) as bell:
        (seen,) = await first_look(detector, bell)
        assert seen.status is Truth.FALSE
        bell.clear()
        file.hang()
        await bell.wait()
        (seen,) = await detector.observe()
        assert seen.status is Truth.TRUE
        assert seen.detail == "/ hasn't answered for 3 s; my kernel is fine"
        bell.clear()
        file.thaw()
        await bell.wait()
        (seen,) = await detector.observe()
        assert seen.status is Truth.FALSE


async def test_a_stall_before_the_first_answer_is_told(tmp_path: Path, disk: Disk) -> None:
    """An agent that starts during a stall doesn't wait for it to end."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hostname").write_text("red2\n")
    file = HangingFile(tmp_path / "etc/hostname")
    file.hang()
    detector = RootStall(disk, tmp_path)
    async with watched(detector) as bell:
        (seen,) = await first_look(detector, bell)
        assert seen.status is Truth.TRUE
        file.thaw()
