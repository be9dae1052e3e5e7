"""Treatments over ssh, against a real ssh server on loopback."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from supervisor.actuators.ssh import SshActuator
from supervisor.actuators.ssh_commands import COMMANDS
from supervisor.core.effects import Action, Treatment
from supervisor.core.events import Result
from tests.integration.servers import a_server, is_silent
from tests.supervisor.pictures import a_node

Serve = Callable[[asyncssh.SSHServerProcess[str]], Awaitable[None]]


class Rack:
    """One node's sshd, and an actuator that knows it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.client_key = asyncssh.generate_private_key("ssh-ed25519")
        self.ran: list[str] = []
        self.peers: list[str] = []
        self.node = a_node("green1", 1)

    def actuator(self, **changes: object) -> SshActuator:
        """An actuator whose files fit the node."""
        key, known = self.directory / "key", self.directory / "known_hosts"
        key.write_bytes(self.client_key.export_private_key())
        key.chmod(0o600)
        public = self.host_key.export_public_key().decode()
        known.write_text(f"[{self.node.ip}]:{self.node.ssh_port} {public}")
        return replace(SshActuator({"green1": self.node}, key, known), **changes)


@contextlib.asynccontextmanager
async def a_rack(directory: Path, serve: Serve | None = None) -> AsyncIterator[Rack]:
    """Run the node's sshd until the block ends; `serve` handles a command."""
    rack = Rack(directory)

    class Server(asyncssh.SSHServer):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            rack.peers.append(conn.get_extra_info("peername")[0])

        def begin_auth(self, _: str) -> bool:
            return True

        def public_key_auth_supported(self) -> bool:
            return True

        def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
            return username == "ubuntu" and key == rack.client_key.convert_to_public()

    async def process(process: asyncssh.SSHServerProcess[str]) -> None:
        rack.ran.append(process.command or "")
        if serve is None:
            process.exit(0)
        else:
            await serve(process)

    server = await asyncssh.listen(
        rack.node.ip,
        0,
        server_factory=Server,
        server_host_keys=[rack.host_key],
        process_factory=process,
    )
    rack.node = replace(rack.node, ssh_port=server.get_port())
    try:
        yield rack
    finally:
        server.close()
        await server.wait_closed()


def an_action(
    treatment: Treatment = Treatment.RESTART_AGENT, node: str = "green1", deadline_s: float = 10
) -> Action:
    """An order."""
    return Action("a1", node, treatment, deadline_s, {"unit": "; rm -rf /"})


@pytest.mark.parametrize("treatment", list(COMMANDS))
async def test_a_treatment_is_its_fixed_command(tmp_path: Path, treatment: Treatment) -> None:
    """Nothing of an action's arguments reaches a shell."""
    async with a_rack(tmp_path) as rack:
        result, _ = await rack.actuator(source="127.0.0.42").perform(an_action(treatment))
    assert result is Result.SUCCEEDED
    assert rack.ran == [COMMANDS[treatment]]
    assert rack.peers == ["127.0.0.42"]


async def complains(process: asyncssh.SSHServerProcess[str]) -> None:
    """Fail with words."""
    process.stderr.write("sudo: a password\nis required\n")
    process.exit(1)


async def hangs_up(process: asyncssh.SSHServerProcess[str]) -> None:
    """Lose the connection while the command runs."""
    process.channel.get_connection().abort()


async def is_killed(process: asyncssh.SSHServerProcess[str]) -> None:
    """End by a signal."""
    process.exit_with_signal("TERM")


async def never_ends(process: asyncssh.SSHServerProcess[str]) -> None:
    """Run for as long as the client stays."""
    await process.stdin.read()
    await process.wait_closed()


async def floods(process: asyncssh.SSHServerProcess[str]) -> None:
    """Complain without end."""
    with contextlib.suppress(OSError, asyncssh.Error):
        while True:
            process.stderr.write("x" * 65536)
            await process.stderr.drain()


@pytest.mark.parametrize(
    ("serve", "treatment", "result", "detail"),
    [
        (complains, Treatment.RESTART_AGENT, Result.FAILED, "a password is required"),
        (complains, Treatment.REBOOT, Result.FAILED, "exit status 1"),
        (hangs_up, Treatment.RESTART_AGENT, Result.UNKNOWN, "connection"),
        (hangs_up, Treatment.REBOOT, Result.SUCCEEDED, "as a rebooting one does"),
        (is_killed, Treatment.RESTART_AGENT, Result.UNKNOWN, "signal TERM"),
        (is_killed, Treatment.REBOOT, Result.SUCCEEDED, "as a rebooting one does"),
        (never_ends, Treatment.RESTART_AGENT, Result.UNKNOWN, "hadn't ended"),
        (never_ends, Treatment.REBOOT, Result.UNKNOWN, "hadn't ended"),
        (floods, Treatment.RESTART_AGENT, Result.UNKNOWN, "hadn't ended"),
    ],
)
async def test_only_an_exit_status_is_proof(
    tmp_path: Path, serve: Serve, treatment: Treatment, result: Result, detail: str
) -> None:
    """But a node that reboots may hang up."""
    deadline = 2 if serve in {never_ends, floods} else 10
    async with a_rack(tmp_path, serve) as rack:
        found, told = await rack.actuator().perform(an_action(treatment, deadline_s=deadline))
    assert found is result
    assert detail in told
    assert len(told) < 500


async def test_another_host_key_is_refused_loudly(tmp_path: Path) -> None:
    """Nothing is sent to an impostor."""
    async with a_rack(tmp_path) as rack:
        real = rack.host_key
        rack.host_key = asyncssh.generate_private_key("ssh-ed25519")
        actuator = rack.actuator()
        rack.host_key = real
        result, told = await actuator.perform(an_action())
    assert result is Result.REFUSED
    assert "HOST KEY MISMATCH" in told
    assert rack.ran == []


async def test_a_key_the_node_does_not_know_is_refused(tmp_path: Path) -> None:
    """Trying again wouldn't help."""
    async with a_rack(tmp_path) as rack:
        actuator = rack.actuator()
        rack.client_key = asyncssh.generate_private_key("ssh-ed25519")
        result, told = await actuator.perform(an_action())
    assert (result, rack.ran) == (Result.REFUSED, [])
    assert "ubuntu" in told


async def test_no_connection_means_nothing_happened(tmp_path: Path) -> None:
    """Refused, reset before the banner, or silent: safe to try again."""
    async with a_rack(tmp_path) as rack:
        gone = rack.actuator()
    assert (await gone.perform(an_action()))[0] is Result.NOT_SENT

    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    for behave in (close, is_silent):
        async with a_server(behave) as port:
            rack.node = replace(rack.node, ssh_port=port)
            result, told = await rack.actuator(connect_s=1).perform(an_action())
        assert result is Result.NOT_SENT
        assert "green1" in told


@pytest.mark.parametrize("missing", ["key", "known_hosts"])
async def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    """It is our own configuration that is wrong."""
    async with a_rack(tmp_path) as rack:
        actuator = rack.actuator()
        (tmp_path / missing).unlink()
        result, told = await actuator.perform(an_action())
    assert result is Result.REFUSED
    assert str(tmp_path / missing) in told


async def test_what_ssh_cannot_do_is_refused(tmp_path: Path) -> None:
    """Another actuator's treatment, or a node that isn't there."""
    actuator = SshActuator({"green1": a_node("green1", 1)}, tmp_path, tmp_path)
    for action in (an_action(Treatment.POWER_CYCLE), an_action(node="mallory")):
        assert (await actuator.perform(action))[0] is Result.REFUSED
