"""The disk helper on a real ext4: read-only, and frozen so that who writes can't be killed."""

import asyncio
import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agents.disk import Disk, DiskError
from agents.waiting import look_at_waiting
from tests.integration.real_ext4 import RealExt4, needs_loop_ext4, real_ext4

pytestmark = needs_loop_ext4


@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[RealExt4]:
    """A root with something to probe."""
    with real_ext4(tmp_path) as made:
        (made.point / "etc").mkdir()
        with (made.point / "etc/hostname").open("w") as file:
            file.write("red2\n")
            file.flush()
            os.fsync(file.fileno())  # or else an uncached read would have to write it first
        yield made


@contextmanager
def frozen(ext4: RealExt4) -> Iterator[Callable[[], None]]:
    """Hold up all writes, in state D; yields what ends it sooner."""
    subprocess.run(["fsfreeze", "--freeze", ext4.point], timeout=20, check=True)
    over = False

    def thaw() -> None:
        nonlocal over
        if not over:
            subprocess.run(["fsfreeze", "--unfreeze", ext4.point], timeout=20, check=True)
        over = True

    try:
        yield thaw
    finally:
        thaw()


def helpers(point: Path) -> dict[int, str]:
    """Return the disk helpers of this root, and the kernel's letter for each."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if b"disk_helper" in b"".join(words) and str(point).encode() in words:
                stat = (entry / "stat").read_text()
                found[int(entry.name)] = stat.rpartition(")")[2].split()[0]
        except OSError:
            continue
    return found


async def test_what_refuses_writes_says_so(ext4: RealExt4) -> None:
    """Writable, then read-only after an error that statvfs doesn't show; reads go on."""
    disk = Disk(ext4.point)
    await disk.try_to_write("/")
    ext4.fail()
    with pytest.raises(OSError, match="Read-only") as caught:
        await disk.try_to_write("/")
    assert caught.value.errno == errno.EROFS
    assert await disk.probe() == "etc/hostname"
    disk.close()


async def test_a_write_that_cannot_be_killed_hangs_one_helper(ext4: RealExt4) -> None:
    """The probe is answered by another meanwhile; nobody else is let into the trap."""
    disk = Disk(ext4.point)
    with frozen(ext4) as thaw:
        with pytest.raises(DiskError, match="no answer within 2 s"):
            await disk.try_to_write("/")
        for _ in range(3):
            assert await disk.probe() == "etc/hostname"
        with pytest.raises(DiskError, match="no answer within 2 s"):
            await disk.read("/etc/hostname")
        assert sorted(helpers(ext4.point).values()) == ["D", "S"]
        thaw()
        assert await disk.read("/etc/hostname") == b"red2\n"
    assert list(helpers(ext4.point).values()) == ["S"]
    disk.close()


async def test_who_waits_is_counted(ext4: RealExt4) -> None:
    """A process that the kernel holds in state D, and the function it waits in."""
    with frozen(ext4) as thaw:
        writer = await asyncio.create_subprocess_exec("touch", ext4.point / "new")
        async with asyncio.timeout(10):
            while not (seen := look_at_waiting(Path("/proc"))).processes:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert seen.function
        thaw()
        await asyncio.wait_for(writer.wait(), 10)
