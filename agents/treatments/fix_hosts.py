"""`fix_hosts`: give the node's own name its 127.0.1.1 line in /etc/hosts (FOE 4.4).

Everything else in the file stays as it is, byte for byte, and so do its mode and owner. The
file is replaced at once (a new file, synced, renamed), so nobody ever reads half of it.
Source: hosts(5); 127.0.1.1 is Debian's convention for a host without a fixed address.
"""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from agents.lane import Lane
from agents.treatment import TreatmentError

_ADDRESS = b"127.0.1.1"
_HOSTNAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*")
_MOST_BYTES = 1 << 20


class FixHosts:
    """Takes no arguments: the name is the kernel's."""

    name = "fix_hosts"
    needs_root = True

    def __init__(self, procfs: Path, rootfs: Path, lane: Lane | None = None) -> None:
        self._hostname = procfs / "sys/kernel/hostname"
        self._hosts = rootfs / "etc/hosts"
        self._lane = lane or Lane()

    def refusal(self, arguments: Mapping[str, str]) -> str:
        """Allow no arguments."""
        return "expected no arguments" if arguments else ""

    async def carry_out(self, arguments: Mapping[str, str], deadline_s: float) -> str:  # noqa: ARG002 - a port
        """Write the line if it is missing, and prove it by reading the file again."""
        return await self._lane.run(self.name, self._fix)

    def _fix(self) -> str:
        try:
            hostname = self._hostname.read_text(encoding="ascii").strip()
            if not _HOSTNAME.fullmatch(hostname):
                raise TreatmentError(f"the host name {hostname!r} can't stand in {self._hosts}")
            return self._name(hostname.encode())
        except (OSError, UnicodeDecodeError) as error:
            raise TreatmentError(f"{self._hosts}: {error}") from None

    def _name(self, hostname: bytes) -> str:
        before, status = _read(self._hosts)
        if line := _line_of(hostname, before):
            return f"nothing to do: {_shown(line)}"
        replace(self._hosts, with_name(before, hostname), status)
        line = _line_of(hostname, _read(self._hosts)[0])
        if line is None:
            raise TreatmentError(f"{self._hosts} was written, but doesn't name {hostname.decode()}")
        return f"read back: {_shown(line)}"


def with_name(hosts: bytes, hostname: bytes) -> bytes:
    """Return `hosts` with `hostname` put first on its 127.0.1.1 line, or on a line of its own."""
    lines = hosts.splitlines(keepends=True)
    for index, line in enumerate(lines):
        found = re.match(rb"\s*127\.0\.1\.1[ \t]+", line)
        if found:
            lines[index] = found[0] + hostname + b" " + line[found.end() :]
            return b"".join(lines)
    gap = b"" if not hosts or hosts.endswith(b"\n") else b"\n"
    return hosts + gap + _ADDRESS + b"\t" + hostname + b"\n"


def _line_of(hostname: bytes, hosts: bytes) -> bytes | None:
    for line in hosts.splitlines():
        _, *names = line.partition(b"#")[0].split() or [b""]
        if hostname.lower() in (name.lower() for name in names):
            return line
    return None


def _shown(line: bytes) -> str:
    return " ".join(line.decode("utf-8", "replace").split())


def _read(path: Path) -> tuple[bytes, os.stat_result | None]:
    """Return a plain file's content and status; a missing one is empty."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return b"", None
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
            raise TreatmentError(f"{path} is no plain file of a sensible size: left alone")
        return file.read(), status


def replace(path: Path, content: bytes, like: os.stat_result | None) -> None:
    """Put `content` at `path`, durably and at once, with the mode and owner of `like`."""
    new = path.with_name(f".{path.name}.pimedic")
    new.unlink(missing_ok=True)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            if like and (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(fd, like.st_uid, like.st_gid)
            os.fchmod(fd, stat.S_IMODE(like.st_mode) if like else 0o644)
            file.flush()
            os.fsync(fd)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
