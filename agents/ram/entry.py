"""Goes into the image: a mount namespace and a root of its own, and then the agent anew.

    unshare ─▶ a tmpfs in the run folder ─▶ the image ─▶ bind /proc /sys /dev /run and /host
            ─▶ chroot ─▶ exec

The process id stays what it was, so systemd sees one main process. Mounts that the node makes or
loses later come through (slave propagation). Whoever can't go in stays outside: an agent on the
disk is better than none.
"""

import ctypes
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from agents.ram.closure import Closure, closure
from agents.ram.host import HOST, SHARED
from agents.ram.image import Image

_CLONE_NEWNS = 0x20000
_MS_BIND, _MS_REC, _MS_SLAVE, _MS_UNBINDABLE = 0x1000, 0x4000, 0x80000, 0x20000
_MS_NOSUID, _MS_NODEV = 0x2, 0x4
_MNT_DETACH = 2
_SIZE = "size=192m,mode=0755"
_START = (
    "import json, sys; inside = json.loads(sys.argv.pop(1)); sys.path[:] = inside['path']; "
    "from agents.main import main; sys.exit(main(mounts=inside['mounts']))"
)


class NotInMemoryError(Exception):
    """The agent couldn't be put into memory. Its text is for people."""


def enter(folder: Path, argv: Sequence[str]) -> NoReturn:
    """Replace this process by an agent in memory, with flags `argv`. Raises `NotInMemoryError`.

    `folder` is where the tmpfs is mounted, seen by this process alone; it is made if need be.
    """
    mounted = False
    try:
        what = closure()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mounts = os.open("/proc/self/ns/mnt", os.O_RDONLY)
        _call("unshare", _CLONE_NEWNS)
        _mount("none", Path("/"), _MS_REC | _MS_SLAVE)
        _mount_tmpfs(folder)
        mounted = True
        Image(folder).add_all(what)
        _bind_the_node(folder)
        os.set_inheritable(mounts, True)
        os.chroot(folder)
        os.chdir("/")
    except (OSError, ImportError) as error:
        if mounted:
            ctypes.CDLL(None).umount2(os.fsencode(folder), _MNT_DETACH)
        raise NotInMemoryError(str(error)) from None
    os.execv(what.interpreter, _command(what, mounts, argv))  # noqa: S606 - there is no shell


def _command(what: Closure, mounts: int, argv: Sequence[str]) -> list[str]:
    inside = json.dumps({"path": what.search_path, "mounts": mounts})
    return [str(what.interpreter), "-I", "-S", "-B", "-c", _START, inside, *argv]


def _mount_tmpfs(folder: Path) -> None:
    flags = _MS_NOSUID | _MS_NODEV
    try:
        _mount("tmpfs", folder, flags, f"{_SIZE},noswap")
    except OSError:  # kernels before 6.4 don't know noswap
        _mount("tmpfs", folder, flags, _SIZE)
    _mount("none", folder, _MS_UNBINDABLE)  # or /host would hold the image as well


def _bind_the_node(folder: Path) -> None:
    (folder / "tmp").mkdir(exist_ok=True)  # the installation itself may lie there
    for source in ("/", *SHARED):
        target = folder / (HOST if source == "/" else Path(source)).relative_to("/")
        target.mkdir(exist_ok=True)
        _mount(source, target, _MS_BIND | _MS_REC)


def _mount(source: str, target: Path, flags: int, data: str = "") -> None:
    kind = source.encode() if source == "tmpfs" else None
    _call("mount", source.encode(), os.fsencode(target), kind, ctypes.c_ulong(flags), data.encode())


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc[name](*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}(2): {os.strerror(number)}")
