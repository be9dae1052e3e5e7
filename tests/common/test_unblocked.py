"""Logging to somebody who doesn't read."""

import fcntl
import os
from collections.abc import Iterator

import pytest

from common.unblocked import Unblocked

LINE = "x" * 1000 + "\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that holds 8192 bytes: its ends for reading and writing."""
    ends = os.pipe()
    fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, 8192)
    yield ends
    for end in ends:
        os.close(end)


def test_writes_whole_lines(pipe: tuple[int, int]) -> None:
    """What there is room for arrives, and at once."""
    log = Unblocked(pipe[1])
    log.write("one\n")
    log.write("two é\n")
    assert os.read(pipe[0], 100).decode() == "one\ntwo é\n"
    assert log.dropped == 0


def test_never_waits_for_a_reader(pipe: tuple[int, int]) -> None:
    """A full pipe costs lines and no time; their number is told once somebody reads again."""
    log = Unblocked(pipe[1])
    for _ in range(50):
        log.write(LINE)
    lost = log.dropped
    assert lost >= 40
    os.read(pipe[0], 65536)
    log.write("again\n")
    assert os.read(pipe[0], 65536).decode() == (
        f'{{"event": "log_lines_dropped", "count": {lost}}}\nagain\n'
    )
    assert log.dropped == 0


def test_a_line_longer_than_the_pipe_is_no_trap(pipe: tuple[int, int]) -> None:
    """A traceback may be longer than all that fits: what doesn't fit is given up."""
    log = Unblocked(pipe[1])
    log.write("y" * 100_000 + "\n")
    assert log.dropped == 1
    os.read(pipe[0], 65536)
    log.write("again\n")
    assert os.read(pipe[0], 65536).endswith(
        b'\n{"event": "log_lines_dropped", "count": 1}\nagain\n'
    )


def test_a_closed_reader_is_no_error() -> None:
    """Whoever read the log may be gone."""
    reading, writing = os.pipe()
    os.close(reading)
    log = Unblocked(writing)
    log.write("into the void\n")
    assert log.dropped == 1
    os.close(writing)
