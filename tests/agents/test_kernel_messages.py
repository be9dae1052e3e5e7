"""The kernel's log as records, and a flood of them."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.kernel_messages import KernelMessages, Message, parse_record


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (
            b"6,339,5140900,-;NET: Registered protocol\n",
            Message(6, 339, "NET: Registered protocol"),
        ),
        (b"3,9,1,c,more=x;text\n SUBSYSTEM=block\n DEVICE=b8:0\n", Message(3, 9, "text")),
        (b"2,1,1,-;caf\xc3\xa9 \xff", Message(2, 1, "café \N{REPLACEMENT CHARACTER}")),
        (b"14,1,1,-;written by a program", None),
        (b"no record", None),
        (b"x,y;z", None),
        (b"", None),
    ],
)
def test_records(record: bytes, message: Message | None) -> None:
    """Level, sequence and first line of the kernel's own records; nothing of others."""
    assert parse_record(record) == message


@pytest.fixture
def log(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A log that a test writes; each write is read as one record, if read in time."""
    path = tmp_path / "kmsg"
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR)
    yield path, writer
    os.close(writer)


async def test_one_bad_listener_harms_no_other(log: tuple[Path, int]) -> None:
    """Whoever raises misses the message alone."""
    path, writer = log
    messages, heard = KernelMessages(path), asyncio.Event()

    def bad(_: Message) -> None:
        raise ValueError

    async with messages.heard_by(bad), messages.heard_by(lambda _: heard.set()):
        os.write(writer, b"6,1,1,-;hello\n")
        async with asyncio.timeout(5):
            await heard.wait()


async def test_last_listener_closes_the_file(log: tuple[Path, int]) -> None:
    """Nobody listens, nothing is open; and it can begin anew."""
    path, _ = log
    messages = KernelMessages(path)
    for _ in range(2):
        async with messages.heard_by(lambda _: None):
            async with messages.heard_by(lambda _: None):
                assert messages._fd is not None
            assert messages._fd is not None
        assert messages._fd is None


@pytest.mark.root
@pytest.mark.skipif(not os.access("/dev/kmsg", os.R_OK), reason="needs root: reads /dev/kmsg")
async def test_real_log_starts_at_its_end() -> None:
    """What was said before our start is not news: a whole boot's log isn't heard again."""
    heard: list[Message] = []
    async with KernelMessages().heard_by(heard.append):
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
    assert len(heard) < 100
