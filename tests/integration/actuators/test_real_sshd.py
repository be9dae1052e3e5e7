"""Treatments over ssh against a real OpenSSH server, well and hostile."""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import asyncssh
import pytest

from common.topology import Node, Role
from supervisor.actuators.ssh import SshActuator
from supervisor.core.effects import Action, Treatment
from supervisor.core.events import Result
from tests.supervisor.pictures import a_node

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin")
NFS = "nfs-server.service"
ADDRESS = "127.0.0.77"
pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(SSHD is None, reason="sshd isn't installed (Debian package openssh-server)"),
]

# Stands for sudo and systemctl of a Pi: writes down what it was asked.
SUDO = """\
#!/bin/sh
printf '%s\\n' "$*" >> {log}
{then}
"""
HANG_UP = """\
session=$PPID
until [ "$(cat /proc/$session/comm)" = sshd ]; do
    session=$(ps -o ppid= -p $session | tr -d ' ')
    [ "${session:-0}" -gt 1 ] || exit 1  # it has been killed before
done
kill -9 $session
sleep 5
"""


@dataclass
class Sshd:
    """A running OpenSSH server on a port of its own, and the files that fit it."""

    directory: Path
    process: asyncio.subprocess.Process
    port: int
    key: Path
    known_hosts: Path

    @property
    def node(self) -> Node:
        user = pwd.getpwuid(os.getuid()).pw_name
        return replace(
            a_node("pi_login", 1), role=Role.LOGIN, ip=ADDRESS, ssh_port=self.port, ssh_user=user
        )

    @property
    def asked(self) -> list[str]:
        """Return what sudo was asked to run, in order."""
        log = self.directory / "sudo.log"
        return log.read_text().splitlines() if log.exists() else []

    def actuator(self, connect_s: float = 10.0) -> SshActuator:
        return SshActuator({"pi_login": self.node}, self.key, self.known_hosts, connect_s=connect_s)

    async def restart(self, deadline_s: float = 20.0) -> tuple[Result, str]:
        """Restart the NFS server."""
        return await self.actuator().perform(an_order(deadline_s=deadline_s))


def an_order(
    treatment: Treatment = Treatment.RESTART_UNIT, unit: str = NFS, deadline_s: float = 20.0
) -> Action:
    return Action("a1", "pi_login", treatment, deadline_s, {"unit": unit})


def furnish(directory: Path, options: tuple[str, ...], sudo_then: str) -> tuple[int, str]:
    """Write all that sshd needs; return its port and its host key."""
    host_key, client_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    for name, key in (("host_key", host_key), ("key", client_key)):
        (directory / name).write_bytes(key.export_private_key("openssh"))
        (directory / name).chmod(0o600)
    (directory / "authorized_keys").write_bytes(client_key.export_public_key("openssh"))
    programs = directory / "bin"
    programs.mkdir()
    sudo = programs / "sudo"
    sudo.write_text(SUDO.format(log=directory / "sudo.log", then=sudo_then))
    sudo.chmod(0o755)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with socket.create_server((ADDRESS, 0)) as free:
        port = int(free.getsockname()[1])
    lines = (
        *options,
        f"ListenAddress {ADDRESS}:{port}",
        f"HostKey {directory / 'host_key'}",
        f"PidFile {directory / 'sshd.pid'}",
        f"AuthorizedKeysFile {directory / 'authorized_keys'}",
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "PermitRootLogin prohibit-password",
        f"SetEnv PATH={programs}:/usr/bin:/bin",
    )
    (directory / "sshd_config").write_text("\n".join(lines) + "\n")
    return port, host_key.export_public_key().decode()


@contextlib.asynccontextmanager
async def an_sshd(directory: Path, *options: str, sudo_then: str = "") -> AsyncIterator[Sshd]:
    """Run sshd with `options` more in its configuration until the block ends."""
    port, public = furnish(directory, options, sudo_then)
    process = await asyncio.create_subprocess_exec(
        str(SSHD), "-D", "-e", "-f", str(directory / "sshd_config"),
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(20):
            assert process.stderr
            said = ""
            while "Server listening" not in said:
                said = (await process.stderr.readline()).decode()
                assert said, "sshd ended"
        known_hosts = directory / "known_hosts"
        known_hosts.write_text(f"[{ADDRESS}]:{port} {public}")
        yield Sshd(directory, process, port, directory / "key", known_hosts)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.terminate()
        await process.wait()


async def test_a_unit_is_restarted(tmp_path: Path) -> None:
    """Failures are forgotten first, then the unit is restarted, word for word as sudoers allows."""
    async with an_sshd(tmp_path) as sshd:
        result, told = await sshd.restart()
        assert sshd.asked == [
            f"-n /usr/bin/systemctl reset-failed {NFS}",
            f"-n /usr/bin/systemctl restart {NFS}",
        ]
    # This machine runs no such unit: that the restart ended well is not enough.
    assert result is Result.FAILED, told


async def test_a_reboot_that_is_accepted(tmp_path: Path) -> None:
    """An exit status of 0 is the node's word that it was taken."""
    async with an_sshd(tmp_path) as sshd:
        result, _ = await sshd.actuator().perform(an_order(Treatment.REBOOT))
        assert (result, sshd.asked) == (Result.SUCCEEDED, ["-n /usr/bin/systemctl reboot"])


async def test_a_reboot_that_takes_sshd_with_it(tmp_path: Path) -> None:
    """A node that goes down while it answers has taken the order."""
    async with an_sshd(tmp_path, sudo_then=HANG_UP) as sshd:
        result, told = await sshd.actuator().perform(an_order(Treatment.REBOOT))
    assert result is Result.SUCCEEDED
    assert "hung up" in told


async def test_cut_off_in_the_middle(tmp_path: Path) -> None:
    """A session that is killed while the command runs leaves its outcome unknown."""
    async with an_sshd(tmp_path, sudo_then=HANG_UP) as sshd:
        result, _ = await sshd.restart()
    assert result is Result.UNKNOWN


async def test_another_host_key(tmp_path: Path) -> None:
    """A server with another key than the pinned one is told nothing."""
    async with an_sshd(tmp_path) as sshd:
        other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
        sshd.known_hosts.write_text(f"[{ADDRESS}]:{sshd.port} {other}")
        result, told = await sshd.restart()
        assert (result, sshd.asked) == (Result.REFUSED, [])
    assert "HOST KEY MISMATCH" in told


async def test_a_key_that_is_not_let_in(tmp_path: Path) -> None:
    """Without our key among its authorized ones nothing is done, and trying again is no use."""
    async with an_sshd(tmp_path) as sshd:
        (tmp_path / "authorized_keys").write_text("")
        result, _ = await sshd.restart()
        assert (result, sshd.asked) == (Result.REFUSED, [])


async def test_it_hangs_after_the_login(tmp_path: Path) -> None:
    """A shell that never answers costs the deadline, and its outcome is unknown."""
    async with an_sshd(tmp_path, "ForceCommand sleep 60") as sshd:
        result, told = await sshd.restart(deadline_s=3)
    assert result is Result.UNKNOWN
    assert "hadn't ended by its deadline" in told


async def test_another_command_is_forced(tmp_path: Path) -> None:
    """A server that runs something else ends with its status, which is believed."""
    async with an_sshd(tmp_path, "ForceCommand echo account locked >&2; exit 3") as sshd:
        result, told = await sshd.restart()
    assert (result, told) == (Result.FAILED, "exit status 3: account locked")


async def test_no_session_is_allowed(tmp_path: Path) -> None:
    """A login that may open no session has done nothing: it may be tried again."""
    async with an_sshd(tmp_path, "MaxSessions 0") as sshd:
        result, _ = await sshd.restart()
        assert (result, sshd.asked) == (Result.NOT_SENT, [])


async def test_a_server_that_stands_still(tmp_path: Path) -> None:
    """A stopped server, whose kernel accepts all the same, is given up before the command."""
    async with an_sshd(tmp_path) as sshd:
        sshd.process.send_signal(signal.SIGSTOP)
        result, told = await sshd.actuator(connect_s=1).perform(an_order())
        assert result is Result.NOT_SENT
        assert "no login" in told
        sshd.process.send_signal(signal.SIGCONT)
        assert (await sshd.actuator().perform(an_order(Treatment.REBOOT)))[0] is Result.SUCCEEDED


async def test_one_at_a_time_on_a_node(tmp_path: Path) -> None:
    """Two actions on one node are done one after the other, and one that waits too long is not."""
    async with an_sshd(tmp_path, sudo_then="sleep 2") as sshd:
        actuator = sshd.actuator()
        first, second = await asyncio.gather(
            actuator.perform(an_order(Treatment.REBOOT)),
            actuator.perform(an_order(Treatment.REBOOT, deadline_s=0.5)),
        )
        assert (first[0], second[0]) == (Result.SUCCEEDED, Result.NOT_SENT)
        assert len(sshd.asked) == 1
