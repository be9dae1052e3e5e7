"""A real file system whose server can be stopped, as a node's NFS root's can: bindfs over FUSE.

What the page cache holds goes on being read while its daemon is stopped; whoever asks for more
waits in the kernel, in state D. Needs root, /dev/fuse and bindfs.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_STEP_S = 20


def why_not() -> str:
    """Say why there can be no such file system here, or nothing if there can."""
    if os.geteuid() != 0:
        return "needs root: mounts a FUSE file system"
    if not Path("/dev/fuse").exists():
        return "this kernel has no FUSE"
    if not shutil.which("bindfs"):
        return "bindfs is missing: install bindfs"
    return ""


needs_fuse = pytest.mark.skipif(bool(why_not()), reason=why_not())


@dataclass(frozen=True)
class RealFuse:
    """A mounted file system and its server."""

    point: Path
    server: "subprocess.Popen[bytes]"

    def stall(self) -> None:
        """Stop its server."""
        self.server.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let its server go on."""
        self.server.send_signal(signal.SIGCONT)


@contextmanager
def real_fuse(served: Path, point: Path) -> Iterator[RealFuse]:
    """Serve a folder at `point`, and whatever happens take it away again."""
    point.mkdir()
    command = ["bindfs", "-f", "-o", "auto_cache", str(served), str(point)]
    with subprocess.Popen(command) as server:
        try:
            give_up = time.monotonic() + _STEP_S
            while not point.is_mount():
                assert server.poll() is None, "bindfs ended"
                assert time.monotonic() < give_up, "bindfs did not mount"
                time.sleep(0.02)
            yield RealFuse(point, server)
        finally:
            server.send_signal(signal.SIGCONT)
            subprocess.run(["umount", "--lazy", str(point)], timeout=_STEP_S, check=False)
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(_STEP_S)
            server.kill()
