"""The bus connection, over real sockets and, where it is installed, a real dbus-daemon."""

import asyncio
import shutil
import socket
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agents.bus import BUS, Bus, BusError, Object, SilentError, connected
from agents.detector import DetectorError
from agents.detectors.units import UnitsOnBus
from agents.restarting import RestarterOnBus
from agents.treatment import TreatmentError
from agents.treatments.restart_unit import RestartUnit

needs_daemon = pytest.mark.skipif(
    not shutil.which("dbus-daemon"), reason="needs dbus-daemon, of the Debian package dbus"
)


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    """A real message bus of this test's own."""
    command = ("dbus-daemon", "--session", "--nofork", "--print-address", "--nopidfile")
    listen = f"--address=unix:path={tmp_path}/bus"
    daemon = await asyncio.create_subprocess_exec(*command, listen, stdout=PIPE, stderr=DEVNULL)
    try:
        async with asyncio.timeout(10):
            line = await daemon.stdout.readline()
        yield line.decode().split(",")[0].strip()
    finally:
        if daemon.returncode is None:
            daemon.kill()
        await daemon.wait()


@pytest.fixture
def mute(tmp_path: Path) -> Iterator[str]:
    """A socket that takes connections and never says a word."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "mute"))
        server.listen()
        yield f"unix:path={tmp_path}/mute"


async def test_bus_that_is_not_there_is_an_error_that_says_where(tmp_path: Path) -> None:
    """Not a traceback, and not a wait."""
    with pytest.raises(BusError, match=r"nothing: No such file or directory"):
        await Bus.open(f"unix:path={tmp_path}/nothing")


async def test_bus_that_says_nothing_is_given_up(mute: str) -> None:
    """The connection itself has a deadline."""
    with pytest.raises(BusError):
        await Bus.open(mute)


async def test_without_a_bus_units_are_unknown_and_restarts_fail(tmp_path: Path) -> None:
    """The detector raises, which the runner turns into unknown; the treatment says why."""
    address = f"unix:path={tmp_path}/nothing"
    detector = UnitsOnBus(address, ("ssh.service",))
    with pytest.raises(DetectorError, match="No such file"):
        await detector.watch(lambda: None)
    with pytest.raises(DetectorError, match="No such file"):
        await detector.observe()
    treatment = RestartUnit(RestarterOnBus(address), ("ssh.service",))
    with pytest.raises(TreatmentError, match=r"restart of ssh\.service: .*No such file"):
        await treatment.carry_out({"unit": "ssh"}, 5)


@needs_daemon
async def test_errors_carry_their_name_and_text(address: str) -> None:
    """What the other side refuses is told in its own words."""
    async with connected(address) as bus:
        with pytest.raises(BusError, match=r"org\.nobody") as caught:
            await bus.call(BUS, "GetNameOwner", "s", "org.nobody", deadline_s=5)
        assert caught.value.name == "org.freedesktop.DBus.Error.NameHasNoOwner"
        assert await bus.get(BUS, "Features", 5) is not None


@needs_daemon
async def test_unanswered_call_blocks_further_ones_until_it_is_answered(address: str) -> None:
    """Questions to a service that hangs don't pile up; its late answer frees the way."""
    async with connected(address) as bus:
        late = _Late(address)
        name = await late.start()
        target = Object(name, "/", "org.freedesktop.DBus.Peer")
        with pytest.raises(SilentError, match=r"gave no answer within 0\.1 s"):
            await bus.call(target, "Ping", "", deadline_s=0.1)
        with pytest.raises(SilentError, match="has not answered for"):
            await bus.call(BUS, "ListNames", "", deadline_s=5)
        assert late.calls == 1
        late.answer.set()
        async with asyncio.timeout(5):
            while not await _answers(bus):  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)
        await late.stop()


@needs_daemon
async def test_end_of_the_bus_is_noticed(address: str) -> None:
    """A connection that the other side closes is over, and says so."""
    async with connected(address) as bus, connected(address) as other:
        await other.close()
        assert other.closed.done()
        with pytest.raises(BusError, match="has ended"):
            await other.call(BUS, "ListNames", "", deadline_s=5)
        assert not bus.closed.done()


async def _answers(bus: Bus) -> bool:
    try:
        await bus.call(BUS, "ListNames", "", deadline_s=5)
    except SilentError:
        return False
    return True


class _Late:
    """A service that takes calls and answers none before it may."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.calls = 0
        self.answer = asyncio.Event()

    async def start(self) -> str:
        from dbus_fast.aio import MessageBus  # noqa: PLC0415 - as the code under test does

        self._bus = await MessageBus(bus_address=self._address).connect()
        self._bus.add_message_handler(self._called)
        return self._bus.unique_name

    async def stop(self) -> None:
        self._bus.disconnect()
        await self._bus.wait_for_disconnect()

    def _called(self, message: object) -> object:
        from dbus_fast.constants import MessageType  # noqa: PLC0415 - as above
        from dbus_fast.message import Message  # noqa: PLC0415 - as above

        if message.message_type is not MessageType.METHOD_CALL:
            return None
        self.calls += 1

        async def later() -> None:
            await self.answer.wait()
            await self._bus.send(Message.new_method_return(message))

        self._task = asyncio.get_running_loop().create_task(later())
        return True
