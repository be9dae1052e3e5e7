"""`filesystem_errors`: counters that survive boots, and the kernel's word."""

from pathlib import Path

import pytest

from agents.detectors.filesystem_errors import DISK_FOR_S, FilesystemErrors
from common.clock import boottime
from common.observations import Truth

EXT4 = "EXT4-fs error (device sda2): ext4_find_entry:1664: inode #2: comm ls: reading directory"


def _count(sysfs: Path, device: str, errors: int, last: int = 0) -> None:
    folder = sysfs / "fs/ext4" / device
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "errors_count").write_text(f"{errors}\n")
    (folder / "last_error_time").write_text(f"{last}\n")


def _seen(detector: FilesystemErrors) -> dict[str, tuple[Truth, str]]:
    return {seen.subject: (seen.status, seen.detail) for seen in detector.observe()}


def test_growth_is_true_and_old_errors_are_told(tmp_path: Path) -> None:
    """Only errors since our start make true."""
    detector = FilesystemErrors(tmp_path)
    _count(tmp_path, "sda2", 3, 1_700_000_000)
    old = "3 errors before our start, last at 2023-11-14T22:13:20.000+00:00"
    assert _seen(detector) == {"sda2": (Truth.FALSE, old)}
    _count(tmp_path, "sda2", 5, 1_700_000_001)
    new = "2 errors since start, last at 2023-11-14T22:13:21.000+00:00"
    assert _seen(detector) == {"sda2": (Truth.TRUE, new)}
    _count(tmp_path, "sda2", 0)  # fsck
    assert _seen(detector) == {"sda2": (Truth.FALSE, "no errors")}


def test_the_kernels_word_counts_before_the_counter(tmp_path: Path) -> None:
    """With errors=remount-ro the counter stays: the log makes it true, until it's unmounted."""
    detector = FilesystemErrors(tmp_path)
    _count(tmp_path, "sda2", 0)
    assert detector.hear(EXT4, 1.0)
    assert _seen(detector)["sda2"] == (Truth.TRUE, EXT4)
    (tmp_path / "fs/ext4/sda2/errors_count").unlink()
    assert _seen(detector) == {}
    _count(tmp_path, "sda2", 0)
    assert _seen(detector)["sda2"][0] is Truth.FALSE


@pytest.mark.parametrize(
    ("text", "disk"),
    [
        ("I/O error, dev sda, sector 2048 op 0x0:(READ) flags 0x80700 phys_seg 1", "sda"),
        ("blk_update_request: I/O error, dev mmcblk0, sector 2048", "mmcblk0"),
        ("Buffer I/O error on dev sda2, logical block 0, lost sync page write", "sda2"),
        ("Buffer I/O error on device dm-0, logical block 1", "dm-0"),
    ],
)
def test_disks_that_fail(tmp_path: Path, text: str, disk: str) -> None:
    """An I/O error is true of its disk, for a while."""
    detector = FilesystemErrors(tmp_path)
    detector.hear(text, boottime())
    assert _seen(detector) == {disk: (Truth.TRUE, text)}
    old = FilesystemErrors(tmp_path)
    old.hear(text, boottime() - DISK_FOR_S - 1)
    assert _seen(old) == {}


def test_other_messages_are_not_its_own(tmp_path: Path) -> None:
    """And a kernel without ext4 gives no data."""
    detector = FilesystemErrors(tmp_path)
    assert not detector.hear("EXT4-fs (sda2): mounted filesystem", 0.0)
    assert detector.observe() == []


def test_a_storm_stays_bounded(tmp_path: Path) -> None:
    """However many disks and messages there are."""
    detector = FilesystemErrors(tmp_path)
    for number in range(500):
        detector.hear(f"I/O error, dev sd{number}, sector 1", boottime())
    assert len(detector.observe()) <= 16
