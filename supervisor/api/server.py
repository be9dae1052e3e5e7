"""The HTTP server on :8800: uvicorn, on sockets of ours, with bounds and without its signals.

sockets = bind(settings.supervisor.listen)
await ApiServer(sockets, heartbeat, operators, connections, closing=feed.close).run()
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence

import uvicorn

from common.wire import HEARTBEAT_PATH
from supervisor.api.asgi import App, Receive, Scope, Send
from supervisor.api.connections import Connections
from supervisor.api.protocol import reporting_to

KEEP_ALIVE_S = 75
"""Longer than the longest interval between beats (60 s)."""
STOP_S = 2


class ListenError(Exception):
    """An endpoint can't be listened on. Its text is for the user."""


def bind(endpoints: Sequence[str]) -> list[socket.socket]:
    """Bind every ADDRESS:PORT or none. Raises `ListenError` naming the one that failed."""
    with contextlib.ExitStack() as undo:
        sockets = [undo.enter_context(_bind(endpoint)) for endpoint in endpoints]
        undo.pop_all()
        return sockets


def _bind(endpoint: str) -> socket.socket:
    host, _, port = endpoint.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _notice_dead_peers(sock)
        sock.bind((host, int(port)))
    except OSError as error:
        sock.close()
        raise ListenError(f"can't listen on {endpoint}: {error.strerror or error}") from None
    return sock


def _notice_dead_peers(sock: socket.socket) -> None:
    """Have the kernel end connections whose peer lost power or stopped reading (tcp(7)).

    Connections inherit this from the socket that accepted them.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)  # milliseconds


class ApiServer:
    """Serves heartbeats and operators on bound sockets.

    `closing` is called when the server starts to stop: end there what would never end itself.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        heartbeat: App,
        operators: App,
        connections: Connections,
        *,
        closing: Callable[[], None] = lambda: None,
    ) -> None:
        self._sockets = list(sockets)
        self._connections = connections
        self._closing = closing
        config = uvicorn.Config(
            _front(heartbeat, operators),
            http=reporting_to(connections),
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="critical",  # what matters is logged where it happens
            access_log=False,
            proxy_headers=False,  # a client is who it is, whatever it says
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=STOP_S,
            backlog=256,
        )
        self._server = _Quiet(config)

    @property
    def started(self) -> bool:
        """Tell whether connections are accepted."""
        return self._server.started

    async def run(self) -> None:
        """Serve until cancelled, then stop within about `STOP_S` and half a second more."""
        loop = asyncio.get_running_loop()
        serving = loop.create_task(self._server.serve(self._sockets), name="http-server")
        try:
            await asyncio.shield(serving)
        finally:
            self._connections.mute()
            self._closing()
            self._server.should_exit = True
            await asyncio.wait({serving}, timeout=STOP_S + 1)
            serving.cancel()


class _Quiet(uvicorn.Server):
    """uvicorn's server, leaving signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _front(heartbeat: App, operators: App) -> App:
    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        app = heartbeat if scope["path"] == HEARTBEAT_PATH else operators
        await app(scope, receive, send)

    return front
