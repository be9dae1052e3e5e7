"""What a connection to a virtual Pi's port meets, on real sockets."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest

from lab.addresses import Addresses
from lab.ports import Mode, Port, reset

NUMBER = 2222


@pytest.fixture
async def port(addresses: Addresses) -> Iterator[Port]:
    """A port that greets while it serves."""

    def greet(connection: socket.socket) -> None:
        connection.send(b"hello")
        connection.close()

    made = Port(addresses.of("192.168.2.20"), NUMBER, greet)
    yield made
    made.become(Mode.CLOSED)


async def met(port: Port, patience_s: float = 2.0) -> str:
    """Connect, read, and name what came of it."""
    writer = None
    try:
        async with asyncio.timeout(patience_s):
            reader, writer = await asyncio.open_connection(port.ip, port.number)
        async with asyncio.timeout(patience_s):
            return (await reader.read(100)).decode() or "eof"
    except ConnectionRefusedError:
        return "refused"
    except ConnectionResetError:
        return "reset"
    except TimeoutError:
        return "silence" if writer else "no connection"
    finally:
        if writer:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


CASES = [
    (Mode.SERVING, "hello"),
    (Mode.RESETTING, "reset"),
    (Mode.MUTE, "silence"),
    (Mode.CLOSED, "refused"),
    (Mode.DARK, "no connection"),
]


@pytest.mark.parametrize(("mode", "outcome"), CASES)
async def test_each_mode_meets_a_connection_in_its_own_way(
    port: Port, mode: Mode, outcome: str
) -> None:
    """Serving greets, resetting resets, mute is silent, closed refuses, dark times out."""
    port.become(Mode.SERVING)
    port.become(mode)
    assert await met(port, 0.5) == outcome


async def test_a_dark_port_stays_dark_however_many_knock(port: Port) -> None:
    """Every SYN is dropped, not only the first ones: no connection of ten gets through."""
    port.become(Mode.DARK)
    assert set(await asyncio.gather(*(met(port, 0.5) for _ in range(10)))) == {"no connection"}


@pytest.mark.parametrize("before", [mode for mode, _ in CASES])
async def test_any_mode_can_become_any_other(port: Port, before: Mode) -> None:
    """Whatever a port was, afterwards it is what it was told to become."""
    for after, outcome in CASES:
        port.become(before)
        port.become(after)
        assert await met(port, 0.5) == outcome, f"{before} -> {after}"


async def test_whoever_was_held_in_silence_is_reset_when_the_silence_ends(port: Port) -> None:
    """A hung host that reboots forgets its connections."""
    port.become(Mode.MUTE)
    reader, writer = await asyncio.open_connection(port.ip, port.number)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.2)  # by now it was accepted, and held
    port.become(Mode.SERVING)
    with pytest.raises(ConnectionResetError):
        await reader.read(1)
    writer.close()


async def test_a_port_that_went_dark_can_be_taken_over_at_once(port: Port) -> None:
    """What leaves the dark frees its port for the agent, without a moment of `in use`."""
    port.become(Mode.DARK)
    port.become(Mode.CLOSED)
    server = await asyncio.start_server(lambda _, writer: writer.close(), port.ip, port.number)
    server.close()
    await server.wait_closed()


async def test_a_taken_port_is_named(port: Port) -> None:
    """Two owners of one port: the second is told which."""
    other = Port(port.ip, port.number)
    port.become(Mode.SERVING)
    with pytest.raises(OSError, match=rf"Address already in use: {port.ip}:2222"):
        other.become(Mode.DARK)


def test_reset_survives_a_connection_that_is_already_gone() -> None:
    """The other side being faster is no error."""
    ours, theirs = socket.socketpair()
    theirs.close()
    reset(ours)
    reset(ours)
