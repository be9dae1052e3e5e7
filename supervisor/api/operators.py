"""The operator API: everything on :8800 but the heartbeat, for people and programs.

`build` returns an ASGI app: FastAPI, behind bounds on bodies and on how many requests run.
"""

from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from supervisor.api import reads, writes
from supervisor.api.asgi import (
    App,
    ClientGoneError,
    Message,
    Receive,
    Scope,
    Send,
    read_body,
    refuse,
)
from supervisor.api.backend import Backend
from supervisor.api.metrics import package_version
from supervisor.api.problems import MEDIA_TYPE, ProblemError

MAX_BODY_BYTES = 16 * 1024
MAX_RUNNING = 64
_SHOWN_ERRORS = 10
_log = structlog.get_logger(__name__)


def build(backend: Backend) -> App:
    """Build the app."""
    app = FastAPI(
        title="pimedic",
        version=package_version(),
        docs_url=None,  # its page loads scripts from the internet, which may not be there
        redoc_url=None,
    )
    app.include_router(reads.router(backend))
    app.include_router(writes.router(backend))
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(RequestValidationError, _validation_problem)
    app.add_exception_handler(Exception, _own_mistake)
    return _Bounded(app)


class _Bounded:
    """Limits what a client can make us hold: body size, body time, requests at once.

    Heartbeats don't pass here, so a crowd of readers can't keep them out.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._running >= MAX_RUNNING:
            headers = {"Retry-After": "1"}
            problem = ProblemError(503, "too many requests at once", headers=headers)
            await refuse(send, receive, problem)
            return
        self._running += 1
        try:
            body = await read_body(scope, receive, MAX_BODY_BYTES)
            await self._app(_as_get(scope), _replayed(body, receive), _uncached(send))
        except ClientGoneError:
            return
        except ProblemError as problem:
            await refuse(send, receive, problem)
        finally:
            self._running -= 1


def _as_get(scope: Scope) -> Scope:
    """Answer HEAD as GET; the server leaves the body out. A stream has no end to wait for."""
    if scope["method"] == "HEAD" and scope["path"] != "/v1/events":
        return {**scope, "method": "GET"}
    return scope


def _uncached(send: Send) -> Send:
    """Let nothing be kept by a cache, nor taken for another type than it says."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [
                *(pair for pair in message["headers"] if pair[0] != b"cache-control"),
                (b"cache-control", b"no-store"),
                (b"x-content-type-options", b"nosniff"),
            ]
        await send(message)

    return sending


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Hand out the body that was read, then whatever comes after it."""
    pending = [body]

    async def replay() -> Message:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return replay


def _response(problem: ProblemError) -> Response:
    return Response(problem.body(), problem.status, problem.headers, MEDIA_TYPE)


async def _problem(_: Request, error: Exception) -> Response:
    if not isinstance(error, ProblemError):
        raise TypeError from error
    return _response(error)


async def _http_problem(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise TypeError from error
    return _response(ProblemError(error.status_code, str(error.detail), headers=error.headers))


async def _validation_problem(_: Request, error: Exception) -> Response:
    """Say which keys are wrong; never echo the input."""
    if not isinstance(error, RequestValidationError):
        raise TypeError from error
    found = error.errors()[:_SHOWN_ERRORS]
    errors = [
        {"pointer": "/" + "/".join(map(str, one["loc"])), "detail": one["msg"]} for one in found
    ]
    if any(one["type"] == "json_invalid" for one in found):
        return _response(ProblemError(400, "the body isn't JSON", errors=errors))
    return _response(ProblemError(422, "the request isn't as expected", errors=errors))


async def _own_mistake(request: Request, error: Exception) -> Response:
    _log.error("request_failed", path=request.url.path, error=repr(error), exc_info=error)
    return _response(ProblemError(500, "the supervisor failed on this; its log says why"))
