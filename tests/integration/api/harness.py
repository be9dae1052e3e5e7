"""A real supervisor API on a loopback port, with a core that only takes notes."""

import asyncio
import contextlib
import hashlib
import io
import itertools
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from common import clock
from common.signing import Direction, NodeKeys, sign, verify
from common.topology import Cluster, Switch
from common.wire import (
    HEARTBEAT_PATH,
    NODE_HEADER,
    SIGNATURE_HEADER,
    TERM_HEADER,
    Heartbeat,
)
from supervisor.api.backend import Backend
from supervisor.api.connections import Connections
from supervisor.api.heartbeat import HeartbeatApp, ReplyContent
from supervisor.api.operators import build
from supervisor.api.server import ApiServer
from supervisor.api.sessions import Sessions
from supervisor.api.tokens import Tokens
from supervisor.core.effects import Effect
from supervisor.core.events import Event
from supervisor.core.status import Status
from tests.supervisor.pictures import a_node, a_status

TOKEN = "correct horse battery staple"
TERM = 7


@dataclass
class Agent:
    """Speaks the agent's side of the protocol, well or badly."""

    url: str
    http: aiohttp.ClientSession
    node: str = "green1"
    boot_id: str = "boot-1"
    nonce: str = ""
    sequence: int = 0

    @property
    def keys(self) -> NodeKeys:
        """This node's keys."""
        return NodeKeys.derive(b"k" * 32, self.node)

    def body(self, **changes: Any) -> bytes:
        """The next beat."""
        self.sequence += 1
        beat: dict[str, Any] = {
            "node": self.node,
            "boot_id": self.boot_id,
            "session": self.nonce,
            "sequence": self.sequence,
            "uptime_s": 1.0,
            "wall_ns": 1,
        }
        return Heartbeat(**beat | changes).model_dump_json().encode()

    def headers(self, body: bytes, **changes: str | None) -> dict[str, str]:
        """The headers that go with `body`; None leaves one out."""
        headers: dict[str, str | None] = {
            NODE_HEADER: self.node,
            TERM_HEADER: "0",
            SIGNATURE_HEADER: sign(self.keys, Direction.TO_SUPERVISOR, HEARTBEAT_PATH, 0, body),
        }
        named = {key.replace("_", "-"): value for key, value in changes.items()}
        return {key: value for key, value in (headers | named).items() if value is not None}

    async def post(self, body: bytes, headers: dict[str, str] | None = None) -> "Answer":
        """Send `body`, signed unless `headers` are given."""
        sent = headers or self.headers(body)
        url = self.url + HEARTBEAT_PATH
        async with self.http.post(url, data=io.BytesIO(body), headers=sent) as response:
            return Answer(response.status, response.headers, await response.read(), sent, self.keys)

    async def beat(self) -> "Answer":
        """Beat as an agent does: answer a challenge at once."""
        answer = await self.post(self.body())
        if answer.status == 401 and answer.genuine:
            self.nonce, self.sequence = answer.json["nonce"], 0
            answer = await self.post(self.body())
        return answer


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent: dict[str, str]
    keys: NodeKeys

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    @property
    def genuine(self) -> bool:
        """Whether it is signed for this very request."""
        return verify(
            self.keys,
            Direction.TO_AGENT,
            HEARTBEAT_PATH,
            int(self.headers.get(TERM_HEADER, "0")),
            self.body,
            self.headers.get(SIGNATURE_HEADER, ""),
            binding=self.sent.get(SIGNATURE_HEADER, ""),
        )


@dataclass
class Api:
    """The running API, and what reached the core behind it."""

    url: str
    http: aiohttp.ClientSession
    heartbeat: HeartbeatApp
    backend: Backend
    server: ApiServer
    serving: asyncio.Task[None]
    beats: list[Heartbeat]
    events: list[Event]
    lost: list[str]
    world: "World"

    def agent(self, node: str = "green1") -> Agent:
        """An agent that holds its node's keys."""
        return Agent(self.url, self.http, node)

    @property
    def counts(self) -> dict[str, int]:
        """Requests on the heartbeat path, but for the ways that never happened."""
        return {key: count for key, count in self.heartbeat.counts.items() if count}


@dataclass
class World:
    """What the core's stand-in answers; tests change it."""

    status: Status = field(default_factory=a_status)
    ready: bool = True
    content: ReplyContent = field(default_factory=lambda: ReplyContent(interval_s=1.0))
    deliver: Callable[[Heartbeat], None] = lambda _: None
    effects: Sequence[Effect] = ()
    terms: list[int] = field(default_factory=list)


class MemoryHistory:
    """A journal in memory."""

    def __init__(self) -> None:
        self.kept: list[dict[str, Any]] = []
        self.closed: list[dict[str, Any]] = []

    async def incidents(self, limit: int) -> list[dict[str, Any]]:
        """Return the newest incidents."""
        return self.closed[:limit]

    async def incident(self, incident_id: str) -> dict[str, Any] | None:
        """Return one incident."""
        return next((one for one in self.closed if one["id"] == incident_id), None)

    async def entries(self, since: int, limit: int) -> list[dict[str, Any]]:
        """Return entries after `since`."""
        return [one for one in self.kept if one["seq"] > since][:limit]

    async def latest(self, limit: int) -> list[dict[str, Any]]:
        """Return the newest entries."""
        return self.kept[-limit:]


@contextlib.asynccontextmanager
async def serve_api(sockets: list[socket.socket]) -> AsyncIterator[Api]:
    """Serve until the block ends."""
    world, beats, events, lost = World(), [], [], []
    nodes = {name: a_node(name, n) for n, name in enumerate(("pi_login", "green1"), 1)}
    nonces = (f"nonce-{number}" for number in itertools.count(1))

    def deliver(beat: Heartbeat) -> ReplyContent:
        world.deliver(beat)
        beats.append(beat)
        return world.content

    async def submit(event: Event) -> Sequence[Effect]:
        events.append(event)
        return world.effects

    connections = Connections(lost.append)
    heartbeat = HeartbeatApp(
        {name: NodeKeys.derive(b"k" * 32, name) for name in nodes},
        deliver,
        Sessions(lambda: next(nonces)),
        connections,
        term=lambda: TERM,
        saw_term=world.terms.append,
    )
    backend = Backend(
        cluster=Cluster("test", "UTC", "127.0.0.0/8", Switch("switch", "127.0.0.9"), nodes),
        status=lambda: world.status,
        submit=submit,
        tokens=Tokens({"anna": hashlib.sha256(TOKEN.encode()).hexdigest()}, clock.boottime),
        heartbeats=heartbeat.counts,
        ready=lambda: world.ready,
        history=MemoryHistory(),
    )
    server = ApiServer(sockets, heartbeat, build(backend), connections, closing=backend.feed.close)
    serving = asyncio.get_running_loop().create_task(server.run())
    host, port = sockets[0].getsockname()
    try:
        await until(lambda: server.started)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as http:
            url = f"http://{host}:{port}"
            yield Api(url, http, heartbeat, backend, server, serving, beats, events, lost, world)
    finally:
        serving.cancel()
        await asyncio.wait({serving}, timeout=10)


async def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait for a condition with a deadline."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - any condition, not only an event
            await asyncio.sleep(0.01)
