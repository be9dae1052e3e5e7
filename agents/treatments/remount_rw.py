"""`remount_rw`: make a mount writable again, but never one that the kernel gave up on.

A file system that turned read-only because of errors must be checked first: writing to it makes
the damage worse. What speaks of errors, each alone a reason to refuse:
- `emergency_ro` among the superblock's options (kernel 6.13 and later), `shutdown`;
- a superblock that is `ro` under a mount that is `rw`: what older kernels show for the same;
- ext4's errors_count, which survives reboots until e2fsck clears it. [T] kernel 6.18: after an
  error with errors=continue a remount to ro and back to rw is accepted, and the damage goes
  on; under `emergency_ro` the kernel itself refuses every remount.

mount(2) with MS_REMOUNT sets *every* flag of the mount, so those that it has are given again.
The proof is a written and synced file without a name.
"""

import ctypes
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.detector import DetectorError
from agents.lane import Lane
from agents.mount_table import Mount, MountTable, parse_mountinfo
from agents.ram.host import Host
from agents.treatment import TreatmentError

_MS_REMOUNT, _MS_BIND = 0x20, 0x1000
_FLAGS = {
    "nosuid": 0x2,
    "nodev": 0x4,
    "noexec": 0x8,
    "noatime": 0x400,
    "nodiratime": 0x800,
    "relatime": 1 << 21,
    "sync": 0x10,
    "dirsync": 0x80,
    "lazytime": 1 << 25,
}
_GIVEN_UP = frozenset({"emergency_ro", "shutdown"})


@dataclass(frozen=True, slots=True)
class _Trees:
    procfs: Path
    sysfs: Path
    rootfs: Path


class RemountRw:
    """Argument `mount`: one of `allowed`; by default the first of them."""

    name = "remount_rw"
    needs_root = True

    def __init__(
        self,
        procfs: Path,
        sysfs: Path,
        rootfs: Path,
        allowed: Sequence[str],
        lane: Lane | None = None,
        host: Host | None = None,
    ) -> None:
        self._host = host
        self._trees = _Trees(procfs, sysfs, rootfs)
        self._table = MountTable(procfs)
        self._allowed = tuple(allowed)
        self._lane = lane or Lane()

    def refusal(self, arguments: Mapping[str, str]) -> str:
        """Allow only mounts that this agent watches."""
        if set(arguments) - {"mount"} or not self._allowed:
            return "expected at most one argument: mount"
        point = arguments.get("mount", self._allowed[0])
        return "" if point in self._allowed else f"{point} is not among the mounts of this agent"

    async def carry_out(self, arguments: Mapping[str, str], deadline_s: float) -> str:  # noqa: ARG002 - a port
        """Remount and write."""
        point = arguments.get("mount", self._allowed[0])
        return await self._lane.run(self.name, lambda: self._remount(point))

    def _remount(self, point: str) -> str:
        try:
            mount = self._mount_at(point)
            if reason := given_up(mount, _errors_count(self._trees.sysfs, mount)):
                raise TreatmentError(
                    f"left alone: {point} {reason}; it needs a check, not a remount"
                )
            target = self._reach(point)
            if flags := remount_flags(mount):
                _mount(target, flags)
                _probe(target)
                return f"{point} is writable: a file was written and synced"
            _probe(target)
        except (OSError, DetectorError) as error:
            raise TreatmentError(f"{point}: {error}") from None
        return f"nothing to do: {point} is writable"

    def _reach(self, point: str) -> Path:
        """Return the mount point's path for this thread, which ends after its work.

        A remount from inside another mount namespace would change the flags of that one's mount.
        """
        if self._host is None:
            return self._trees.rootfs / point.lstrip("/")
        self._host.enter_mounts()
        return Path(point)

    def _mount_at(self, point: str) -> Mount:
        mounts = parse_mountinfo(self._table.read())
        found = next((mount for mount in reversed(mounts) if mount.point == point), None)
        if found is None:
            raise TreatmentError(f"nothing is mounted at {point}")
        return found


def given_up(mount: Mount, errors: int) -> str:
    """Say what speaks against writing to this file system, or nothing."""
    if found := sorted(mount.super_options & _GIVEN_UP):
        return f"was given up by the kernel ({found[0]})"
    if "ro" in mount.super_options and "rw" in mount.options:
        return "turned read-only by itself, under a writable mount"
    if errors:
        return f"has {errors} errors on record"
    return ""


def remount_flags(mount: Mount) -> int:
    """Return mount(2)'s flags to make it writable; 0 when it is."""
    kept = 0
    for option, flag in _FLAGS.items():
        kept |= flag if option in mount.options | mount.super_options else 0
    if "ro" in mount.super_options:
        return _MS_REMOUNT | kept
    return _MS_REMOUNT | _MS_BIND | kept if "ro" in mount.options else 0


def _errors_count(sysfs: Path, mount: Mount) -> int:
    """Return ext4's count of errors, 0 for other file systems. Raises `OSError`."""
    if mount.filesystem != "ext4" or not mount.device:
        return 0
    name = (sysfs / "dev/block" / mount.device).resolve().name
    return int((sysfs / "fs/ext4" / name / "errors_count").read_text(encoding="ascii"))


def _mount(target: Path, flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", os.fsencode(target), None, ctypes.c_ulong(flags), None):
        number = ctypes.get_errno()
        raise OSError(number, f"mount(2): {os.strerror(number)}")


def _probe(target: Path) -> None:
    """Write and sync a file that has no name."""
    fd = os.open(target, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, b"pimedic")
        os.fsync(fd)
    except OSError as error:
        raise OSError(error.errno, f"still not writable: {error.strerror}") from None
    finally:
        os.close(fd)
