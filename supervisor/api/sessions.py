"""Sessions of the heartbeat, without any I/O: who beats, and was this very beat seen before.

    beat with the session's nonce, sequence grown  -> Admitted
    beat with the pending nonce                    -> Admitted; it becomes the session
    any other nonce, or none                       -> Challenged; answer this nonce
    same session, sequence not grown               -> Refused, replayed
    same session, other boot id                    -> Refused, boot changed

Rules
- Nothing is persisted, and nothing needs to be: after a restart of the supervisor no session is
  known, so every agent is challenged, and whatever was captured before answers no fresh nonce.
- The old session stays valid until a beat answers the pending nonce: replaying an old beat
  earns a challenge that only the key's owner can answer, and disturbs nobody.
- A pending nonce is handed out again for as long as it is pending, so that replayed beats
  can't pull it from under an agent that is about to answer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

PENDING_S = 10.0


class Refusal(StrEnum):
    """Why a well-signed beat of a known session is not believed."""

    REPLAYED = "replayed"
    BOOT_CHANGED = "boot_changed"


@dataclass(frozen=True, slots=True)
class Admitted:
    """The beat is fresh."""


@dataclass(frozen=True, slots=True)
class Challenged:
    """The beat must come again with this nonce as its session."""

    nonce: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The beat is not fresh."""

    why: Refusal
    detail: str


@dataclass(slots=True)
class _Session:
    nonce: str
    boot_id: str
    sequence: int


@dataclass(frozen=True, slots=True)
class _Pending:
    nonce: str
    until: float


class Sessions:
    """The sessions of all nodes. `new_nonce` must be unpredictable and never repeat.

    Call only for beats whose signature is good, with `now` from a monotonic clock in seconds.
    """

    def __init__(self, new_nonce: Callable[[], str], pending_s: float = PENDING_S) -> None:
        self._new_nonce = new_nonce
        self._pending_s = pending_s
        self._sessions: dict[str, _Session] = {}
        self._pending: dict[str, _Pending] = {}

    def judge(
        self, node: str, nonce: str, boot_id: str, sequence: int, now: float
    ) -> Admitted | Challenged | Refused:
        """Judge a beat of `node` and take note of it."""
        session = self._sessions.get(node)
        if session and nonce == session.nonce:
            return _in_session(session, boot_id, sequence)
        pending = self._pending_of(node, now)
        if pending and nonce == pending.nonce:
            self._sessions[node] = _Session(nonce, boot_id, sequence)
            del self._pending[node]
            return Admitted()
        if pending is None:
            pending = _Pending(self._new_nonce(), now + self._pending_s)
            self._pending[node] = pending
        return Challenged(pending.nonce)

    def _pending_of(self, node: str, now: float) -> _Pending | None:
        pending = self._pending.get(node)
        return pending if pending and now < pending.until else None


def _in_session(session: _Session, boot_id: str, sequence: int) -> Admitted | Refused:
    if boot_id != session.boot_id:
        detail = "the boot id changed within a session: start a new one"
        return Refused(Refusal.BOOT_CHANGED, detail)
    if sequence <= session.sequence:
        detail = f"sequence {sequence} isn't above {session.sequence}, the last one seen"
        return Refused(Refusal.REPLAYED, detail)
    session.sequence = sequence
    return Admitted()
