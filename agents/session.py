"""The agent's half of the heartbeat protocol, without any I/O.

    beat without a session ──401 Challenge──▶ nonce adopted, sequence from 0, beat at once
    beat in a session ──────200 Reply───────▶ commands, acknowledgements, clock sample

Nothing of an answer is believed before its signature, which is bound to the very request it
answers. The newest term ever verified is kept: an answer from an older one comes from a
deposed leader, and no command in it runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic import ValidationError

from common.signing import Direction, NodeKeys, sign, verify
from common.wire import (
    HEARTBEAT_PATH,
    MAX_BODY_BYTES,
    NODE_HEADER,
    SIGNATURE_HEADER,
    TERM_HEADER,
    Challenge,
    CommandResult,
    Heartbeat,
    Reply,
    WireObservation,
    Witnessed,
)

MAX_OBSERVATIONS = 256
MAX_RESULTS = 64
_CUT_FIRST = ("journal", "observations")  # what is cut comes again later
_MAX_TERM = 2**63 - 1
_MAX_NONCE = 64


class Failure(StrEnum):
    """Why a beat got no usable answer."""

    UNREACHABLE = "unreachable"  # no connection, or it broke
    TIMEOUT = "timeout"  # nothing within the request's deadline
    STATUS = "status"  # an HTTP status that is neither reply nor challenge
    UNVERIFIED = "unverified"  # signature missing, malformed, or not for this request
    OLD_TERM = "old_term"  # signed, but by a deposed leader
    MALFORMED = "malformed"  # signed, but not a message of this protocol


@dataclass(frozen=True, slots=True)
class Request:
    """A signed beat, ready to be sent as it is."""

    body: bytes
    headers: Mapping[str, str]
    signature: str


@dataclass(frozen=True, slots=True)
class Challenged:
    """The supervisor handed out a nonce, and it was adopted: beat again at once."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The answer was not believed; nothing in it may have an effect."""

    failure: Failure
    detail: str


Verdict = Reply | Challenged | Refused


class Session:
    """Nonce, sequence number and term of one agent."""

    def __init__(self, node: str, boot_id: str, keys: NodeKeys, agent_version: str = "") -> None:
        self.term = 0
        self._node = node
        self._boot_id = boot_id
        self._keys = keys
        self._agent_version = agent_version
        self._nonce = ""
        self._sequence = 0

    def request(
        self,
        *,
        uptime_s: float,
        wall_ns: int,
        observations: tuple[WireObservation, ...] = (),
        results: tuple[CommandResult, ...] = (),
        journal: tuple[Witnessed, ...] = (),
    ) -> Request:
        """Build and sign the next beat. Each call uses up one sequence number.

        More than fits a beat is cut from the end: put what matters first.
        """
        beat = Heartbeat(
            node=self._node,
            boot_id=self._boot_id,
            session=self._nonce,
            sequence=self._sequence,
            uptime_s=uptime_s,
            wall_ns=wall_ns,
            agent_version=self._agent_version,
            observations=observations[:MAX_OBSERVATIONS],
            results=results[:MAX_RESULTS],
            journal=journal,
        )
        body = _encode(beat)
        self._sequence += 1
        signature = sign(self._keys, Direction.TO_SUPERVISOR, HEARTBEAT_PATH, self.term, body)
        headers = {
            "Content-Type": "application/json",
            NODE_HEADER: self._node,
            TERM_HEADER: str(self.term),
            SIGNATURE_HEADER: signature,
        }
        return Request(body, headers, signature)

    def read(
        self, request: Request, status: int, headers: Mapping[str, str], body: bytes
    ) -> Verdict:
        """Judge the answer to `request`; adopt its nonce and term when it is genuine."""
        if status not in {200, 401}:
            return Refused(Failure.STATUS, f"HTTP status {status}")
        term = _term(headers.get(TERM_HEADER, ""))
        signature = headers.get(SIGNATURE_HEADER, "")
        if term is None or not verify(
            self._keys,
            Direction.TO_AGENT,
            HEARTBEAT_PATH,
            term,
            body,
            signature,
            binding=request.signature,
        ):
            return Refused(Failure.UNVERIFIED, "signature is missing or not for this request")
        if term < self.term:
            return Refused(Failure.OLD_TERM, f"term {term} is older than {self.term}")
        self.term = term
        return self._open(body) if status == 401 else _reply(body)  # noqa: PLR2004 - HTTP

    def _open(self, body: bytes) -> Verdict:
        try:
            nonce = Challenge.model_validate_json(body).nonce
        except ValidationError as error:
            return _malformed(error)
        if not 0 < len(nonce) <= _MAX_NONCE:
            return Refused(Failure.MALFORMED, f"nonce of {len(nonce)} characters")
        self._nonce, self._sequence = nonce, 0
        return Challenged()


def _encode(beat: Heartbeat) -> bytes:
    """Serialise within the protocol's bound: halve journal, observations, then results to fit."""
    while len(body := beat.model_dump_json().encode()) > MAX_BODY_BYTES:
        cut = next((part for part in _CUT_FIRST if getattr(beat, part)), "results")
        kept = getattr(beat, cut)
        beat = beat.model_copy(update={cut: kept[: len(kept) // 2]})
    return body


def _reply(body: bytes) -> Verdict:
    try:
        return Reply.model_validate_json(body)
    except ValidationError as error:
        return _malformed(error)


def _malformed(error: ValidationError) -> Refused:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return Refused(Failure.MALFORMED, f"{where}: {first['msg']}")


def _term(text: str) -> int | None:
    """Parse a term strictly: ASCII digits, bounded; anything else can't have been signed."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(_MAX_TERM))):
        return None
    return int(text) if int(text) <= _MAX_TERM else None
