"""A small fake switch in a process of its own, which outlives every death of the supervisor.

Its count of transitions lies in memory shared with its relatives, so that a dying process can
tell at which state of the switch it dies. Everything else is asked over a control socket.
"""

import asyncio
import contextlib
import json
import mmap
import os
import signal
import socket
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import asyncssh

from lab.crash import children
from lab.switch.ports import Latencies, Transition
from lab.switch.server import FakeSwitch

PORTS = (2, 3)  # with a Pi each; port 1 is empty
QUIET_S = 10.0


@dataclass(frozen=True, slots=True)
class Report:
    """The switch once it came to rest: its log since the last reset, and its ports."""

    log: tuple[Transition, ...]
    admin: dict[int, str]
    powered: dict[int, bool]


class _CountedLog(list[Transition]):
    """A transition log that keeps its length where other processes can see it."""

    def __init__(self, shared: mmap.mmap) -> None:
        super().__init__()
        self._shared = shared
        self._count()

    def append(self, one: Transition) -> None:
        super().append(one)
        self._count()

    def clear(self) -> None:
        super().clear()
        self._count()

    def _count(self) -> None:
        self._shared[:8] = struct.pack("q", len(self))


class _HastySwitch(FakeSwitch):
    """Sleeps for one of its seconds at most: the second `auto` of a cycle may come sooner."""

    async def _sleep(self, seconds: float) -> None:
        await super()._sleep(min(seconds, 1.0))


class Rack:
    """Starts the switch's process; the rest is a synchronous client of it."""

    def __init__(self, directory: Path, *, latencies: Latencies, second_s: float) -> None:
        """Start it, with its keys and socket in `directory`."""
        self._shared = mmap.mmap(-1, 8)
        self._latencies, self._second_s = latencies, second_s
        self.known_hosts, self.client_key = directory / "known_hosts", directory / "key"
        key = asyncssh.generate_private_key("ssh-ed25519")
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.client_key.write_bytes(key.export_private_key())
        with socket.create_server(("127.0.0.1", 0)) as control:
            where = control.getsockname()
            self.pid = children.spawn(
                lambda: asyncio.run(self._serve(control, key)), directory / "switch.log"
            )
        self._control = socket.create_connection(where, timeout=2 * QUIET_S)
        self._lines = self._control.makefile("r", encoding="utf-8")
        hello = self._ask("hello")
        self.port = int(hello["port"])
        self.known_hosts.write_text(hello["known_hosts"], encoding="utf-8")

    def transitions(self) -> int:
        """How many changes the switch has seen since the last reset. Quick."""
        return int(struct.unpack("q", self._shared[:8])[0])

    def reset(self) -> None:
        """Switch every port on and forget the log."""
        self._ask("reset")

    def report(self) -> Report:
        """Wait until nothing is under way on the switch; return what happened."""
        answer = self._ask("report")
        return Report(
            tuple(Transition(**one) for one in answer["log"]),
            {int(port): admin for port, admin in answer["admin"].items()},
            {int(port): powered for port, powered in answer["powered"].items()},
        )

    def close(self) -> None:
        """End the switch's process."""
        self._control.close()
        os.kill(self.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            children.wait(self.pid, 5)

    def _ask(self, word: str) -> dict[str, Any]:
        self._control.sendall(f"{word}\n".encode())
        line = self._lines.readline()
        if not line:
            raise RuntimeError("the switch's process is gone: see switch.log")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def _serve(self, control: socket.socket, key: asyncssh.SSHKey) -> None:
        switch = _HastySwitch(
            authorized_keys=[key], host_key=self._host_key, latencies=self._latencies,
            second_s=self._second_s, poe_count=max(PORTS),
        )  # fmt: skip
        switch.ports.log = _CountedLog(self._shared)
        async with switch:
            alone = asyncio.Event()

            async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                try:
                    await _answer(switch, reader, writer)
                finally:
                    alone.set()  # whoever started us is gone: nobody else would end us
                    writer.close()

            async with await asyncio.start_server(answer, sock=control.dup()):
                await alone.wait()


async def _answer(
    switch: FakeSwitch, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    while line := await reader.readline():
        match line.decode().strip():
            case "hello":
                answer = {"port": switch.port, "known_hosts": switch.known_hosts_line()}
            case "reset":
                answer = await _reset(switch)
            case _:
                answer = await _report(switch)
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()


async def _reset(switch: FakeSwitch) -> dict[str, Any]:
    await _rest(switch)
    for number in PORTS:
        switch.ports.set_admin([number], "auto", "reset", 0)
        await _rest(switch)
        switch.ports.plug(number, mac=f"dc:a6:32:00:00:{number:02x}")
    switch.ports.log.clear()
    return {}


async def _report(switch: FakeSwitch) -> dict[str, Any]:
    await _rest(switch)
    return {
        "log": [asdict(one) for one in switch.ports.log],
        "admin": {port.number: port.admin for port in switch.ports.poe},
        "powered": {port.number: port.powered for port in switch.ports.poe},
    }


async def _rest(switch: FakeSwitch) -> None:
    """Wait until no command runs and no change is due."""
    async with asyncio.timeout(QUIET_S):
        while switch._jobs or switch.ports.next_due() is not None:  # noqa: ASYNC110, SLF001 - our own switch's inside, which has no event for it
            await asyncio.sleep(0.002)
