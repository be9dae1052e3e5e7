"""`look_at_peer`: what one node sees of another, and at whom it may look."""

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from agents.treatment import TreatmentError
from agents.treatments.look_at_peer import LookAtPeer

LOOPBACK = LookAtPeer(("127.0.0.0/8",))
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def _serving(talk: Talk) -> AsyncIterator[str]:
    """Serve loopback on a free port; whoever still hangs at the end is cut off."""
    writers = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await talk(reader, writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield str(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


def _says(text: bytes) -> Talk:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await writer.drain()
        writer.close()

    return talk


def _http(body: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /healthz ")
        await _says(b"HTTP/1.0 200 OK\r\n\r\n" + body)(reader, writer)

    return talk


async def _says_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()
    await asyncio.Event().wait()


async def _resets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER of 0: close with RST
    writer.transport.abort()


def _nfs(status: int) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = struct.unpack(">11I", await reader.readexactly(44))
        assert call[0] == 0x80000028
        assert call[2:] == (0, 2, 100003, 4, 0, 0, 0, 0, 0)
        reply = struct.pack(">6I", call[1], 1, 0, 0, 0, status)
        reply += struct.pack(">2I", 3, 4) if status == 2 else b""
        writer.write(struct.pack(">I", 0x80000000 | len(reply)) + reply)
        await writer.drain()

    return talk


async def _look(deadline_s: float = 5.0, **ports: str) -> dict[str, Any]:
    nobody = {"ssh_port": "1", "agent_port": "1"}
    arguments = {"address": "127.0.0.1", **nobody, **ports}
    assert LOOPBACK.refusal(arguments) == ""
    return json.loads(await LOOPBACK.carry_out(arguments, deadline_s))


@pytest.mark.parametrize(
    ("talk", "outcome"),
    [
        (_says(b"SSH-2.0-OpenSSH_9.6\r\n"), "banner"),
        (_says(b"be warned\r\nSSH-2.0-x\r\n"), "banner"),
        (_says(b""), "reset"),
        (_says(b"x" * 20_000), "reset"),
        (_resets, "reset"),
        (_says_nothing, "silent"),
    ],
)
async def test_ssh(talk: Talk, outcome: str) -> None:
    """The banner is the sign of life; an open port is none."""
    async with _serving(talk) as port:
        seen = await _look(0.7 if outcome == "silent" else 5.0, ssh_port=port)
    assert seen == {"ssh": outcome, "agent": "refused"}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            b'{"boot_id": "b", "uptime_s": 3.5}',
            {"agent": "answers", "boot_id": "b", "uptime_s": 3.5},
        ),
        (b"[]", {"agent": "http"}),
        (b"<html>", {"agent": "http"}),
        (b'{"boot_id": "b"}', {"agent": "http"}),
    ],
)
async def test_agent(body: bytes, told: dict[str, object]) -> None:
    """A peer's agent says which boot it is and how old."""
    async with _serving(_http(body)) as port:
        assert await _look(agent_port=port) == {"ssh": "refused", **told}


@pytest.mark.parametrize(
    ("talk", "outcome"),
    [
        (_nfs(0), "answers"),
        (_nfs(2), "answers"),
        (_nfs(1), "garbled"),
        (_says(b"\x80\x00\x00\x02no"), "garbled"),
        (_says(b"\x80"), "reset"),
        (_says_nothing, "silent"),
    ],
)
async def test_rpc(talk: Talk, outcome: str) -> None:
    """NFS lives if it answers the call that does nothing, also for another version."""
    async with _serving(talk) as port:
        seen = await _look(0.7 if outcome == "silent" else 5.0, rpc_port=port)
    assert seen["rpc"] == outcome


async def test_result_fits_a_command_result() -> None:
    """However long a peer's words are."""
    body = json.dumps({"boot_id": "b" * 5000, "uptime_s": 1e300}).encode()
    async with _serving(_http(body)) as port:
        arguments = {"address": "127.0.0.1", "ssh_port": "1", "agent_port": port, "rpc_port": "1"}
        assert len(await LOOPBACK.carry_out(arguments, 5.0)) <= 400


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "expected an IP address"),
        ({"address": "login"}, "expected an IP address"),
        ({"address": "192.168.3.1"}, "in none of the networks"),
        ({"address": "fe80::1"}, "in none of the networks"),
        ({"address": "192.168.2.9", "ssh_port": "0"}, "expected 1 to 65535"),
        ({"address": "192.168.2.9", "rpc_port": "nfs"}, "expected 1 to 65535"),
        ({"address": "192.168.2.9", "path": "/"}, "unknown argument path"),
    ],
)
def test_refused(arguments: dict[str, str], reason: str) -> None:
    """Only literal addresses of configured networks, and only known arguments."""
    assert reason in LookAtPeer(("192.168.2.0/24",)).refusal(arguments)


def test_unconfigured_agent_looks_at_nobody() -> None:
    """The allow-list is empty unless somebody fills it."""
    assert "in none" in LookAtPeer(()).refusal({"address": "127.0.0.1"})


async def test_no_time_no_look() -> None:
    """A deadline that leaves nothing is said, and nothing is tried."""
    with pytest.raises(TreatmentError, match="no time to look"):
        await LOOPBACK.carry_out({"address": "127.0.0.1"}, 0.1)
