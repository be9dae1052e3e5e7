"""`remount_rw` on a real file system of the real kernel. Needs root and loop devices."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.ram.host import Host
from agents.treatment import TreatmentError
from agents.treatments.remount_rw import RemountRw
from tests.integration.real_ext4 import RealExt4, needs_loop_ext4, real_ext4

pytestmark = needs_loop_ext4


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[RealExt4]:
    """A small ext4 of its own, mounted like a root."""
    with real_ext4(tmp_path, "errors=remount-ro,nosuid,noatime") as disk:
        yield disk


def _treatment(disk: RealExt4) -> RemountRw:
    return RemountRw(Path("/proc"), Path("/sys"), Path("/"), (str(disk.point),))


def _options(disk: RealExt4) -> set[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    (line,) = [line for line in lines if f" {disk.point} " in line]
    return set(line.split()[5].split(","))


async def test_read_only_mount_is_writable_again(disk: RealExt4) -> None:
    """Remounted by hand, it is made writable with all its other flags; a written file proves it."""
    disk.remount("ro")
    said = await _treatment(disk).carry_out({}, 5)
    assert said == f"{disk.point} is writable: a file was written and synced"
    assert _options(disk) == {"rw", "nosuid", "noatime"}
    assert os.listdir(disk.point) == ["lost+found"]  # noqa: PTH208


async def test_read_only_bind_mount_is_writable_again(disk: RealExt4) -> None:
    """Only this mount was read-only, not the file system."""
    disk.remount("bind,ro")
    await _treatment(disk).carry_out({"mount": str(disk.point)}, 5)
    assert _options(disk) >= {"rw", "nosuid"}


async def test_twice_is_once(disk: RealExt4) -> None:
    """A writable mount is proven to be so, and not remounted."""
    said = await _treatment(disk).carry_out({}, 5)
    assert said == f"nothing to do: {disk.point} is writable"


async def test_failed_file_system_is_left_alone(disk: RealExt4) -> None:
    """What the kernel gave up on needs a check first, and is refused with the reason."""
    disk.fail()
    with pytest.raises(TreatmentError, match=r"left alone: .* needs a check, not a remount"):
        await _treatment(disk).carry_out({}, 5)


async def test_errors_on_record_are_reason_enough(disk: RealExt4) -> None:
    """Remounted read-only by a person after an error: the kernel's count still speaks."""
    disk.remount("errors=continue")
    disk.fail()
    disk.remount("ro")
    with pytest.raises(TreatmentError, match=r"has [0-9]+ errors on record"):
        await _treatment(disk).carry_out({}, 5)
    assert "ro" in _options(disk)


async def test_only_own_mounts(disk: RealExt4) -> None:
    """A mount that the agent doesn't watch isn't touched."""
    assert _treatment(disk).refusal({"mount": "/somewhere"})
    assert not _treatment(disk).refusal({"mount": str(disk.point)})


async def test_reaches_the_nodes_mount_from_a_namespace_of_its_own(disk: RealExt4) -> None:
    """From memory it is the node's own mount that is changed, and not the agent's view of it."""
    disk.remount("ro")
    fd = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    try:
        trees = Path("/proc"), Path("/sys"), Path("/host")
        treatment = RemountRw(*trees, (str(disk.point),), host=Host(fd))
        await treatment.carry_out({}, 5)
    finally:
        os.close(fd)
    assert "rw" in _options(disk)
