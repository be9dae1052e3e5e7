"""A small honest supervisor for the agent's tests: speaks the protocol over real sockets.

Written from the protocol's definition alone. A test may take honesty away from it through
`tamper`, which sees every answer before it is sent.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from aiohttp import web

from common.clock import wall_ns
from common.signing import Direction, NodeKeys, sign, verify
from common.wire import (
    HEARTBEAT_PATH,
    NODE_HEADER,
    SIGNATURE_HEADER,
    TERM_HEADER,
    Challenge,
    Command,
    CommandResult,
    Heartbeat,
    Reply,
    Witnessed,
)

MASTER_KEY = bytes(range(32))
NODE = "yellow1"


@dataclass(frozen=True)
class Answer:
    """What goes back: a test may replace any of it."""

    status: int
    term: int
    body: bytes
    signature: str | None


class Peer:
    """Serves one node. Keeps every accepted beat, and every connection it came over."""

    def __init__(self) -> None:
        self.term = 1
        self.interval_s = 0.05
        self.ahead_s = 0.0
        self.beats: list[Heartbeat] = []
        self.requests = 0
        self.challenges = 0
        self.rejected: list[str] = []
        self.connections: set[tuple[str, int]] = set()
        self.commands: dict[str, Command] = {}
        self.results: list[CommandResult] = []
        self.acknowledges = True
        self.journal: list[Witnessed] = []
        self.tamper: Callable[[Answer], Answer | None] = lambda answer: answer
        self.silent = False
        self._keys = NodeKeys.derive(MASTER_KEY, NODE)
        self._nonce = ""
        self._sequence = -1
        self._moved = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self, port: int = 0) -> None:
        """Listen on loopback, without any session: as after a restart."""
        self._nonce, self._sequence = "", -1
        app = web.Application()
        app.router.add_post(HEARTBEAT_PATH, self._heartbeat)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    async def until(self, true: Callable[[], object], within_s: float = 10.0) -> None:
        """Wait until `true` holds after some request."""
        async with asyncio.timeout(within_s), self._moved:
            await self._moved.wait_for(true)

    async def beats_more(self, count: int) -> None:
        """Wait for `count` further accepted beats."""
        goal = len(self.beats) + count
        await self.until(lambda: len(self.beats) >= goal)

    def result_of(self, command_id: str) -> CommandResult | None:
        """Return the first result of a command."""
        return next((result for result in self.results if result.id == command_id), None)

    def forget_session(self) -> None:
        """Know no session, as after a restart, but keep the connection."""
        self._nonce = ""

    async def _heartbeat(self, request: web.Request) -> web.Response:
        received = wall_ns()
        self.connections.add(request.transport.get_extra_info("peername"))
        body = await request.read()
        binding = request.headers.get(SIGNATURE_HEADER, "")
        status, text = self._answer(request, body, received)
        async with self._moved:
            self.requests += 1
            self._moved.notify_all()
        if self.silent:
            await asyncio.sleep(60)
        signature = sign(self._keys, Direction.TO_AGENT, HEARTBEAT_PATH, self.term, text, binding)
        answer = self.tamper(Answer(status, self.term, text, signature))
        if answer is None:
            request.transport.abort()
            return web.Response()
        headers = {TERM_HEADER: str(answer.term)}
        if answer.signature is not None:
            headers[SIGNATURE_HEADER] = answer.signature
        return web.Response(status=answer.status, body=answer.body, headers=headers)

    def _answer(self, request: web.Request, body: bytes, received: int) -> tuple[int, bytes]:
        genuine = request.headers.get(NODE_HEADER) == NODE and verify(
            self._keys,
            Direction.TO_SUPERVISOR,
            HEARTBEAT_PATH,
            int(request.headers[TERM_HEADER]),
            body,
            request.headers[SIGNATURE_HEADER],
        )
        if not genuine:
            self.rejected.append("signature")
            return 403, b"{}"
        beat = Heartbeat.model_validate_json(body)
        if not self._nonce or beat.session != self._nonce:
            self._nonce, self._sequence = secrets.token_hex(16), -1
            self.challenges += 1
            return 401, Challenge(nonce=self._nonce).model_dump_json().encode()
        if beat.sequence <= self._sequence:
            self.rejected.append(f"sequence {beat.sequence} after {self._sequence}")
            return 409, b"{}"
        self._sequence = beat.sequence
        self.beats.append(beat)
        return 200, self._reply(beat, received).model_dump_json().encode()

    def _reply(self, beat: Heartbeat, received: int) -> Reply:
        self.results += beat.results
        self.journal += beat.journal
        ahead = round(self.ahead_s * 1e9)
        done = {result.id for result in self.results}
        return Reply(
            received_ns=received + ahead,
            sent_ns=wall_ns() + ahead,
            interval_s=self.interval_s,
            commands=tuple(c for c in self.commands.values() if c.id not in done),
            acknowledged=tuple(r.id for r in beat.results) if self.acknowledges else (),
            journal_acknowledged=(
                beat.journal[-1].sequence if beat.journal and self.acknowledges else None
            ),
        )


def unsigned(answer: Answer) -> Answer:
    """Leave the signature out."""
    return replace(answer, signature=None)
