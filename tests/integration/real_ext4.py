"""Real ext4 on a loop device, with the kernel's own switch to make it fail. Needs root."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_STEP_S = 20


def why_not() -> str:
    """Say why there can be no loop device here, or nothing if there can."""
    if os.geteuid() != 0:
        return "needs root: mounts a loop device"
    if not Path("/dev/loop-control").exists() or not Path("/sys/fs/ext4").exists():
        return "this kernel has no loop devices or no ext4"
    if not shutil.which("mkfs.ext4"):
        return "mkfs.ext4 is missing: install e2fsprogs"
    if _first_mount("1") != _first_mount("self"):
        return "PID 1 sees other mounts than the tests do"
    return ""


def _first_mount(process: str) -> str:
    """Return a line whose mount id no other namespace has."""
    return Path("/proc", process, "mountinfo").read_text().partition("\n")[0]


needs_loop_ext4 = [
    pytest.mark.root,
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
]


@dataclass(frozen=True)
class RealExt4:
    """A mounted file system of its own."""

    point: Path
    device: str  # as /sys/fs/ext4 calls it

    @property
    def sysfs(self) -> Path:
        """Where the kernel tells of it."""
        return Path("/sys/fs/ext4", self.device)

    def fail(self) -> None:
        """Let the kernel meet an error in it, as it would in a damaged structure."""
        (self.sysfs / "trigger_fs_error").write_text("1")

    def remount(self, options: str) -> None:
        """Remount it."""
        _run("mount", "-o", f"remount,{options}", str(self.point))


@contextmanager
def real_ext4(folder: Path, options: str = "errors=remount-ro") -> Iterator[RealExt4]:
    """Make, mount, and whatever happens take away a small file system."""
    image, point = folder / "ext4.img", folder / "mounted"
    with image.open("wb") as file:
        file.truncate(16 << 20)
    point.mkdir(exist_ok=True)
    _run("mkfs.ext4", "-q", str(image))
    device = _run("losetup", "--find", "--show", str(image)).strip()
    try:
        _run("mount", "-o", options, device, str(point))
        try:
            yield RealExt4(point, device.removeprefix("/dev/"))
        finally:
            _run("umount", "--lazy", str(point))
    finally:
        _run("losetup", "--detach", device)
        image.unlink()


def _run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_STEP_S, check=False)
    assert done.returncode == 0, re.sub(r"\s+", " ", f"{argv}: {done.stderr}")
    return done.stdout
