"""A Kubernetes API server that is sick in the ways real ones were seen to be.

It answers only what the agent's detector asks: two health checks, and a Lease renewed. Each way
is a row of what a real K3s 1.21 or kube-apiserver 1.36 answered, and after how long, when its
store was blocked for writing, when the store was stopped, when the process was stopped, and
while it started.
"""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from aiohttp import web

_LEASE = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
_TIMEOUT = {
    "metadata": {},
    "status": "Failure",
    "message": "Timeout: request did not complete within the allotted timeout",
    "reason": "Timeout",
    "details": {},
    "code": 504,
}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class State(StrEnum):
    """What ails it."""

    HEALTHY = "healthy"
    WRITES_BLOCKED = "writes_blocked"  # SQLite over a sick NFS
    STORE_HUNG = "store_hung"
    PROCESS_STOPPED = "process_stopped"
    STARTING = "starting"


@dataclass(frozen=True, slots=True)
class _Row:
    live: tuple[int, float]  # status, seconds
    ready: tuple[int, float]
    write: tuple[int, float]  # 504: after what ?timeout= asks for


_ROWS = {
    State.HEALTHY: _Row((200, 0.0), (200, 0.0), (200, 0.01)),
    State.WRITES_BLOCKED: _Row((200, 0.01), (200, 0.01), (504, 0.0)),
    State.STORE_HUNG: _Row((200, 0.01), (500, 2.0), (504, 0.0)),
    State.STARTING: _Row((503, 0.0), (503, 0.0), (503, 0.0)),
}


class KubeApi:
    """Serves on loopback until stopped. Change `state` at any time."""

    def __init__(self, token: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.state = State.HEALTHY
        self.leases: dict[str, int] = {}  # name to how often it was written
        self.url = ""
        self._token = token
        self._tls = tls
        self._thaw = asyncio.Event()
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_patch(_LEASE + "/{name}", self._renew)
        app.router.add_post(_LEASE, self._create)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

    async def start(self) -> None:
        """Listen on a free port."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls).start()
        scheme = "https" if self._tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Close the port."""
        self._thaw.set()
        await self._runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if self.state is State.PROCESS_STOPPED:
            await self._thaw.wait()  # the kernel accepted; nobody is there to speak
        if self._token and request.headers.get("Authorization") != f"Bearer {self._token}":
            return _status(401, "Unauthorized", "Unauthorized")
        return await handler(request)

    async def _livez(self, request: web.Request) -> web.Response:
        status, after_s = _ROWS[self.state].live
        if self.state is State.STORE_HUNG and request.query.get("exclude") != "etcd":
            status, after_s = 500, 2.0
        return await self._check(status, after_s)

    async def _readyz(self, _: web.Request) -> web.Response:
        return await self._check(*_ROWS[self.state].ready)

    async def _check(self, status: int, after_s: float) -> web.Response:
        await asyncio.sleep(after_s)
        texts = {200: "ok", 500: "[-]etcd failed: reason withheld\n", 503: "starting"}
        return web.Response(status=status, text=texts[status])

    async def _renew(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        return await self._write(request, name, exists=name in self.leases)

    async def _create(self, request: web.Request) -> web.Response:
        name = (await request.json())["metadata"]["name"]
        self.leases.setdefault(name, 0)
        return await self._write(request, name, exists=True, done=201)

    async def _write(
        self, request: web.Request, name: str, *, exists: bool, done: int = 200
    ) -> web.Response:
        status, after_s = _ROWS[self.state].write
        if status == 504:  # noqa: PLR2004 - HTTP
            await asyncio.sleep(float(request.query.get("timeout", "34s").removesuffix("s")))
            return web.json_response(_TIMEOUT, status=504)
        await asyncio.sleep(after_s)
        if status != 200:  # noqa: PLR2004 - HTTP
            return web.Response(status=status, text="starting")
        if not exists:
            return _status(404, "NotFound", f'leases.coordination.k8s.io "{name}" not found')
        self.leases[name] += 1
        return web.json_response(await request.json(), status=done)


def _status(code: int, reason: str, message: str) -> web.Response:
    body = {"kind": "Status", "status": "Failure", "message": message, "reason": reason}
    return web.Response(
        status=code, text=json.dumps({**body, "code": code}), content_type="application/json"
    )
