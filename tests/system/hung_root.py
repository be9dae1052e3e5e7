"""A root file system that hangs when told to: FUSE, with a server that can be stopped.

It shows this machine's own root, so whatever is installed here is installed there: interpreter,
libraries, code, /etc. Who lives in it and touches it while it hangs waits, as on NFS.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

_MOUNT_S, _STEP_S = 15, 20
_SHARED = ("proc", "sys", "dev", "run")
# Mounts of its own, that end with the process: what hangs must not be met by anybody else.
_LIVE_IN = (
    'mount --make-rprivate / && top=$1 && shift && cd "$top" && for one in proc sys dev run; '
    'do mount --rbind "/$one" "$one" || exit 1; done && exec chroot . "$@"'
)


def why_not() -> str:
    """Say why it can't be had here, or nothing."""
    if os.geteuid() != 0:
        return "needs root: mounts a file system and lives in it"
    if not Path("/dev/fuse").exists():
        return "needs /dev/fuse"
    missing = [name for name in ("bindfs", "unshare", "chroot") if not shutil.which(name)]
    return f"not installed: {', '.join(missing)}" if missing else ""


needs_hung_root = [
    pytest.mark.root,
    pytest.mark.system,
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
]


class HungRoot:
    """This machine's root, seen through `point`."""

    def __init__(self, point: Path, server: "subprocess.Popen[bytes]") -> None:
        self.point = point
        self._server = server
        self._looks: list[subprocess.Popen[bytes]] = []

    def hang(self) -> None:
        """Answer nothing any more, and keep nothing in memory that could answer instead."""
        self._server.send_signal(signal.SIGSTOP)
        drop_caches()

    def thaw(self) -> None:
        """Answer again, also what was asked meanwhile."""
        self._server.send_signal(signal.SIGCONT)
        while self._looks:
            self._looks.pop().wait(_STEP_S)

    def command(self, *argv: str) -> Sequence[str]:
        """Return how to run a program that has this for its root."""
        return ("unshare", "--mount", "sh", "-c", _LIVE_IN, "live-in", str(self.point), *argv)

    def answers(self, within_s: float = 1.0) -> bool:
        """Tell whether it can be read, by trying."""
        look = subprocess.Popen(["cat", str(self.point / "etc/passwd")], stdout=subprocess.DEVNULL)
        try:
            return look.wait(within_s) == 0
        except subprocess.TimeoutExpired:
            self._looks.append(look)  # nothing ends it before the thaw
            return False


def drop_caches() -> None:
    """Have the kernel forget every page and name that it can read again."""
    Path("/proc/sys/vm/drop_caches").write_text("3")


@contextmanager
def hung_root(folder: Path) -> Iterator[HungRoot]:
    """Mount it in `folder`. At the end it thaws, and is unmounted whatever still uses it."""
    point = folder / "root"
    point.mkdir()
    server = subprocess.Popen(["bindfs", "-f", "--no-allow-other", "/", str(point)])
    root = HungRoot(point, server)
    try:
        deadline = time.monotonic() + _MOUNT_S
        while not point.is_mount():
            assert server.poll() is None, "bindfs ended"
            assert time.monotonic() < deadline, "bindfs did not mount"
            time.sleep(0.02)
        yield root
    finally:
        root.thaw()
        subprocess.run(["umount", "--lazy", str(point)], check=False, timeout=_STEP_S)
        server.terminate()
        try:
            server.wait(_STEP_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
