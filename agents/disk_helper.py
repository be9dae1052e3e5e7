"""The disk helper: the one process of an agent that touches the disk, and may hang in it.

A program of its own, started as `python -I -S disk_helper.py ROOT` by `agents.disk`: a process
in state D can't be stopped, and must hold nothing that the agent or its successor needs. It
imports next to nothing: about 3 MB of its own. It lives as long as its socket (stdin) does; a
thread watches that, so that a helper which hangs ends with its agent too, as soon as it can.
(PR_SET_PDEATHSIG wouldn't do: it tells of the end of the *thread* that started us.)

One message is one request or one answer, and each is a list of byte strings:

    number, operation, arguments...   ->   number, errno ("0": none), results...

Paths are relative to ROOT, which is also entered with chroot(2) where that is allowed, so that
absolute links lead where they do on the node.
"""

import _thread
import errno
import mmap
import os
import select
import sys

MOST_BYTES = 64 * 1024  # of a file, or of a folder's names
MESSAGE_BYTES = MOST_BYTES + 4096
_LENGTH = 4
_BLOCK = 4096
_READ = os.O_RDONLY | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CLOEXEC
_TRIAL = b".pimedic-trial"
_NO_NAMELESS_FILES = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT})


def pack(fields: list[bytes]) -> bytes:
    """Return one message."""
    return b"".join(len(field).to_bytes(_LENGTH, "big") + field for field in fields)


def unpack(message: bytes) -> list[bytes]:
    """Return the fields of a message that `pack` made."""
    fields, at = [], 0
    while at < len(message):
        begin = at + _LENGTH
        at = begin + int.from_bytes(message[at:begin], "big")
        fields.append(message[begin:at])
    return fields


def read(path: bytes) -> list[bytes]:
    """Return a file's content, if it isn't too long."""
    fd = os.open(path, _READ)
    try:
        content = os.read(fd, MOST_BYTES + 1)
        while more := os.read(fd, MOST_BYTES + 1 - len(content)):
            content += more
    finally:
        os.close(fd)
    if len(content) > MOST_BYTES:
        raise OSError(errno.EFBIG, "")
    return [content]


def names(path: bytes) -> list[bytes]:
    """Return what lies in a folder; folders end with a slash."""
    with os.scandir(path) as entries:
        found = [entry.name + b"/" if entry.is_dir() else entry.name for entry in entries]
    if sum(map(len, found)) + _LENGTH * len(found) > MOST_BYTES:
        raise OSError(errno.EFBIG, "")
    return found


def mode(path: bytes) -> list[bytes]:
    """Return st_mode; links are followed."""
    return [b"%d" % os.stat(path).st_mode]


def target(path: bytes) -> list[bytes]:
    """Return where a link leads."""
    return [os.readlink(path)]


def write(path: bytes, content: bytes) -> list[bytes]:
    """Replace a file at once. Not synced: that is left to the file system, to spare the disk."""
    new = path + b".new"
    fd = os.open(new, _WRITE | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    try:
        os.write(fd, content)
    finally:
        os.close(fd)
    os.replace(new, path)
    return []


def probe(*candidates: bytes) -> list[bytes]:
    """Read the start of the first of these files that has one, from the disk itself."""
    for path in candidates:
        try:
            if _uncached(path):
                return [path]
        except FileNotFoundError:
            continue
    raise FileNotFoundError(errno.ENOENT, "")


_BUFFER = mmap.mmap(-1, _BLOCK)  # aligned, as O_DIRECT wants it


def _uncached(path: bytes) -> bool:
    """Tell whether the file isn't empty. It is opened anew, which asks an NFS server too."""
    try:
        fd = os.open(path, _READ | os.O_DIRECT)
        try:
            return os.preadv(fd, [_BUFFER], 0) > 0
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # else this file system has no O_DIRECT
            raise
    fd = os.open(path, _READ)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        return bool(os.pread(fd, _BLOCK, 0))
    finally:
        os.close(fd)


def try_to_write(folder: bytes) -> list[bytes]:
    """Write and sync a file without a name; with one where there is no other way (NFS)."""
    path = b""
    try:
        fd = os.open(folder, _WRITE | os.O_TMPFILE, 0o600)
    except OSError as error:
        if error.errno not in _NO_NAMELESS_FILES:
            raise
        path = folder + b"/" + _TRIAL
        fd = os.open(path, _WRITE | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(fd, b"pimedic")
        os.fdatasync(fd)
    finally:
        os.close(fd)
        if path:
            os.unlink(path)
    return []


def carry_out(operation: bytes, path: bytes, more: list[bytes]) -> list[bytes]:
    """Do one operation."""
    match operation:
        case b"read":
            return read(path)
        case b"names":
            return names(path)
        case b"mode":
            return mode(path)
        case b"target":
            return target(path)
        case b"write":
            return write(path, *more)
        case b"probe":
            return probe(path, *more)
        case b"try_to_write":
            return try_to_write(path)
        case _:
            raise OSError(errno.ENOSYS, "")


def answer(request: bytes) -> bytes:
    """Do what a request asks and return the answer."""
    number, operation, path, *more = unpack(request)
    try:
        return pack([number, b"0", *carry_out(operation, path, more)])
    except OSError as error:
        return pack([number, b"%d" % (error.errno or errno.EIO)])


def _end_with_the_agent() -> None:
    """Wait for the other end of the socket to be closed, whatever the main thread hangs in."""
    poll = select.poll()
    poll.register(0, 0)
    poll.poll()
    os._exit(0)


def main() -> None:
    """Serve until the socket is closed."""
    _thread.start_new_thread(_end_with_the_agent, ())
    os.chdir(sys.argv[1])
    if sys.argv[1] != "/":
        try:  # noqa: SIM105 - contextlib would cost memory
            os.chroot(".")
        except PermissionError:
            pass
    while request := os.read(0, MESSAGE_BYTES):
        os.write(0, answer(request))


if __name__ == "__main__":
    main()
