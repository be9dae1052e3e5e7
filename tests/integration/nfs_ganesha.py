"""A real NFS server in user space, on loopback: nfs-ganesha with an export in memory."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

needs_ganesha = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("ganesha.nfsd"),
    reason="needs root, and the Debian packages nfs-ganesha and nfs-ganesha-mem",
)
_CONFIG = """\
NFS_CORE_PARAM {{
    Protocols = 4; NFS_Port = {port}; Bind_addr = 127.0.0.1; Plugins_Dir = "{plugins}";
    Enable_NLM = false; Enable_RQUOTA = false; Enable_UDP = false;
    allow_set_io_flusher_fail = true;
}}
NFSv4 {{ RecoveryRoot = "{folder}"; Graceless = true; }}
EXPORT {{ Export_Id = 1; Path = /e; Pseudo = /e; Access_Type = RW; FSAL {{ Name = MEM; }} }}
"""


@dataclass(frozen=True)
class Ganesha:
    """A running server."""

    port: int
    process: asyncio.subprocess.Process

    def stop(self) -> None:
        """Let it stand still, as a machine does whose disk died: its kernel goes on accepting."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Thaw it."""
        self.process.send_signal(signal.SIGCONT)


@contextlib.asynccontextmanager
async def ganesha(folder: Path, port: int | None = None) -> AsyncIterator[Ganesha]:
    """Run one on `port`, else on a free one, until it accepts; whatever happens end it."""
    port = port or _free_port()
    config = folder / "ganesha.conf"
    config.write_text(_CONFIG.format(port=port, folder=folder, plugins=_plugins()))
    files = ("-f", str(config), "-L", str(folder / "ganesha.log"), "-p", str(folder / "pid"))
    process = await asyncio.create_subprocess_exec(
        "ganesha.nfsd", "-F", *files, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        async with asyncio.timeout(30):
            while not await _accepts(port):
                assert process.returncode is None, (folder / "ganesha.log").read_text()
                await asyncio.sleep(0.1)
        yield Ganesha(port, process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _accepts(port: int) -> bool:
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True
    return False


def _plugins() -> Path:
    """Where Debian puts them on this architecture."""
    return next(Path("/usr/lib").glob("*/ganesha"))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
