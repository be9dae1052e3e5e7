"""`k3s_api_down`, `k3s_api_slow`: the Kubernetes API on this node, asked as its users ask it.

Health checks are not enough: with a store that is blocked for writing (SQLite over a sick disk)
they, reads and dry runs all answer 200 within 10 ms. So each look also renews a Lease of its
own, the write canary, with a server-side timeout shorter than ours:

    looks                 healthy   writes blocked   store hung         process stopped   starting
    /livez?exclude=etcd   200       200              200                no answer         503
    /readyz               200       200              500 after 2-4 s    no answer         503
    renew own Lease       200       504 Timeout      504 or no answer   no answer         503
    verdict               fine      slow             slow               down              down

Only code 504 with reason Timeout is matched, never a wording: that changes between versions. The
server's checks are cached and a restart takes seconds, so `IN_A_ROW` bad looks make true; one
good look clears. An answer of 401 or 403 proves a living process and nothing more.

TLS is checked against the cluster's CA, but not its dates: this node's clock may be anything.
"""

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from agents.threads import in_thread
from common.clock import boottime, wall_ns, wall_text
from common.observations import Truth
from common.wire import WireObservation

DOWN, SLOW = "k3s_api_down", "k3s_api_slow"
IN_A_ROW = 3
SLOW_S = 1.0
NAMESPACE = "kube-system"
_SERVER_TIMEOUT_S = 3  # the server gives up before we do, or a write may land after we left
_LIVE_WITHIN_S, _WITHIN_S = 2.0, 4.9  # aiohttp rounds 5 s and more up to whole seconds
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, see X509_VERIFY_PARAM_set_flags(3)
_MOST_BODY = 64 * 1024
_LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
_OK, _CREATED, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 201, 401, 403, 404
_INTERNAL, _UNAVAILABLE, _GATEWAY_TIMEOUT = 500, 503, 504


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: HTTP status and the API's reason, or status 0 and why nothing came."""

    status: int
    reason: str
    took_s: float

    @property
    def said(self) -> str:
        """Put it in words."""
        what = f"{self.status} {self.reason}".strip() if self.status else self.reason
        return f"{what} after {self.took_s:.2f} s"


@dataclass(frozen=True, slots=True)
class Finding:
    """One look's evidence on one condition."""

    truth: Truth
    detail: str


@dataclass(frozen=True, slots=True)
class _Access:
    headers: Mapping[str, str]
    tls: ssl.SSLContext | bool


class K3sApi:
    """Watches `server`; without one there is no data. `credentials` holds `token`, `ca.crt`."""

    name = "k3s_api"
    kinds = (DOWN, SLOW)
    period_s = 5.0
    deadline_s = 8.0

    def __init__(self, server: str, credentials: Path | None, node: str) -> None:
        self._server = server
        self._credentials = credentials
        self._lease = "pimedic-canary-" + "".join(c if c.isalnum() else "-" for c in node.lower())
        self._access: _Access | None = None
        self._loading: asyncio.Future[_Access] | None = None
        self._streaks = {kind: _Streak() for kind in self.kinds}

    async def observe(self) -> list[WireObservation]:
        """Ask the three questions at once, over new connections, and count."""
        if not self._server:
            return []
        if self._access is None:
            self._access = await self._loaded()
        live, ready, canary = await self._ask(self._access)
        if _UNAUTHORIZED in {live.status, ready.status}:
            self._access = None  # tokens are renewed: read it again
        down = judge_down(live)
        slow = judge_slow(down, ready, canary)
        value = canary.took_s if canary and canary.status else None
        return [
            self._streaks[DOWN].add(DOWN, down, live.took_s),
            self._streaks[SLOW].add(SLOW, slow, value),
        ]

    async def _ask(self, access: _Access) -> tuple[Answer, Answer, Answer | None]:
        connector = aiohttp.TCPConnector(ssl=access.tls, force_close=True)
        async with aiohttp.ClientSession(
            self._server,
            connector=connector,
            headers=access.headers,
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as http:
            looks = asyncio.gather(
                _request(http, "GET", "/livez?exclude=etcd", _LIVE_WITHIN_S),
                _request(http, "GET", "/readyz", _WITHIN_S),
                self._renew(http) if self._credentials else _nothing(),
            )
            return await looks

    async def _renew(self, http: aiohttp.ClientSession) -> Answer:
        """Renew our Lease, making it if it isn't there, all within one deadline."""
        begun = boottime()
        lease = _lease(self._lease)
        timeout = f"?timeout={_SERVER_TIMEOUT_S}s"
        url = f"{_LEASES}/{self._lease}{timeout}"
        renewed = await _request(http, "PATCH", url, _WITHIN_S, lease)
        if renewed.status != _NOT_FOUND:
            return renewed
        left_s = max(0.1, _WITHIN_S - (boottime() - begun))
        return await _request(http, "POST", _LEASES + timeout, left_s, lease)

    async def _loaded(self) -> _Access:
        """Read the credentials; a reading that hangs is never joined by a second one."""
        if self._loading is None:
            self._loading = in_thread(self._load, "k3s credentials")
        await asyncio.wait({self._loading})
        loaded, self._loading = self._loading, None
        return loaded.result()

    def _load(self) -> _Access:
        if self._credentials is None:
            return _Access({}, False)
        token = (self._credentials / "token").read_text("ascii").strip()
        context = ssl.create_default_context(cafile=str(self._credentials / "ca.crt"))
        context.verify_flags |= _NO_CHECK_TIME
        return _Access({"Authorization": f"Bearer {token}"}, context)


async def _nothing() -> None:
    return None


async def _request(
    http: aiohttp.ClientSession,
    method: str,
    path: str,
    within_s: float,
    body: Mapping[str, Any] | None = None,
) -> Answer:
    begun = boottime()
    patch = "application/merge-patch+json" if method == "PATCH" else "application/json"
    try:
        async with (
            asyncio.timeout(within_s),
            http.request(
                method,
                path,
                data=None if body is None else json.dumps(body),
                headers={"Content-Type": patch} if body else None,
                timeout=aiohttp.ClientTimeout(total=None),
                allow_redirects=False,
            ) as response,
        ):
            text = await response.content.read(_MOST_BODY)
            return Answer(response.status, _reason(text), boottime() - begun)
    except TimeoutError:
        return Answer(0, "no answer", boottime() - begun)
    except (aiohttp.ClientError, OSError) as error:
        return Answer(0, str(error)[:120] or type(error).__name__, boottime() - begun)


def _reason(text: bytes) -> str:
    """Return the `reason` of a Status object: the machine's word, and the only one to rely on."""
    try:
        status = json.loads(text)
    except ValueError:
        return ""
    return str(status.get("reason", ""))[:60] if isinstance(status, dict) else ""


def _lease(name: str) -> dict[str, Any]:
    now = wall_text(wall_ns()).replace("+00:00", "000Z")  # MicroTime wants six digits
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 60, "renewTime": now},
    }


def judge_down(live: Answer) -> Finding:
    """Judge whether the process serves at all, whatever its store does."""
    if live.status in {0, _INTERNAL, _UNAVAILABLE}:
        return Finding(Truth.TRUE, f"livez: {live.said}")
    return Finding(Truth.FALSE, f"livez: {live.said}")


def judge_slow(down: Finding, ready: Answer, canary: Answer | None) -> Finding:
    """Judge whether it can do its work: its checks, and whether a write gets through."""
    if down.truth is Truth.TRUE:
        return Finding(Truth.UNKNOWN, "the API doesn't serve at all")
    if canary and canary.status == _GATEWAY_TIMEOUT and canary.reason == "Timeout":
        return Finding(Truth.TRUE, f"a write timed out, readyz: {ready.said}: the store is blocked")
    if ready.status in {0, _INTERNAL}:
        return Finding(Truth.TRUE, f"readyz: {ready.said}")
    if canary and not canary.status:
        return Finding(Truth.TRUE, f"a write got no answer: {canary.said}")
    slowest = max(ready.took_s, canary.took_s if canary else 0.0)
    if slowest >= SLOW_S:
        return Finding(Truth.TRUE, f"answers take {slowest:.2f} s")
    if canary and canary.status not in {_OK, _CREATED}:
        return Finding(Truth.UNKNOWN, f"the write canary: {canary.said}")
    if ready.status in {_UNAUTHORIZED, _FORBIDDEN}:
        return Finding(Truth.UNKNOWN, f"readyz: {ready.said}; credentials are missing or bad")
    wrote = f", a write took {canary.took_s:.2f} s" if canary else ", no write was tried"
    return Finding(Truth.FALSE, f"readyz: {ready.said}{wrote}")


class _Streak:
    """Bad looks in a row make true, one good look clears, and what can't be told is unknown."""

    def __init__(self) -> None:
        self._status = Truth.UNKNOWN
        self._bad = 0

    def add(self, kind: str, finding: Finding, value: float | None) -> WireObservation:
        detail = finding.detail
        self._bad = self._bad + 1 if finding.truth is Truth.TRUE else 0
        if finding.truth is not Truth.TRUE or self._bad >= IN_A_ROW:
            self._status = finding.truth
        elif self._status is not Truth.TRUE:
            detail += f" ({self._bad} of {IN_A_ROW} bad looks)"
        return WireObservation(kind=kind, status=self._status, detail=detail[:400], value=value)
