"""A TCP port of a virtual Pi, and what happens to whoever connects to it.

While the port is ours it stays bound, so that a change of mode leaves no gap in which a
connection could be refused that should have been met with silence.
"""

import asyncio
import contextlib
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from enum import StrEnum

_BACKLOG = 128
_RESET_AFTER_S = 0.01  # sshd forks before it fails: the client sees itself connected first
_HELD = 256  # connections kept in silence; beyond, the oldest is reset
_LINGER_0 = struct.pack("ii", 1, 0)  # on close: send RST instead of FIN


class Mode(StrEnum):
    """How a port meets a connection, from healthy to no sign of a host at all."""

    SERVING = "serving"  # handed to whoever serves
    RESETTING = "resetting"  # accepted, then reset before a word: login's weekly symptom
    MUTE = "mute"  # accepted, then silence: a hung host, whose kernel still answers
    CLOSED = "closed"  # refused: nobody listens, and the port is free for others
    DARK = "dark"  # SYNs are dropped: a host without power


def reset(connection: socket.socket) -> None:
    """Close such that the other side gets a reset."""
    with contextlib.suppress(OSError):  # the other side was faster
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
    connection.close()


class Port:
    """One port of one address. `serve` receives connections while the mode is SERVING."""

    def __init__(
        self, ip: str, number: int, serve: Callable[[socket.socket], None] = reset
    ) -> None:
        self.ip, self.number = ip, number
        self.mode = Mode.CLOSED
        self._serve = serve
        self._listener: socket.socket | None = None
        self._held: deque[socket.socket] = deque()
        self._filler: socket.socket | None = None

    def become(self, mode: Mode) -> None:
        """Change the mode, now. Raises `OSError` when the port belongs to somebody else."""
        if mode is self.mode:
            return
        self._leave()
        self.mode = mode
        if mode is Mode.CLOSED:
            self._close()
            return
        listener = self._listener = self._listener or self._bound()
        if mode is Mode.DARK:
            self._go_dark(listener)
        else:
            listener.listen(_BACKLOG)
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _bound(self) -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.ip, self.number))
            listener.listen(0)  # only now would a taken port be noticed
        except OSError as error:
            listener.close()
            self.mode = Mode.CLOSED
            code = error.errno or 0
            raise OSError(code, f"{os.strerror(code)}: {self.ip}:{self.number}") from None
        return listener

    def _leave(self) -> None:
        """Undo the present mode: nobody is accepted, and whoever was held is reset."""
        if self._listener:
            asyncio.get_running_loop().remove_reader(self._listener)
            for connection in _waiting(self._listener):
                reset(connection)
        if self._filler:
            reset(self._filler)
            self._filler = None
        while self._held:
            reset(self._held.popleft())

    def _close(self) -> None:
        if self._listener:
            self._listener.close()
            self._listener = None

    def _go_dark(self, listener: socket.socket) -> None:
        """Let the kernel drop every SYN: a backlog of 0 holds one connection, and it is ours."""
        listener.listen(0)
        self._filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._filler.connect_ex((self.ip, self.number))

    def _accept(self, listener: socket.socket) -> None:
        for connection in _waiting(listener):
            match self.mode:
                case Mode.SERVING:
                    self._serve(connection)
                case Mode.MUTE:
                    self._hold(connection)
                case _:
                    self._hold(connection)
                    asyncio.get_running_loop().call_later(_RESET_AFTER_S, self._reset, connection)

    def _reset(self, connection: socket.socket) -> None:
        """Reset one that is held, if it still is."""
        with contextlib.suppress(ValueError):
            self._held.remove(connection)
            reset(connection)

    def _hold(self, connection: socket.socket) -> None:
        self._held.append(connection)
        if len(self._held) > _HELD:
            reset(self._held.popleft())


def _waiting(listener: socket.socket) -> list[socket.socket]:
    """Accept everything that waits to be accepted."""
    found: list[socket.socket] = []
    with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
        while len(found) < _BACKLOG:
            found.append(listener.accept()[0])
    return found
