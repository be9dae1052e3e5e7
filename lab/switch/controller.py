"""A fake UniFi Network controller in front of a model of ports: both of its APIs, over TLS.

It knows of its switch what the switch last reported (`inform_s`), as the real one does. What goes
wrong is set on `Trouble`, and takes effect at once.
"""

import asyncio
import secrets
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from lab.switch.certificate import make_certificate
from lab.switch.ports import Latencies, Port, Ports

MAC = "74:83:c2:00:00:01"
_SITE_ID, _DEVICE_ID = (
    "0998be5a-0000-4000-8000-000000000001",
    "0998be5a-0000-4000-8000-000000000002",
)
_OS_LOGIN, _BARE_LOGIN = "/api/auth/login", "/api/login"
_COOKIE = "TOKEN"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Trouble:
    """What goes wrong from now on. Times are in seconds."""

    too_many: int = 0  # so many requests are answered with 429
    retry_after_s: int = 1
    adopted: bool = True  # False: another controller has the switch
    state: int = 1  # 0: the switch hasn't been heard of
    no_effect: bool = False
    answer: str = ""  # this instead of JSON
    status: int = 0  # this instead of 200
    hang: bool = False  # never answer
    hang_after: bool = False  # act, then never answer
    clock_error_s: float = 0.0  # of the controller's own clock


@dataclass
class FakeController:
    """`async with FakeController(folder) as controller:` listens on `controller.url`."""

    folder: Path  # for its certificate
    username: str = "pimedic"
    password: str = "unifi-password"  # noqa: S105 -- of a fake
    api_key: str = "unifi-api-key"
    site: str = "default"
    unifi_os: bool = True
    inform_s: float = 0.02
    latencies: Latencies = field(default_factory=lambda: Latencies(off=0.02, on=0.05, restart=0.2))
    trouble: Trouble = field(default_factory=Trouble)
    requests: list[str] = field(default_factory=list)
    url: str = ""
    fingerprint: str = ""

    def __post_init__(self) -> None:
        self.ports = Ports(time.monotonic, self.latencies)
        self._sessions: dict[str, str] = {}  # cookie -> CSRF token
        self._reported: list[dict[str, Any]] = []
        self._reported_at = 0.0
        self._certificate = self.folder / "controller.pem"
        self._runner: web.AppRunner | None = None
        self._informing: asyncio.Task[None] | None = None

    @property
    def certificate(self) -> Path:
        """Its certificate's file, for whoever trusts it as an authority."""
        return self._certificate

    def expire_sessions(self) -> None:
        """Forget who has logged in."""
        self._sessions.clear()

    def lose_the_switch(self) -> None:
        """Let the switch's reports stop: what is known of it gets old."""
        if self._informing:
            self._informing.cancel()

    async def __aenter__(self) -> Self:
        self.fingerprint = make_certificate(self._certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate)
        app = web.Application(middlewares=[self._middleware()])
        app.router.add_post(_OS_LOGIN if self.unifi_os else _BARE_LOGIN, self._login)
        prefix = "/proxy/network" if self.unifi_os else ""
        classic, official = f"{prefix}/api/s/{{site}}", f"{prefix}/integration/v1"
        app.router.add_get(f"{classic}/stat/device/{{mac}}", self._stat_device)
        app.router.add_get(f"{classic}/stat/sta", self._stat_sta)
        app.router.add_post(f"{classic}/cmd/devmgr", self._devmgr)
        app.router.add_get(f"{official}/sites", self._sites)
        devices = f"{official}/sites/{_SITE_ID}/devices"
        app.router.add_get(devices, self._devices)
        app.router.add_get(f"{devices}/{_DEVICE_ID}", self._device)
        app.router.add_get(f"{devices}/{_DEVICE_ID}/statistics/latest", self._statistics)
        app.router.add_post(
            f"{devices}/{_DEVICE_ID}/interfaces/ports/{{port}}/actions", self._action
        )
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        self.url = f"https://127.0.0.1:{self._runner.addresses[0][1]}"
        self._report()
        self._informing = asyncio.get_running_loop().create_task(self._inform(), name="inform")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.lose_the_switch()
        if self._runner:
            await self._runner.cleanup()

    # --- the switch, as the controller knows it ---------------------------------------------

    async def _inform(self) -> None:
        while True:
            await asyncio.sleep(self.inform_s)
            self._report()

    def _report(self) -> None:
        self.ports.run_due()
        self._reported = [_row(port) for port in self.ports]
        self._reported_at = self._now()

    def _now(self) -> float:
        return datetime.now(UTC).timestamp() + self.trouble.clock_error_s  # noqa: TID251 -- the controller's own clock

    def _cycle(self, port: object) -> bool:
        """Carry out a cycle as the switch would; tell whether it has such a port."""
        if not isinstance(port, int) or port not in self.ports or not self.ports[port].poe:
            return False
        if not self.trouble.no_effect:
            self.ports.run_due()
            self.ports.restart([port], "power-cycle", 0)
        return True

    # --- all requests -----------------------------------------------------------------------

    def _middleware(self) -> Any:
        @web.middleware
        async def trouble(request: web.Request, handler: Handler) -> web.StreamResponse:
            self.requests.append(f"{request.method} {request.path}")
            date = {"Date": formatdate(self._now(), usegmt=True)}
            if self.trouble.hang:
                await asyncio.sleep(3600)
            if self.trouble.too_many:
                self.trouble.too_many -= 1
                pause = {"Retry-After": str(self.trouble.retry_after_s)}
                return web.Response(status=429, headers=date | pause)
            is_login = request.path in {_OS_LOGIN, _BARE_LOGIN}
            if self.trouble.answer and not is_login:
                return web.Response(text=self.trouble.answer, headers=date)
            if self.trouble.status and not is_login:
                return web.Response(status=self.trouble.status, headers=date)
            if not is_login and (refusal := self._refusal(request)):
                return refusal
            response = await handler(request)
            if self.trouble.hang_after and request.method == "POST" and not is_login:
                await asyncio.sleep(3600)
            response.headers.update(date)
            return response

        return trouble

    def _refusal(self, request: web.Request) -> web.Response | None:
        if "/integration/" in request.path:
            if request.headers.get("X-API-KEY") == self.api_key:
                return None
            return web.json_response({"statusCode": 401, "message": "Unauthorized"}, status=401)
        csrf = self._sessions.get(request.cookies.get(_COOKIE, ""))
        if csrf is None:
            return _classic_error("api.err.LoginRequired", 401)
        if (
            self.unifi_os
            and request.method == "POST"
            and request.headers.get("X-CSRF-Token") != csrf
        ):
            return web.json_response({"message": "Invalid CSRF token"}, status=403)
        return None

    # --- the classic API --------------------------------------------------------------------

    async def _login(self, request: web.Request) -> web.Response:
        given = await request.json()
        if (given.get("username"), given.get("password")) != (self.username, self.password):
            if self.unifi_os:
                return web.json_response({"message": "Invalid username or password"}, status=403)
            return _classic_error("api.err.Invalid", 400)
        cookie, csrf = secrets.token_hex(16), secrets.token_hex(16)
        self._sessions[cookie] = csrf
        response = web.json_response({"meta": {"rc": "ok"}, "data": []})
        response.set_cookie(_COOKIE, cookie, secure=True, httponly=True)
        response.headers["X-CSRF-Token"] = csrf
        return response

    async def _stat_device(self, request: web.Request) -> web.Response:
        if request.match_info["site"] != self.site:
            return _classic_error("api.err.NoSiteContext", 400)
        if request.match_info["mac"] != MAC or not self.trouble.adopted:
            return _classic_error("api.err.UnknownDevice", 400)
        device = {
            "mac": MAC, "type": "usw", "adopted": True, "state": self.trouble.state,
            "last_seen": int(self._reported_at), "port_table": self._reported,
        }  # fmt: skip
        return _classic([device])

    async def _stat_sta(self, _request: web.Request) -> web.Response:
        clients: list[dict[str, Any]] = [
            {"mac": port.mac, "is_wired": True, "sw_mac": MAC, "sw_port": port.number}
            for port in self.ports
            if port.mac
        ]
        return _classic([*clients, {"mac": "02:00:00:00:00:99", "is_wired": False}])

    async def _devmgr(self, request: web.Request) -> web.Response:
        given = await request.json()
        if given.get("mac") != MAC or not self.trouble.adopted:
            return _classic_error("api.err.UnknownDevice", 400)
        if given.get("cmd") != "power-cycle" or not self._cycle(given.get("port_idx")):
            return _classic_error("api.err.InvalidTarget", 400)
        return _classic([])

    # --- the official API -------------------------------------------------------------------

    async def _sites(self, request: web.Request) -> web.Response:
        site = {"id": _SITE_ID, "internalReference": self.site, "name": "The lab"}
        return _page([site], request)

    async def _devices(self, request: web.Request) -> web.Response:
        others = [{"id": f"other-{n}", "macAddress": f"74:83:c2:00:01:{n:02X}"} for n in range(250)]
        mine = [{"id": _DEVICE_ID, "macAddress": MAC.upper()}] if self.trouble.adopted else []
        return _page([*others, *mine], request)

    async def _device(self, _request: web.Request) -> web.Response:
        ports = [
            {
                "idx": row["port_idx"],
                "state": "UP" if row["up"] else "DOWN",
                **({"poe": _official_poe(row)} if row["port_poe"] else {}),
            }
            for row in self._reported
        ]
        state = "ONLINE" if self.trouble.state == 1 else "OFFLINE"
        return web.json_response(
            {"id": _DEVICE_ID, "macAddress": MAC, "state": state, "interfaces": {"ports": ports}}
        )

    async def _statistics(self, _request: web.Request) -> web.Response:
        seen = datetime.fromtimestamp(self._reported_at, UTC)
        return web.json_response({"lastHeartbeatAt": seen.isoformat().replace("+00:00", "Z")})

    async def _action(self, request: web.Request) -> web.Response:
        given, port = await request.json(), request.match_info["port"]
        if given != {"action": "POWER_CYCLE"} or not self._cycle(int(port)):
            return web.json_response({"statusCode": 400, "message": "Invalid port"}, status=400)
        return web.json_response({})


def _row(port: Port) -> dict[str, Any]:
    row: dict[str, Any] = {"port_idx": port.number, "port_poe": port.poe, "up": port.is_linked()}
    if not port.poe:
        return row
    watts = port.draw()
    return row | {
        "poe_mode": port.admin,
        "poe_enable": port.powered,
        "poe_good": port.powered,
        "poe_power": f"{watts:.2f}",  # a string, as the real one has it
        "poe_class": port.pd_class if port.powered else "Unknown",
    }


def _official_poe(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "standard": "802.3at",
        "type": 2,
        "enabled": row["poe_mode"] != "off",
        "state": "UP" if row["poe_good"] else "DOWN",
    }


def _classic(data: list[dict[str, Any]]) -> web.Response:
    return web.json_response({"meta": {"rc": "ok"}, "data": data})


def _classic_error(message: str, status: int) -> web.Response:
    return web.json_response({"meta": {"rc": "error", "msg": message}, "data": []}, status=status)


def _page(rows: list[dict[str, Any]], request: web.Request) -> web.Response:
    offset, limit = int(request.query.get("offset", 0)), int(request.query.get("limit", 25))
    page = rows[offset : offset + limit]
    return web.json_response(
        {
            "offset": offset,
            "limit": limit,
            "count": len(page),
            "totalCount": len(rows),
            "data": page,
        }
    )
