"""`remount_rw`: when a mount may be made writable, and with which flags."""

import pytest

from agents.mount_table import parse_mountinfo
from agents.treatments.remount_rw import given_up, remount_flags


def _mount(options: str, super_options: str) -> object:
    (mount,) = parse_mountinfo(f"27 1 8:2 / / {options} - ext4 /dev/sda2 {super_options}\n")
    return mount


@pytest.mark.parametrize(
    ("options", "super_options", "errors", "reason"),
    [
        ("ro,relatime", "ro", 0, ""),
        ("ro,relatime", "rw", 0, ""),
        ("rw,relatime", "rw", 0, ""),
        ("rw,relatime", "rw,emergency_ro", 0, "was given up by the kernel (emergency_ro)"),
        ("rw,relatime", "rw,shutdown", 0, "was given up by the kernel (shutdown)"),
        ("rw,relatime", "ro", 0, "turned read-only by itself, under a writable mount"),
        ("ro,relatime", "ro", 3, "has 3 errors on record"),
        ("ro,relatime", "rw", 1, "has 1 errors on record"),
    ],
)
def test_damaged_file_systems_are_left_alone(
    options: str, super_options: str, errors: int, reason: str
) -> None:
    """Any sign of errors, of new kernels or old, refuses."""
    assert given_up(_mount(options, super_options), errors) == reason


@pytest.mark.parametrize(
    ("options", "super_options", "flags"),
    [
        ("rw,relatime", "rw", 0),
        ("ro", "ro", 0x20),
        ("ro", "rw", 0x20 | 0x1000),
        ("ro,nosuid,nodev,noexec,relatime", "ro,sync", 0x20 | 0x2 | 0x4 | 0x8 | 1 << 21 | 0x10),
        ("ro,noatime", "rw", 0x20 | 0x1000 | 0x400),
    ],
)
def test_flags_are_kept(options: str, super_options: str, flags: int) -> None:
    """A bind mount is remounted as one, and nothing that was forbidden becomes allowed."""
    assert remount_flags(_mount(options, super_options)) == flags
