"""uvicorn's HTTP protocol with what it lacks: bounds on heads, and word of a connection's end."""

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from supervisor.api.connections import Connections
from supervisor.api.problems import MEDIA_TYPE, ProblemError

HEAD_TIMEOUT_S = 10.0
HEAD_BYTES = 32 * 1024
MAX_CONNECTIONS = 768
"""Below the usual limit of 1024 open files."""


def reporting_to(connections: Connections) -> type[asyncio.Protocol]:
    """Return the protocol class that tells `connections` of what opens and ends."""
    return type("ReportingProtocol", (_Protocol,), {"known": connections})


class _Protocol(HttpToolsProtocol):
    known: ClassVar[Connections]
    _in_head = True
    _unparsed_bytes = 0
    _header_bytes = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        host = self.client[0] if self.client else ""
        if not self.known.opened(host) or len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._head_is_here()
        client, server = self.client or ("", None), self.server or ("", None)
        self.known.lost(client[0], (client, server))

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._unparsed_bytes += len(data) if self._in_head else 0
        if max(self._unparsed_bytes, self._header_bytes) > HEAD_BYTES:
            self._refuse(ProblemError(431, f"a head may have at most {HEAD_BYTES} bytes"))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header or a trailer; past the bound nothing more is kept."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes <= HEAD_BYTES:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_is_here()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(ProblemError(400, msg))

    def _await_head(self) -> None:
        self._head_is_here()
        self._in_head, self._header_bytes = True, 0
        self._deadline = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.close)

    def _head_is_here(self) -> None:
        self._in_head, self._unparsed_bytes = False, 0
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, problem: ProblemError) -> None:
        """Answer without an app, and hang up."""
        if self.transport.is_closing():
            return
        body = problem.body()
        head = (
            f"HTTP/1.1 {problem.status} Refused\r\nContent-Type: {MEDIA_TYPE}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
