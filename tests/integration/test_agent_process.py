"""The installed program `pimedic-agent`: flags, readiness, signals, exit status."""

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from common.wire import Command
from tests.integration.agent_at_work import Node
from tests.integration.agent_peer import MASTER_KEY, NODE, Peer

PROGRAM = Path(sys.executable).with_name("pimedic-agent")


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    """An honest supervisor."""
    peer = Peer()
    await peer.start()
    yield peer
    await peer.stop()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A healthy node with its key."""
    key = tmp_path / "node.key"
    key.write_text(MASTER_KEY.hex())
    key.chmod(0o600)
    return Node(tmp_path)


def _flags(node: Node, supervisor: str) -> list[str]:
    return [
        *("--node", NODE, "--role", "backup", "--supervisor", supervisor, "--interval", "0.05"),
        *("--listen", "127.0.0.1:0", "--path.procfs", str(node.procfs)),
        *("--path.rootfs", str(node.rootfs), "--path.run", str(node.run)),
        *("--systemctl", " ".join(node.systemctl), "--no-detector", "clock_sync"),
    ]


@asynccontextmanager
async def _started(*flags: str, **env: str) -> AsyncIterator[Process]:
    environment = {**os.environ, **env}
    process = await asyncio.create_subprocess_exec(
        PROGRAM, *flags, stderr=PIPE, stdout=PIPE, env=environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_stops_it_within_two_seconds(peer: Peer, node: Node, number: int) -> None:
    """SIGTERM and SIGINT end it cleanly, with status 0, and its log is JSON lines."""
    flags = [*_flags(node, peer.url), "--key-file", str(node.run.with_name("node.key"))]
    async with _started(*flags) as process:
        await peer.beats_more(3)
        process.send_signal(number)
        async with asyncio.timeout(2):
            _, log = await process.communicate()
    assert process.returncode == 0
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert events[0] == "agent_started"
    assert MASTER_KEY.hex().encode() not in log


async def test_stops_while_a_treatment_hangs(peer: Peer, node: Node) -> None:
    """A treatment in the middle of its work doesn't delay the end."""
    (node.units / "slow").touch()
    flags = [*_flags(node, peer.url), "--key-file", str(node.run.with_name("node.key"))]
    peer.commands["c1"] = _restart_ssh()
    async with _started(*flags) as process:
        await peer.until(lambda: node.restarts() == 1)
        process.terminate()
        async with asyncio.timeout(2):
            await process.wait()
    assert process.returncode == 0


async def test_speaks_with_systemd(peer: Peer, node: Node, tmp_path: Path) -> None:
    """Key from the credentials directory; READY, then WATCHDOG again and again, then STOPPING."""
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.setblocking(False)
        env = {
            "NOTIFY_SOCKET": address,
            "WATCHDOG_USEC": "200000",
            "CREDENTIALS_DIRECTORY": str(tmp_path),
        }
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(20), _started(*_flags(node, peer.url), **env) as process:
            assert await loop.sock_recv(systemd, 100) == b"READY=1"
            for _ in range(3):
                assert await loop.sock_recv(systemd, 100) == b"WATCHDOG=1"
            process.terminate()
            while (said := await loop.sock_recv(systemd, 100)) == b"WATCHDOG=1":
                pass
            assert said == b"STOPPING=1"
            await process.communicate()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (["--interval", "never"], "argument --interval: expected a number of seconds"),
        (["--key-file", "/no/such/key"], "argument --key-file: /no/such/key: key can't be read"),
        (["--key-file", "/etc/passwd"], "argument --key-file: /etc/passwd: key is readable"),
        ([], "argument --key-file: missing"),
    ],
)
async def test_mistakes_end_it_with_two(node: Node, changes: list[str], complaint: str) -> None:
    """A flag or key that can't be used: one clear line, status 2."""
    async with _started(*_flags(node, "http://127.0.0.1:1"), *changes) as process:
        async with asyncio.timeout(20):
            _, said = await process.communicate()
    assert process.returncode == 2
    assert complaint in said.decode()
    assert said.count(b"\n") == 1


async def test_port_in_use_ends_it_with_one(node: Node, peer: Peer, tmp_path: Path) -> None:
    """A port that another program has is a failure, told in a line, without a traceback."""
    flags = [*_flags(node, peer.url), "--listen", f"127.0.0.1:{peer.port}"]
    async with _started(*flags, CREDENTIALS_DIRECTORY=str(tmp_path)) as process:
        async with asyncio.timeout(20):
            _, said = await process.communicate()
    assert process.returncode == 1
    assert b"address already in use" in said
    assert b"Traceback" not in said


def _restart_ssh() -> Command:
    return Command(id="c1", treatment="restart_unit", arguments={"unit": "ssh"}, deadline_s=30)
