"""The agent's half of the protocol: what it says, and whom it believes."""

import json
from typing import Any

import pytest

from agents.session import Challenged, Failure, Refused, Request, Session, Verdict
from common.observations import Truth
from common.signing import Direction, NodeKeys, sign, verify
from common.wire import (
    HEARTBEAT_PATH,
    MAX_BODY_BYTES,
    NODE_HEADER,
    SIGNATURE_HEADER,
    TERM_HEADER,
    CommandResult,
    Heartbeat,
    Reply,
    WireObservation,
)

KEYS = NodeKeys.derive(b"k" * 32, "yellow1")
REPLY = b'{"received_ns": 1, "sent_ns": 2, "interval_s": 1}'


def _new_session() -> Session:
    return Session("yellow1", "boot-1", KEYS)


def _beat(session: Session, **more: Any) -> Request:
    return session.request(uptime_s=5.0, wall_ns=7, **more)


def _read(session: Session, request: Request, body: bytes, **deviations: Any) -> Verdict:
    """Answer as an honest supervisor, but for `deviations`."""
    status = deviations.get("status", 200)
    term = deviations.get("term", 1)
    keys = deviations.get("keys", KEYS)
    direction = deviations.get("direction", Direction.TO_AGENT)
    binding = deviations.get("binding", request.signature)
    signature = sign(keys, direction, HEARTBEAT_PATH, term, body, binding)
    headers = {TERM_HEADER: str(term), SIGNATURE_HEADER: signature}
    return session.read(request, status, deviations.get("headers", headers), body)


def _challenge(session: Session, nonce: str = "n1", **deviations: Any) -> Verdict:
    body = json.dumps({"nonce": nonce}).encode()
    return _read(session, _beat(session), body, status=401, **deviations)


def test_request_is_signed_over_what_is_sent() -> None:
    """A beat carries its node, the newest known term and a signature over exactly its body."""
    request = _beat(_new_session())
    assert request.headers[NODE_HEADER] == "yellow1"
    assert request.headers[TERM_HEADER] == "0"
    assert verify(KEYS, Direction.TO_SUPERVISOR, HEARTBEAT_PATH, 0, request.body, request.signature)


def test_first_beat_has_no_session() -> None:
    """Before the first challenge the session is empty."""
    sent = Heartbeat.model_validate_json(_beat(_new_session()).body)
    assert (sent.session, sent.sequence, sent.boot_id) == ("", 0, "boot-1")


def test_challenge_opens_a_session() -> None:
    """A genuine challenge gives the nonce that every later beat repeats, from sequence 0 on."""
    session = _new_session()
    for _ in range(3):
        _beat(session)
    assert isinstance(_challenge(session, "fresh"), Challenged)
    sent = [Heartbeat.model_validate_json(_beat(session).body) for _ in range(3)]
    assert [(one.session, one.sequence) for one in sent] == [
        ("fresh", 0),
        ("fresh", 1),
        ("fresh", 2),
    ]


def test_genuine_reply_is_believed() -> None:
    """A reply signed for this very request is returned, and its term becomes the newest."""
    session = _new_session()
    assert isinstance(_read(session, _beat(session), REPLY, term=4), Reply)
    assert session.term == 4
    assert _beat(session).headers[TERM_HEADER] == "4"


@pytest.mark.parametrize(
    "deviations",
    [
        pytest.param({"keys": NodeKeys.derive(b"x" * 32, "yellow1")}, id="another-key"),
        pytest.param({"keys": NodeKeys.derive(b"k" * 32, "yellow2")}, id="another-node"),
        pytest.param({"direction": Direction.TO_SUPERVISOR}, id="reflected"),
        pytest.param({"binding": "0" * 64}, id="of-another-request"),
        pytest.param({"binding": ""}, id="of-no-request"),
        pytest.param({"headers": {}}, id="unsigned"),
        pytest.param({"headers": {TERM_HEADER: "1", SIGNATURE_HEADER: "é"}}, id="not-hex"),
        pytest.param({"headers": {TERM_HEADER: "-1", SIGNATURE_HEADER: ""}}, id="bad-term"),
        pytest.param({"headers": {TERM_HEADER: "9" * 40, SIGNATURE_HEADER: ""}}, id="huge-term"),
    ],
)
@pytest.mark.parametrize("status", [200, 401])
def test_unverifiable_answer_changes_nothing(deviations: dict[str, Any], status: int) -> None:
    """An answer without a signature for this request opens no session and moves no term."""
    session = _new_session()
    body = REPLY if status == 200 else b'{"nonce": "evil"}'
    verdict = _read(session, _beat(session), body, status=status, **deviations)
    assert isinstance(verdict, Refused)
    assert verdict.failure is Failure.UNVERIFIED
    assert session.term == 0
    assert Heartbeat.model_validate_json(_beat(session).body).session == ""


def test_altered_body_is_refused() -> None:
    """A signature doesn't hold for another body."""
    session, other = _new_session(), REPLY.replace(b"1}", b"2}")
    request = _beat(session)
    signature = sign(KEYS, Direction.TO_AGENT, HEARTBEAT_PATH, 1, REPLY, request.signature)
    headers = {TERM_HEADER: "1", SIGNATURE_HEADER: signature}
    assert session.read(request, 200, headers, other).failure is Failure.UNVERIFIED


def test_raised_term_is_refused() -> None:
    """The term is inside the signature: nobody on the way can raise it."""
    session = _new_session()
    request = _beat(session)
    signature = sign(KEYS, Direction.TO_AGENT, HEARTBEAT_PATH, 1, REPLY, request.signature)
    headers = {TERM_HEADER: "2", SIGNATURE_HEADER: signature}
    assert session.read(request, 200, headers, REPLY).failure is Failure.UNVERIFIED


@pytest.mark.parametrize("status", [200, 401])
def test_deposed_leader_is_refused(status: int) -> None:
    """Once a term was seen, an answer of an older one is refused, however well signed."""
    session = _new_session()
    _read(session, _beat(session), REPLY, term=5)
    body = REPLY if status == 200 else b'{"nonce": "old"}'
    verdict = _read(session, _beat(session), body, status=status, term=4)
    assert verdict.failure is Failure.OLD_TERM
    assert session.term == 5


@pytest.mark.parametrize("nonce", ["", "n" * 65])
def test_unusable_nonce_is_malformed(nonce: str) -> None:
    """A nonce that no beat could carry is not adopted."""
    assert _challenge(_new_session(), nonce).failure is Failure.MALFORMED


def test_genuine_nonsense_is_malformed() -> None:
    """A signed body that isn't a reply is an error with a reason, not a crash."""
    session = _new_session()
    verdict = _read(session, _beat(session), b'{"received_ns": 1}')
    assert verdict.failure is Failure.MALFORMED
    assert "sent_ns" in verdict.detail


@pytest.mark.parametrize("status", [204, 302, 403, 404, 429, 500, 503])
def test_other_statuses_are_failures(status: int) -> None:
    """Only 200 and 401 mean anything."""
    session = _new_session()
    assert _read(session, _beat(session), REPLY, status=status).failure is Failure.STATUS


def test_beat_stays_within_the_protocols_bounds() -> None:
    """However much there is to say, the body fits, and the first observations survive."""
    observations = tuple(
        WireObservation(kind="k", status=Truth.TRUE, subject=f"{n:0400}", detail="d" * 400)
        for n in range(300)
    )
    results = tuple(CommandResult(id=f"c{n}", status="failed") for n in range(100))
    request = _beat(_new_session(), observations=observations, results=results)
    assert len(request.body) <= MAX_BODY_BYTES
    sent = Heartbeat.model_validate_json(request.body)
    assert sent.observations
    assert sent.observations[0].subject == f"{0:0400}"
    assert len(sent.results) == 64


def test_results_too_long_for_one_beat_wait_for_the_next() -> None:
    """Texts of four-byte letters are cut to what fits: the rest is still unacknowledged."""
    results = tuple(
        CommandResult(id=f"c{n}", status="failed", detail="🍓" * 400) for n in range(64)
    )
    request = _beat(_new_session(), results=results)
    assert len(request.body) <= MAX_BODY_BYTES
    assert Heartbeat.model_validate_json(request.body).results == results[:32]
