"""A virtual Pi's sshd: a real ssh server on its own address, and the ways in which it fails."""

import contextlib
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncssh

from common.tasks import spawn
from lab.ports import Mode, Port, reset

_VERSION = "OpenSSH_9.6p1 Ubuntu-3ubuntu13.5"
_LOGIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said, and its exit status."""

    status: int
    out: str = ""
    err: str = ""


Run = Callable[[str], Awaitable[Answer]]


async def _knows_nothing(command: str) -> Answer:
    return Answer(127, err=f"bash: line 1: {command}: command not found\n")


class SshEndpoint:
    """Answers for one Pi on `ip`:`port`. Only `user` with the one client key gets in.

    `run` carries out commands; the Pi sets it.
    """

    def __init__(
        self,
        ip: str,
        port: int,
        user: str,
        host_key: asyncssh.SSHKey,
        client_key: asyncssh.SSHKey,
    ) -> None:
        self._port = Port(ip, port, self._serve)
        self._user, self._host_key, self._client_key = user, host_key, client_key
        self.run: Run = _knows_nothing
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._greeting: set[socket.socket] = set()

    @property
    def mode(self) -> Mode:
        """How connections are met."""
        return self._port.mode

    def become(self, mode: Mode) -> None:
        """Change the mode, now; whoever is connected is cut off. Raises `OSError`."""
        if mode is self.mode:
            return
        for connection in list(self._connections):
            connection.abort()
        for sock in list(self._greeting):
            with contextlib.suppress(OSError):  # whoever it was has gone already
                sock.shutdown(socket.SHUT_RDWR)
        self._port.become(mode)

    def _serve(self, sock: socket.socket) -> None:
        spawn(self._speak(sock), f"ssh-{self._port.ip}")

    async def _speak(self, sock: socket.socket) -> None:
        """Serve one connection to its end. That clients break off is their everyday right."""
        self._greeting.add(sock)
        try:
            connection = await asyncssh.run_server(
                sock,
                config=None,
                server_factory=lambda: _Login(self._user, self._client_key),
                process_factory=self._process,
                server_host_keys=[self._host_key],
                server_version=_VERSION,
                login_timeout=_LOGIN_S,
                gss_host=None,
            )
        except (OSError, asyncssh.Error):
            reset(sock)
            return
        finally:
            self._greeting.discard(sock)
        self._connections.add(connection)
        try:
            await connection.wait_closed()
        finally:
            self._connections.discard(connection)

    async def _process(self, process: "asyncssh.SSHServerProcess[str]") -> None:
        if process.command is None:
            answer = Answer(1, err="This virtual Pi has no login shell: give a command.\n")
        else:
            answer = await self.run(process.command)
        process.stdout.write(answer.out)
        process.stderr.write(answer.err)
        process.exit(answer.status)


class _Login(asyncssh.SSHServer):
    """Lets in one user with one key."""

    def __init__(self, user: str, key: asyncssh.SSHKey) -> None:
        self._user, self._key = user, key

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002 - asyncssh's signature
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == self._user and key.public_data == self._key.public_data
