"""One run of a fence agent: a child process with a deadline that nothing in it can outlive.

It gets its own process group, its options as lines on stdin, and nothing on its command line. Its
output is read to the end and only the beginning of it is kept. At the deadline the group is asked
to end (an agent may hold the only session that a power switch allows), and then killed.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from supervisor.actuators.power.driver import Phase, PowerError, Stage

_KEPT_BYTES = 64 * 1024  # an agent's metadata takes 5 to 20 KiB
_STDOUT = 1
_GRACE_S = 2.0
_DRAIN_S = 0.5  # a grandchild may hold the pipe after the agent's end
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: its exit status (negative: by that signal) and the output's beginning."""

    status: int
    text: str


class _Listener(asyncio.SubprocessProtocol):
    """Reads everything, so that the agent waits for nobody, and keeps the first part."""

    def __init__(self) -> None:
        self.kept = bytearray()
        self.exited = asyncio.Event()
        self.drained = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        del fd
        self.kept += data[: _KEPT_BYTES - len(self.kept)]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        del exc
        if fd == _STDOUT:
            self.drained.set()

    def process_exited(self) -> None:
        self.exited.set()


async def run(agent: Path, options: Mapping[str, str], deadline_s: float, *, lost: Phase) -> Ended:
    """Run `agent` once with `options` on its stdin.

    Raises `PowerError`: NOT_SENT if it can't be started, phase `lost` if it isn't done in time.
    """
    try:
        transport, listener = await asyncio.get_running_loop().subprocess_exec(
            _Listener,
            agent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": _PATH, "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
    except OSError as error:
        raise PowerError(
            Phase.NOT_SENT, f"{agent}: can't be started: {error.strerror}", stage=Stage.TOOL
        ) from None
    try:
        _tell(transport, options)
        async with asyncio.timeout(deadline_s):
            await listener.exited.wait()
        await _wait(listener.drained, _DRAIN_S)
    except TimeoutError:
        raise PowerError(lost, f"{agent.name}: not done in {deadline_s:g} s; killed") from None
    finally:
        await _end(transport, listener)
    status = transport.get_returncode()
    return Ended(status or 0, listener.kept.decode(errors="replace").strip())


def _tell(transport: asyncio.SubprocessTransport, options: Mapping[str, str]) -> None:
    stdin = transport.get_pipe_transport(0)
    if isinstance(stdin, asyncio.WriteTransport):
        stdin.write("".join(f"{key}={value}\n" for key, value in options.items()).encode())
        stdin.close()  # once all is written


async def _end(transport: asyncio.SubprocessTransport, listener: _Listener) -> None:
    """Leave nothing of the group behind, whichever way we came here."""
    try:
        if not listener.exited.is_set():
            _signal(transport.get_pid(), signal.SIGTERM)
            await _wait(listener.exited, _GRACE_S)
    finally:
        _signal(transport.get_pid(), signal.SIGKILL)
        await _wait(listener.exited, _GRACE_S)
        transport.close()


async def _wait(event: asyncio.Event, most_s: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), most_s)


def _signal(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
