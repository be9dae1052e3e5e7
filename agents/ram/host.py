"""The node as it is seen from inside the image.

/proc, /sys, /dev and /run are the node's own, under their own names; they live in memory. The
rest is at /host, and may stall.
"""

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

HOST = Path("/host")
SHARED = ("/proc", "/sys", "/dev", "/run")
_CLONE_FS, _CLONE_NEWNS = 0x200, 0x20000


@dataclass(frozen=True, slots=True)
class Host:
    """`mounts` is an open file of the mount namespace that the agent was started in."""

    mounts: int

    def path(self, path: Path) -> Path:
        """Return where the node's absolute `path` is from here."""
        if not path.is_absolute() or any(path.is_relative_to(shared) for shared in SHARED):
            return path
        return HOST / path.relative_to("/")

    def enter_mounts(self) -> None:
        """Take this thread, and no other, out into the node's root and mount namespace.

        Raises `OSError`.
        """
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_CLONE_FS) or libc.setns(self.mounts, _CLONE_NEWNS):
            number = ctypes.get_errno()
            raise OSError(number, f"the node's mounts can't be reached: {os.strerror(number)}")


def at(host: Host | None, path: Path) -> Path:
    """Return where `path` is from here; outside of the image it is where it is."""
    return host.path(path) if host else path
