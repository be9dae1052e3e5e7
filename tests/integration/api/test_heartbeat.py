"""The heartbeat path against a real server: every refusal, and that none disturbs a good agent."""

import asyncio
import json
from collections.abc import Callable

import aiohttp
import pytest

from common.signing import Direction, NodeKeys, sign
from common.wire import (
    HEARTBEAT_PATH,
    MAX_BODY_BYTES,
    NODE_HEADER,
    SIGNATURE_HEADER,
    TERM_HEADER,
    Command,
    Reply,
)
from supervisor.api import asgi
from supervisor.api.heartbeat import ReplyContent
from tests.integration.api.harness import TERM, Agent, Api, until


async def test_a_beat_is_challenged_then_answered(api: Api) -> None:
    """A first beat is challenged, its answer accepted, and both replies are signed and bound."""
    agent = api.agent()
    challenge = await agent.post(agent.body())
    assert (challenge.status, challenge.genuine) == (401, True)
    assert challenge.json["type"] == "urn:pimedic:problem:challenge"
    assert challenge.headers[TERM_HEADER] == str(TERM)
    agent.nonce = challenge.json["nonce"]
    order = Command(id="c1", treatment="restart_unit", deadline_s=5)
    api.world.content = ReplyContent(interval_s=0.5, commands=(order,), acknowledged=("c0",))

    answer = await agent.post(agent.body())

    assert (answer.status, answer.genuine) == (200, True)
    reply = Reply.model_validate_json(answer.body)
    assert reply.commands == (order,)
    assert reply.acknowledged == ("c0",)
    assert reply.received_ns <= reply.sent_ns
    assert [beat.node for beat in api.beats] == ["green1"]
    assert api.counts == {"accepted": 1, "challenged": 1}


def wrong_signature(agent: Agent) -> tuple[bytes, dict[str, str]]:
    """Signed with another node's key."""
    body = agent.body()
    stranger = Agent("", agent.http, agent.node)
    signed = stranger.headers(body)
    return body, signed | {SIGNATURE_HEADER: signed[SIGNATURE_HEADER][::-1]}


def missing_signature(agent: Agent) -> tuple[bytes, dict[str, str]]:
    """Not signed at all."""
    body = agent.body()
    return body, agent.headers(body, Pimedic_Signature=None)


def changed_term(agent: Agent) -> tuple[bytes, dict[str, str]]:
    """Signed for another term than it says."""
    body = agent.body()
    return body, agent.headers(body, Pimedic_Term="1")


def replayed(agent: Agent) -> tuple[bytes, dict[str, str]]:
    """A beat of this session whose number was seen before."""
    body = agent.body(sequence=0)
    return body, agent.headers(body)


def other_boot(agent: Agent) -> tuple[bytes, dict[str, str]]:
    """Another boot in the same session."""
    body = agent.body(boot_id="boot-2")
    return body, agent.headers(body)


def ten_megabytes(agent: Agent) -> tuple[bytes, dict[str, str]]:
    """A body beyond the bound."""
    body = b"x" * 10_000_000
    return body, agent.headers(body)


def unknown_node(agent: Agent) -> tuple[bytes, dict[str, str]]:
    """A name that the inventory doesn't have."""
    stranger = Agent("", agent.http, "mallory")
    body = stranger.body()
    return body, stranger.headers(body)


def malformed_json(agent: Agent) -> tuple[bytes, dict[str, str]]:
    """Well signed, but no JSON."""
    body = b'{"node": '
    return body, agent.headers(body)


def not_text(agent: Agent) -> tuple[bytes, dict[str, str]]:
    """Well signed, but not even UTF-8."""
    body = b"\xff\xfe\x00"
    return body, agent.headers(body)


def deep_json(agent: Agent) -> tuple[bytes, dict[str, str]]:
    """Well signed, but nested without end."""
    body = b"[" * 60_000
    return body, agent.headers(body)


def unknown_key(agent: Agent) -> tuple[bytes, dict[str, str]]:
    """JSON with a key that no heartbeat has."""
    body = json.dumps(json.loads(agent.body()) | {"surprise": 1}).encode()
    return body, agent.headers(body)


def not_a_number(agent: Agent) -> tuple[bytes, dict[str, str]]:
    """An uptime that is no number."""
    body = agent.body().replace(b'"uptime_s":1.0', b'"uptime_s":NaN')
    return body, agent.headers(body)


def foreign_body(agent: Agent) -> tuple[bytes, dict[str, str]]:
    """A body that speaks of another node than its headers."""
    body = agent.body(node="pi_login")
    return body, agent.headers(body)


def bad_term(agent: Agent) -> tuple[bytes, dict[str, str]]:
    """A term that is no number."""
    body = agent.body()
    return body, agent.headers(body, Pimedic_Term="seven")


def vast_term(agent: Agent) -> tuple[bytes, dict[str, str]]:
    """A term beyond what a database can count."""
    body = agent.body()
    return body, agent.headers(body, Pimedic_Term=str(2**63))


def no_node(agent: Agent) -> tuple[bytes, dict[str, str]]:
    """No word about who speaks."""
    body = agent.body()
    return body, agent.headers(body, Pimedic_Node=None)


BAD = [
    (wrong_signature, 401, "bad_signature"),
    (missing_signature, 401, "bad_signature"),
    (changed_term, 401, "bad_signature"),
    (replayed, 409, "replayed"),
    (other_boot, 409, "boot_changed"),
    (ten_megabytes, 413, "too_large"),
    (unknown_node, 404, "unknown_node"),
    (malformed_json, 400, "bad_json"),
    (not_text, 400, "bad_json"),
    (deep_json, 400, "bad_json"),
    (unknown_key, 422, "bad_schema"),
    (not_a_number, 422, "bad_schema"),
    (foreign_body, 422, "node_mismatch"),
    (bad_term, 400, "bad_headers"),
    (vast_term, 400, "bad_headers"),
    (no_node, 400, "bad_headers"),
]


@pytest.mark.parametrize(("make", "status", "reason"), BAD, ids=[make.__name__ for make, *_ in BAD])
async def test_a_bad_beat_is_refused_and_disturbs_nobody(
    api: Api,
    make: Callable[[Agent], tuple[bytes, dict[str, str]]],
    status: int,
    reason: str,
) -> None:
    """A bad beat gets its problem+json and its count; good beats before and after just work."""
    agent, other = api.agent(), api.agent("pi_login")
    assert (await agent.beat()).status == 200
    assert (await other.beat()).status == 200
    before = len(api.beats)
    body, headers = make(agent)

    answer = await agent.post(body, headers)

    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["status"] == status
    assert answer.json["type"] == f"urn:pimedic:problem:{reason}"
    assert answer.json["detail"]
    assert api.counts == {"accepted": 2, "challenged": 2, reason: 1}
    assert len(api.beats) == before
    assert (await agent.post(agent.body())).status == 200
    assert (await other.post(other.body())).status == 200


async def test_a_replayed_beat_is_refused_byte_for_byte(api: Api) -> None:
    """The very bytes that were accepted once are refused the second time, and signed so."""
    agent = api.agent()
    await agent.beat()
    body = agent.body()
    assert (await agent.post(body)).status == 200
    again = await agent.post(body)
    assert (again.status, again.genuine) == (409, True)


@pytest.mark.parametrize(("term", "told"), [(9, [9]), (TERM + 2**20 + 1, []), (2**63 - 1, [])])
async def test_a_newer_term_is_told_if_it_is_plausible(
    api: Api, term: int, told: list[int]
) -> None:
    """An agent may know a predecessor's term; a node gone bad can't use up all the terms."""
    agent = api.agent()
    body = agent.body()
    signature = sign(agent.keys, Direction.TO_SUPERVISOR, HEARTBEAT_PATH, term, body)
    headers = agent.headers(body, Pimedic_Term=str(term), Pimedic_Signature=signature)
    assert (await agent.post(body, headers)).status == 401
    assert api.world.terms == told


async def test_an_unsigned_term_is_not_told(api: Api) -> None:
    """Whoever can't sign can't say anything."""
    agent = api.agent()
    body, headers = changed_term(agent)
    await agent.post(body, headers)
    assert api.world.terms == []


async def test_an_old_session_is_challenged_without_disturbing_the_new_one(api: Api) -> None:
    """A beat captured in an earlier session earns a challenge, and the session goes on."""
    agent = api.agent()
    captured = (await agent.beat()).sent
    old = agent.body()
    captured = agent.headers(old)
    agent.nonce = ""
    assert (await agent.beat()).status == 200
    assert (await agent.post(old, captured)).status == 401
    assert (await agent.post(agent.body())).status == 200


async def test_other_methods_are_not_allowed(api: Api) -> None:
    """Only POST is a beat."""
    async with api.http.get(api.url + HEARTBEAT_PATH) as response:
        assert response.status == 405
        assert response.headers["Allow"] == "POST"
        assert response.content_type == "application/problem+json"


async def test_an_endless_chunked_body_is_answered(api: Api) -> None:
    """A body without a declared length is cut off at the bound, with an answer."""
    agent = api.agent()

    async def chunks() -> object:
        for _ in range(40):
            yield b"x" * (MAX_BODY_BYTES // 8)

    headers = agent.headers(b"")
    async with api.http.post(api.url + HEARTBEAT_PATH, data=chunks(), headers=headers) as response:
        assert response.status == 413
    assert api.counts == {"too_large": 1}


async def test_a_body_that_never_ends_times_out(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends half a body is answered 408 and hung up on."""
    monkeypatch.setattr(asgi, "BODY_TIMEOUT_S", 0.1)
    monkeypatch.setattr(asgi, "DRAIN_TIMEOUT_S", 0.1)
    host, port = api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {HEARTBEAT_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
    writer.write(head.encode() + b"half")
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert api.counts == {"too_slow": 1}


async def test_garbage_is_a_problem_too(api: Api) -> None:
    """What isn't HTTP gets a problem+json and a closed connection."""
    host, port = api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"\x16\x03\x01 nonsense\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer


async def test_a_head_without_end_is_cut_off(api: Api) -> None:
    """Headers are bounded, finished or not."""
    host, port = api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000)
    answer = await asyncio.wait_for(reader.read(200), 10)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_our_own_mistake_is_a_500_and_the_next_beat_is_fine(api: Api) -> None:
    """A failure behind the path is answered, counted and over with."""
    agent = api.agent()
    await agent.beat()

    def fail(_: object) -> None:
        raise RuntimeError("broken")

    api.world.deliver = fail
    answer = await agent.post(agent.body())
    assert (answer.status, answer.genuine) == (500, True)
    assert b"broken" not in answer.body
    api.world.deliver = lambda _: None
    assert (await agent.post(agent.body())).status == 200
    assert api.counts["failed"] == 1


async def test_the_loss_of_a_connection_is_told_once(api: Api) -> None:
    """When an agent's connection closes, its node is reported, and nobody else."""
    agent = api.agent()
    async with aiohttp.ClientSession() as own:
        await Agent(api.url, own, "green1").beat()
        await api.agent("pi_login").beat()
        assert api.lost == []
    await until(lambda: bool(api.lost))
    assert api.lost == ["green1"]
    assert (await agent.beat()).status == 200


async def test_the_loss_of_a_former_connection_is_nothing(api: Api) -> None:
    """Only a node's current connection counts; strangers' and former ones don't."""
    former = aiohttp.ClientSession()
    first = Agent(api.url, former, "green1")
    await first.beat()
    second = api.agent()
    await second.beat()
    await former.close()
    async with aiohttp.ClientSession() as stranger:
        forger = Agent(api.url, stranger, "pi_login")
        body = forger.body()
        await forger.post(body, forger.headers(body, Pimedic_Signature="00"))
    assert (await second.post(second.body())).status == 200
    connections = api.server._server.server_state.connections
    await until(lambda: len(connections) == 1)
    assert api.lost == []


async def test_stopping_reports_no_losses(api: Api) -> None:
    """When the supervisor hangs up, no node is said to have gone."""
    await api.agent().beat()
    api.serving.cancel()
    await asyncio.wait({api.serving}, timeout=10)
    assert api.serving.done()
    assert api.lost == []


async def test_keys_of_another_node_prove_nothing(api: Api) -> None:
    """A node that holds its own key can't speak for another."""
    rooted = api.agent("green1")
    body = rooted.body(node="pi_login")
    headers = rooted.headers(body) | {NODE_HEADER: "pi_login"}
    assert NodeKeys.derive(b"k" * 32, "green1") != NodeKeys.derive(b"k" * 32, "pi_login")
    assert (await rooted.post(body, headers)).status == 401
