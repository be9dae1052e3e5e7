"""POST /v1/heartbeat as a bare ASGI app: the one path that must stay quick and undisturbed.

Checks, in this order; whatever fails one is answered, counted, and disturbs nothing else:
size, headers, known node, signature, JSON, schema, body against header, session and sequence.
Once the signature is good every answer is signed too, bound to the request it answers.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus

import structlog
from pydantic import ValidationError

from common import clock
from common.signing import Direction, NodeKeys, sign, verify
from common.wire import (
    HEARTBEAT_PATH,
    MAX_BODY_BYTES,
    NODE_HEADER,
    SIGNATURE_HEADER,
    TERM_HEADER,
    Challenge,
    Command,
    Heartbeat,
    Reply,
)
from supervisor.api.asgi import (
    ClientGoneError,
    Receive,
    Scope,
    Send,
    answer,
    header,
    read_body,
    refuse,
)
from supervisor.api.connections import Connections
from supervisor.api.problems import MEDIA_TYPE, ProblemError
from supervisor.api.sessions import Challenged, Refused, Sessions

_log = structlog.get_logger(__name__)
_MAX_TERM = 2**63 - 1
_PLAUSIBLE_TERMS = 2**20
_SHOWN_ERRORS = 5
_SAY_AGAIN_S = 60.0


class Beat(StrEnum):
    """How a request ended: the values of `pimedic_heartbeats_total{result=}`."""

    ACCEPTED = "accepted"
    CHALLENGED = "challenged"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    BAD_METHOD = "bad_method"
    BAD_HEADERS = "bad_headers"
    UNKNOWN_NODE = "unknown_node"
    BAD_SIGNATURE = "bad_signature"
    BAD_JSON = "bad_json"
    BAD_SCHEMA = "bad_schema"
    NODE_MISMATCH = "node_mismatch"
    REPLAYED = "replayed"
    BOOT_CHANGED = "boot_changed"
    GONE = "gone"  # the client hung up before its request was complete
    FAILED = "failed"  # our own mistake


@dataclass(frozen=True, slots=True)
class ReplyContent:
    """What the supervisor has to say to an agent."""

    interval_s: float
    commands: tuple[Command, ...] = ()
    acknowledged: tuple[str, ...] = ()
    journal_acknowledged: int | None = None


@dataclass(frozen=True, slots=True)
class _Claim:
    """What the headers say, and the keys that can prove it."""

    node: str
    term: int
    signature: str
    keys: NodeKeys


@dataclass(slots=True)
class HeartbeatApp:
    """The app. `deliver` gets every fresh beat and answers at once; `term` is the leader's.

    `keys` has each known node's keys; `sessions` and `connections` are told of what was found.
    """

    keys: Mapping[str, NodeKeys]
    deliver: Callable[[Heartbeat], ReplyContent]
    sessions: Sessions
    connections: Connections
    term: Callable[[], int] = lambda: 0
    saw_term: Callable[[int], None] = lambda _term: None
    """Told the newest term that an agent knows, once its signature was found good."""
    counts: Counter[str] = field(default_factory=lambda: Counter({beat.value: 0 for beat in Beat}))
    _said: dict[str, float] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        claim: _Claim | None = None
        try:
            body = await _request_body(scope, receive)
            received_ns = clock.wall_ns()  # t1: as soon as the beat is here
            claim = self._authenticated(scope, body)
            status, answered = self._take(claim, body, scope, received_ns)
        except ClientGoneError:
            self.counts[Beat.GONE] += 1
        except ProblemError as problem:
            await self._refuse(problem, claim, scope, receive, send)
        except Exception:  # noqa: BLE001 - our own mistake must not cost the node its connection
            _log.exception("heartbeat_failed", node=claim.node if claim else None)
            detail = "the supervisor failed on this beat; its log says why"
            ours = ProblemError(500, detail, kind=Beat.FAILED)
            await self._refuse(ours, claim, scope, receive, send)
        else:
            media_type = "application/json" if status == HTTPStatus.OK else MEDIA_TYPE
            await answer(send, status, answered, media_type, self._signature(claim, answered))

    def _take(
        self, claim: _Claim, body: bytes, scope: Scope, received_ns: int
    ) -> tuple[HTTPStatus, bytes]:
        """Deliver a fresh beat, or challenge it; return what to answer. Raises `ProblemError`."""
        beat = _parsed(body, claim.node)
        nonce = self._judge(beat)
        if nonce:
            self.counts[Beat.CHALLENGED] += 1
            return HTTPStatus.UNAUTHORIZED, Challenge(nonce=nonce).model_dump_json().encode()
        self.connections.belongs_to(claim.node, (scope["client"], scope["server"]))
        content = self.deliver(beat)
        self.counts[Beat.ACCEPTED] += 1
        reply = Reply(
            received_ns=received_ns,
            sent_ns=clock.wall_ns(),  # t2: what is left to do takes microseconds
            interval_s=content.interval_s,
            commands=content.commands,
            acknowledged=content.acknowledged,
            journal_acknowledged=content.journal_acknowledged,
        )
        return HTTPStatus.OK, reply.model_dump_json().encode()

    def _authenticated(self, scope: Scope, body: bytes) -> _Claim:
        """Prove who speaks, or raise `ProblemError`."""
        node, term = header(scope, NODE_HEADER), header(scope, TERM_HEADER)
        signature = header(scope, SIGNATURE_HEADER)
        if not node or term is None or not _is_term(term):
            detail = f"expected headers {NODE_HEADER} (a name) and {TERM_HEADER} (a number)"
            raise ProblemError(400, detail, kind=Beat.BAD_HEADERS)
        keys = self.keys.get(node)
        if keys is None:
            raise ProblemError(404, f"no node {node!r} in the inventory", kind=Beat.UNKNOWN_NODE)
        claim = _Claim(node, int(term), signature or "", keys)
        if not verify(
            keys, Direction.TO_SUPERVISOR, HEARTBEAT_PATH, claim.term, body, claim.signature
        ):
            what = "is not this node's" if signature else "is missing"
            detail = f"header {SIGNATURE_HEADER} {what}"
            raise ProblemError(401, detail, kind=Beat.BAD_SIGNATURE)
        # A node gone bad must not be able to use up all the terms there are.
        if claim.term - self.term() <= _PLAUSIBLE_TERMS:
            self.saw_term(claim.term)
        return claim

    def _judge(self, beat: Heartbeat) -> str:
        """Return the nonce to challenge with; none for a fresh beat. Raises `ProblemError`."""
        verdict = self.sessions.judge(
            beat.node, beat.session, beat.boot_id, beat.sequence, clock.boottime()
        )
        if isinstance(verdict, Refused):
            raise ProblemError(409, verdict.detail, kind=verdict.why)
        return verdict.nonce if isinstance(verdict, Challenged) else ""

    async def _refuse(
        self,
        problem: ProblemError,
        claim: _Claim | None,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        self._note(problem, scope, claim)
        signature = self._signature(claim, problem.body()) if claim else ()
        await refuse(send, receive, problem, signature)

    def _signature(self, claim: _Claim, body: bytes) -> list[tuple[bytes, bytes]]:
        """Sign an answer; bound to its request, it can't answer another."""
        term = self.term()
        signature = sign(
            claim.keys, Direction.TO_AGENT, HEARTBEAT_PATH, term, body, binding=claim.signature
        )
        return [
            (TERM_HEADER.lower().encode(), str(term).encode()),
            (SIGNATURE_HEADER.lower().encode(), signature.encode()),
        ]

    def _note(self, problem: ProblemError, scope: Scope, claim: _Claim | None) -> None:
        """Count a refusal, and log it once a minute for each reason."""
        self.counts[problem.kind] += 1
        now = clock.boottime()
        if now - self._said.get(problem.kind, -_SAY_AGAIN_S) < _SAY_AGAIN_S:
            return
        self._said[problem.kind] = now
        _log.warning(
            "heartbeat_refused",
            reason=problem.kind,
            detail=problem.detail,
            client=scope["client"],
            node=claim.node if claim else None,
        )


async def _request_body(scope: Scope, receive: Receive) -> bytes:
    if scope["method"] != "POST":
        raise ProblemError(405, "only POST", kind=Beat.BAD_METHOD, headers={"Allow": "POST"})
    return await read_body(scope, receive, MAX_BODY_BYTES)


def _is_term(text: str) -> bool:
    digits = text.isascii() and text.isdigit() and len(text) <= len(str(_MAX_TERM))
    return digits and int(text) <= _MAX_TERM


def _parsed(body: bytes, node: str) -> Heartbeat:
    """Parse a body that its node signed. Raises `ProblemError` 400 or 422."""
    try:
        beat = Heartbeat.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        if found[0]["type"] == "json_invalid":
            raise ProblemError(400, found[0]["msg"], kind=Beat.BAD_JSON) from None
        errors = [
            {"pointer": "/" + "/".join(map(str, one["loc"])), "detail": one["msg"]}
            for one in found[:_SHOWN_ERRORS]
        ]
        raise ProblemError(
            422, "the body is no heartbeat", kind=Beat.BAD_SCHEMA, errors=errors
        ) from None
    if beat.node != node:
        detail = f"the body is {beat.node!r}'s, the headers are {node!r}'s"
        raise ProblemError(422, detail, kind=Beat.NODE_MISMATCH)
    return beat
