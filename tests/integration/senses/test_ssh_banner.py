"""The ssh banner sense against real sockets: each outcome as a node would cause it."""

import asyncio
import socket
import struct
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from common.observations import Sense
from supervisor.core.liveness import Ssh
from supervisor.senses.ssh_banner import SshBannerSense, banner
from supervisor.senses.tcp import OwnFaultError
from tests.integration.servers import Speak, a_full_port, a_server, is_silent
from tests.supervisor.pictures import a_node


def says(text: bytes) -> Speak:
    """Write `text` and close."""

    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await writer.drain()

    return speak


async def resets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection, as sshd does when it can't fork its child."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize(
    ("speak", "outcome", "detail"),
    [
        (says(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), Ssh.BANNER, "SSH-2.0-OpenSSH_9.2p1 Debian-2"),
        (says(b"Welcome!\r\nSSH-2.0-x\r\n"), Ssh.BANNER, "SSH-2.0-x"),
        (says(b""), Ssh.RESET, "closed before the banner"),
        (says(b"SSH-2.0-cut"), Ssh.RESET, "closed before the banner: SSH-2.0-cut"),
        (
            says(b"Exceeded MaxStartups\r\n"),
            Ssh.RESET,
            "closed before the banner: Exceeded MaxStartups",
        ),
        (says(b"\x1b[2J\n" * 5000), Ssh.RESET, "speaks, but not ssh: " + ("[2J  " * 40).strip()),
        (resets, Ssh.RESET, "Connection reset by peer"),
        (is_silent, Ssh.SILENT, "accepted, then silent for 0.3 s"),
    ],
    ids=["banner", "late_banner", "closed", "cut", "busy", "not_ssh", "reset", "silent"],
)
async def test_what_an_accepting_port_may_do(speak: Speak, outcome: Ssh, detail: str) -> None:
    """Only a banner is a sign of life; a reset and a silence are told apart."""
    async with a_server(speak) as port:
        found, told = await banner("127.0.0.1", port, 0.3 if outcome is Ssh.SILENT else 5)
    assert found is outcome
    assert " ".join(told.split()) == " ".join(detail.split())


async def test_a_closed_port_refuses() -> None:
    """Which proves a kernel."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found = await banner("127.0.0.1", free.getsockname()[1], 5)
    assert found == (Ssh.REFUSED, "Connection refused")


async def test_a_full_backlog_is_nothing() -> None:
    """No answer to the handshake within the timeout: nothing came back."""
    with a_full_port() as port:
        found = await banner("127.0.0.1", port, 0.3)
    assert found == (Ssh.NOTHING, "no answer within 0.3 s")


async def test_no_route_is_nothing() -> None:
    """The kernel says so at once."""
    found = await banner("127.255.255.255", 22, 5)
    assert found == (Ssh.NOTHING, "Network is unreachable")


async def test_a_source_address_that_is_not_ours_is_our_own_fault() -> None:
    """It tells nothing about the node."""
    with pytest.raises(OwnFaultError):
        await banner("127.0.0.1", 1, 1, "192.0.2.1")


async def test_the_source_address_is_used() -> None:
    """The node sees the address that the settings name."""
    seen: list[str] = []

    async def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peername")[0])
        writer.write(b"SSH-2.0-x\r\n")

    async with a_server(note) as port:
        await banner("127.0.0.1", port, 5, "127.0.0.42")
    assert seen == ["127.0.0.42"]


async def test_our_own_fault_is_no_observation_and_logged_once() -> None:
    """No data is not a failure of the node."""
    sense = SshBannerSense(1, 1, source="192.0.2.1")
    with capture_logs() as logs:
        assert await sense.look(a_node("green1", 1)) is None
        assert await sense.look(a_node("green2", 2)) is None
    assert [log["event"] for log in logs] == ["sense_impaired"]


async def test_every_node_is_looked_at_again_and_again() -> None:
    """Each in its turn, a few at a time, as observations of the probe."""
    seen = []
    async with a_server(says(b"SSH-2.0-x\r\n"), "0.0.0.0") as port:
        nodes = [replace(a_node(f"green{n}", n), ssh_port=port) for n in range(1, 6)]
        sense = SshBannerSense(0.05, 5, at_once=2)
        looking = asyncio.get_running_loop().create_task(sense.run(nodes, seen.append))
        async with asyncio.timeout(10):
            while len(seen) < 15:  # noqa: ASYNC110 - a condition on a list
                await asyncio.sleep(0.01)
        looking.cancel()
        await asyncio.wait({looking})
    found = [one for event in seen for one in event.observations]
    assert {one.node for one in found} == {node.name for node in nodes}
    assert {(one.sense, one.kind, one.outcome) for one in found} == {
        (Sense.PROBE, "ssh_banner", "banner")
    }
