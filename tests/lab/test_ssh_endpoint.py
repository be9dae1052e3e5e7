"""A virtual Pi's sshd, met by a real ssh client."""

import asyncio
from collections.abc import AsyncIterator

import asyncssh
import pytest

from lab.addresses import Addresses
from lab.ports import Mode
from lab.ssh_endpoint import Answer, SshEndpoint

HOST_KEY, CLIENT_KEY, STRANGER = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(3))


@pytest.fixture
async def endpoint(addresses: Addresses) -> AsyncIterator[SshEndpoint]:
    """A serving endpoint that echoes its commands."""
    made = SshEndpoint(addresses.of("192.168.2.20"), 2222, "ubuntu", HOST_KEY, CLIENT_KEY)

    async def echo(command: str) -> Answer:
        return Answer(3, command, "to stderr")

    made.run = echo
    made.become(Mode.SERVING)
    yield made
    made.become(Mode.CLOSED)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.wait(others, timeout=5) if others else None


def connect(
    endpoint: SshEndpoint, key: asyncssh.SSHKey = CLIENT_KEY, user: str = "ubuntu"
) -> "asyncssh.connection._ACMWrapper":
    """Connect as the supervisor does: pinned host key, one client key, nothing else."""
    port = endpoint._port
    pin = f"[{port.ip}]:2222 {HOST_KEY.export_public_key().decode()}"
    return asyncssh.connect(
        port.ip,
        2222,
        username=user,
        client_keys=[key],
        known_hosts=asyncssh.import_known_hosts(pin),
        config=None,
        agent_path=None,
        connect_timeout=2,
        login_timeout=2,
    )


async def test_the_pinned_host_lets_its_user_run_commands(endpoint: SshEndpoint) -> None:
    """A serving endpoint passes the command on, and output, errors and status back."""
    async with connect(endpoint) as connection:
        done = await connection.run("sudo systemctl reboot")
    assert (done.exit_status, done.stdout, done.stderr) == (3, "sudo systemctl reboot", "to stderr")


@pytest.mark.parametrize(("key", "user"), [(STRANGER, "ubuntu"), (CLIENT_KEY, "root")])
async def test_nobody_else_gets_in(endpoint: SshEndpoint, key: asyncssh.SSHKey, user: str) -> None:
    """Another key, or the right key of another user, is turned away."""
    with pytest.raises(asyncssh.PermissionDenied):
        async with connect(endpoint, key, user):
            pass


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        (Mode.RESETTING, ConnectionResetError),
        (Mode.MUTE, TimeoutError),
        (Mode.CLOSED, ConnectionRefusedError),
        (Mode.DARK, TimeoutError),
    ],
)
async def test_a_sick_host_fails_as_the_real_one_does(
    endpoint: SshEndpoint, mode: Mode, error: type[Exception]
) -> None:
    """What the client sees is what it sees of the rack: reset at key exchange, silence, ..."""
    endpoint.become(mode)
    with pytest.raises((error, asyncssh.ConnectionLost)):
        async with connect(endpoint):
            pass


async def test_a_power_cut_ends_running_sessions(endpoint: SshEndpoint) -> None:
    """Whoever is connected when the host goes dark is cut off, not left waiting for ever."""
    started = asyncio.Event()

    async def for_ever(_command: str) -> Answer:
        started.set()
        await asyncio.sleep(60)
        return Answer(0)

    endpoint.run = for_ever
    async with connect(endpoint) as connection:
        running = asyncio.get_running_loop().create_task(connection.run("sleep 60"))
        await asyncio.wait_for(started.wait(), 5)
        endpoint.become(Mode.DARK)
        done = await asyncio.wait_for(running, 5)
    assert done.exit_status is None
