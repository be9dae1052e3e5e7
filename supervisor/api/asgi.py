"""The few pieces of plain ASGI that both halves of :8800 share: bodies with bounds, answers.

A client that sends too much still gets its answer: what it goes on sending is read and thrown
away for a while, because closing on unread data resets the connection and eats the answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from supervisor.api.problems import MEDIA_TYPE, ProblemError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

BODY_TIMEOUT_S = 10.0
DRAIN_BYTES = 16 * 1024 * 1024
DRAIN_TIMEOUT_S = 5.0


class ClientGoneError(Exception):
    """The client hung up before its request was complete: there is nobody to answer."""


def header(scope: Scope, name: str) -> str | None:
    """Return a header's value, or None. Raises `ProblemError` 400 if it comes more than once."""
    wanted = name.lower().encode()
    values = [value for key, value in scope["headers"] if key == wanted]
    if len(values) > 1:
        raise ProblemError(400, f"header {name} is given more than once", kind="bad_headers")
    return values[0].decode("latin-1") if values else None


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """Read the whole body. Raises `ProblemError` 413 past `limit` bytes, 408 if it is too slow."""
    declared = header(scope, "Content-Length") or "0"
    if declared.isdigit() and int(declared) > limit:
        raise too_large(limit)
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await _collect(receive, limit)
    except TimeoutError:
        raise ProblemError(
            408, f"the body took longer than {BODY_TIMEOUT_S:.0f} s", kind="too_slow"
        ) from None


def too_large(limit: int) -> ProblemError:
    """Say that a body is too long."""
    return ProblemError(413, f"a body may have at most {limit} bytes", kind="too_large")


async def _collect(receive: Receive, limit: int) -> bytes:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > limit:
            raise too_large(limit)
    return bytes(body)


async def answer(
    send: Send, status: int, body: bytes, media_type: str, headers: Headers = ()
) -> None:
    """Send a complete response."""
    await _start(send, status, body, media_type, headers)
    await send({"type": "http.response.body", "body": body})


async def refuse(
    send: Send, receive: Receive, problem: ProblemError, headers: Headers = ()
) -> None:
    """Send `problem`; when the body was left unread (408, 413), drain it, then close."""
    own = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    if problem.status not in {408, 413}:
        await answer(send, problem.status, problem.body(), MEDIA_TYPE, [*own, *headers])
        return
    body = problem.body()
    closing = [*own, *headers, (b"connection", b"close")]
    await _start(send, problem.status, body, MEDIA_TYPE, closing)
    await send({"type": "http.response.body", "body": body, "more_body": True})
    await _drain(receive)
    await send({"type": "http.response.body", "body": b""})


async def _start(send: Send, status: int, body: bytes, media_type: str, headers: Headers) -> None:
    standard = [
        (b"content-type", media_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": [*standard, *headers]})


async def _drain(receive: Receive) -> None:
    """Throw away what still comes, within bounds of size and time."""
    left = DRAIN_BYTES
    try:
        async with asyncio.timeout(DRAIN_TIMEOUT_S):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return
