"""The ssh side of one connection: who may log in, and what becomes of a command.

A command's output is held back until it ends, then sent as the fault in force wants it.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

import asyncssh

from lab.switch.ash import Streams
from lab.switch.faults import Fault, Faults, Kind, Place

if TYPE_CHECKING:
    from collections.abc import Mapping

_RESETS = {Kind.RESET_BEFORE, Kind.RESET_MID, Kind.RESET_AFTER}
_LEAST_MID_S = 0.01


class Switch(Protocol):
    """What a session needs of the switch."""

    faults: Faults

    def note(self, line: str) -> int:
        """Record that `line` was asked for."""

    def run_line(self, line: str, session: int, streams: Streams) -> "asyncio.Task[int]":
        """Run it on the switch."""

    def serve_channel(self, work: Coroutine[Any, Any, None]) -> None:
        """Look after the channel."""


class Greeter(asyncssh.SSHServer):
    """Decides who may log in: by public key or password, nothing else."""

    def __init__(
        self,
        accepts_key: Callable[[str, asyncssh.SSHKey], bool],
        accepts_password: Callable[[str, str], bool],
        open_channel: Callable[[], "Channel | None"],
        banner: str = "",
    ) -> None:
        self._accepts_key = accepts_key
        self._accepts_password = accepts_password
        self._open_channel = open_channel
        self._banner = banner
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Remember the connection."""
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        """Everybody has to log in."""
        del username
        if self._banner and self._connection:
            self._connection.send_auth_banner(self._banner)
        return True

    def public_key_auth_supported(self) -> bool:
        """Keys are accepted."""
        return True

    def password_auth_supported(self) -> bool:
        """Passwords are accepted."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Check a key."""
        return self._accepts_key(username, key)

    def validate_password(self, username: str, password: str) -> bool:
        """Check a password."""
        return self._accepts_password(username, password)

    def session_requested(self) -> "Channel | bool":
        """Open a channel, or refuse to."""
        return self._open_channel() or False


class Channel(asyncssh.SSHServerSession[str]):
    """One exec request."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._line = ""
        self._channel: asyncssh.SSHServerChannel[str] | None = None

    def connection_made(self, chan: "asyncssh.SSHServerChannel[str]") -> None:
        """Remember the channel."""
        self._channel = chan

    def pty_requested(
        self, term_type: str, term_size: tuple[int, int, int, int], term_modes: "Mapping[int, int]"
    ) -> bool:
        """Grant a terminal; it makes no difference here."""
        del term_type, term_size, term_modes
        return True

    def exec_requested(self, command: str) -> bool:
        """Take the command."""
        self._line = command
        return True

    def eof_received(self) -> bool:
        """Go on when the client has nothing more to say."""
        return True

    def session_started(self) -> None:
        """Start the command."""
        self._switch.serve_channel(self._serve())

    async def _serve(self) -> None:
        session = self._switch.note(self._line)
        fault = self._switch.faults.strike(Place.EXEC, self._line)
        kind = fault.kind if fault else None
        if kind is Kind.HANG_BEFORE:
            return  # the channel stays open, and nobody will ever speak on it
        if kind is Kind.RESET_BEFORE:
            self._reset()
            return
        out: list[str] = []
        err: list[str] = []
        job = self._switch.run_line(self._line, session, Streams(out.append, err.append))
        mid_s = max(fault.seconds, _LEAST_MID_S) if fault and kind is Kind.RESET_MID else None
        await asyncio.wait([job], timeout=mid_s)
        if kind is not Kind.HANG_AFTER and not job.cancelled():
            status = job.result() if job.done() else 0
            await self._answer("".join(out), "".join(err), status, fault)

    async def _answer(self, out: str, err: str, status: int, fault: Fault | None) -> None:
        channel = self._channel
        if channel is None or channel.is_closing():
            return
        kind = fault.kind if fault else None
        if fault and kind in {Kind.RESET_MID, Kind.TRUNCATED, Kind.OUTPUT_NOISE}:
            out = _spoil(out, fault)
        if fault and kind is Kind.SLOW_DRIP:
            for character in out:
                if channel.is_closing():
                    return
                channel.write(character)
                await asyncio.sleep(fault.seconds)
        else:
            channel.write(out)
        channel.write_stderr(err)
        if kind in _RESETS:
            self._reset()
        elif kind is Kind.NO_EXIT_STATUS:
            channel.close()
        else:
            channel.exit(status)

    def _reset(self) -> None:
        """Cut the TCP connection under everything, with a reset."""
        if self._channel is None:
            return
        connection = self._channel.get_connection()
        sock = connection.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.abort()


def _spoil(out: str, fault: Fault) -> str:
    match fault.kind:
        case Kind.RESET_MID:
            return out[: len(out) // 2]
        case Kind.TRUNCATED:
            return out[: fault.amount]
        case _:
            return f"Welcome to UniFi US-48!\n\n{out}\nlogin: last attempt 2 days ago\n"
