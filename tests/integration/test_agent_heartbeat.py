"""The real agent against a real endpoint: handshake, cadence, and whom it doesn't believe."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agents.app import App
from common.observations import Truth
from common.wire import Command
from tests.integration.agent_at_work import BOOT_ID, Node, at_work, get
from tests.integration.agent_peer import NODE, Answer, Peer, unsigned


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    """An honest supervisor."""
    peer = Peer()
    await peer.start()
    yield peer
    await peer.stop()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A healthy node."""
    return Node(tmp_path)


async def _counted(app: App, outcome: str) -> float:
    _, _, text = await get(app, "/metrics")
    name = f'pimedic_agent_beats_total{{outcome="{outcome}"}} '
    return next(float(line.removeprefix(name)) for line in text.splitlines() if name in line)


def _condition(peer: Peer, kind: str) -> Truth | None:
    found = [seen.status for seen in peer.beats[-1].observations if seen.kind == kind]
    return found[0] if found else None


async def test_handshake_and_growing_sequence(peer: Peer, node: Node) -> None:
    """One challenge opens the session; then every beat counts one up, signed and accepted."""
    async with at_work(node.settings(peer.url)):
        await peer.beats_more(10)
    assert peer.challenges == 1
    assert peer.rejected == []
    assert [beat.sequence for beat in peer.beats] == list(range(len(peer.beats)))
    assert {beat.session for beat in peer.beats} == {peer.beats[0].session}
    assert {(beat.node, beat.boot_id) for beat in peer.beats} == {(NODE, BOOT_ID)}
    uptimes = [beat.uptime_s for beat in peer.beats]
    assert uptimes == sorted(uptimes)


async def test_one_connection_carries_every_beat(peer: Peer, node: Node) -> None:
    """The TCP connection is kept: its loss would be a sign."""
    async with at_work(node.settings(peer.url)):
        await peer.beats_more(20)
        assert len(peer.connections) == 1


async def test_forgotten_session_costs_one_challenge(peer: Peer, node: Node) -> None:
    """A supervisor that lost its sessions gets a new one at once, over the same connection."""
    async with at_work(node.settings(peer.url)):
        await peer.beats_more(3)
        peer.forget_session()
        await peer.beats_more(3)
    assert peer.challenges == 2
    assert peer.rejected == []
    assert len(peer.connections) == 1


async def test_survives_a_restart_of_the_supervisor(peer: Peer, node: Node) -> None:
    """While nobody listens the agent goes on, and beats again soon after."""
    async with at_work(node.settings(peer.url)) as app:
        await peer.beats_more(2)
        await peer.stop()
        async with asyncio.timeout(10):
            while not await _counted(app, "unreachable"):  # noqa: ASYNC110 - a counter has no event
                await asyncio.sleep(0.02)
        await peer.start(peer.port)
        await peer.beats_more(3)
    assert peer.rejected == []


async def test_fails_over_to_the_next_supervisor(peer: Peer, node: Node) -> None:
    """When the first doesn't answer, the next one gets the beats."""
    first = Peer()
    await first.start()
    async with at_work(node.settings(first.url, peer.url)):
        await first.beats_more(2)
        assert peer.requests == 0
        await first.stop()
        await peer.beats_more(3)


async def test_source_address_can_be_chosen(peer: Peer, node: Node) -> None:
    """Outgoing connections come from the address given."""
    async with at_work(node.settings(peer.url, bind="127.0.0.77")):
        await peer.beats_more(1)
    assert {host for host, _ in peer.connections} == {"127.0.0.77"}


async def test_interval_follows_the_supervisor(peer: Peer, node: Node) -> None:
    """An agent started at one beat a minute beats as fast as the reply says."""
    async with at_work(node.settings(peer.url, interval_s=60.0)):
        await peer.beats_more(5)


async def test_node_key_of_another_is_not_accepted(peer: Peer, node: Node) -> None:
    """An agent with a wrong key neither beats nor believes."""
    async with at_work(node.settings(peer.url), key=b"x" * 32):
        await peer.until(lambda: peer.requests >= 2)
    assert set(peer.rejected) == {"signature"}
    assert peer.beats == []


def _old(peer: Peer) -> Callable[[Answer], Answer]:
    """Answer everything with the first reply that carried a command: a replay."""
    kept: list[Answer] = []

    def tamper(answer: Answer) -> Answer:
        if not kept and b"evil" in answer.body:
            kept.append(answer)
            return replace(answer, body=b"{}")  # it never arrived
        return kept[0] if kept else answer

    peer.tamper = tamper
    return tamper


@pytest.mark.parametrize(
    ("tamper", "outcome"),
    [
        pytest.param(unsigned, "unverified", id="unsigned"),
        pytest.param(lambda a: replace(a, signature="0" * 64), "unverified", id="forged"),
        pytest.param(lambda a: replace(a, body=a.body + b" "), "unverified", id="altered"),
        pytest.param(lambda a: replace(a, term=9), "unverified", id="term-raised"),
        pytest.param("replayed", "unverified", id="replayed"),
        pytest.param(lambda a: replace(a, status=503), "status", id="other-status"),
        pytest.param(lambda a: replace(a, body=b"x" * 70_000), "malformed", id="endless"),
        pytest.param(lambda _: None, "unreachable", id="connection-cut"),
    ],
)
async def test_no_command_runs_from_an_answer_that_is_not_believed(
    peer: Peer, node: Node, tamper: Callable[[Answer], Answer] | str, outcome: str
) -> None:
    """Forged, altered, replayed or broken answers are counted and have no effect."""
    async with at_work(node.settings(peer.url)) as app:
        await peer.beats_more(1)
        if callable(tamper):
            peer.tamper = tamper
        else:
            _old(peer)
        peer.commands["evil"] = Command(
            id="evil", treatment="restart_unit", arguments={"unit": "ssh"}, deadline_s=5
        )
        asked = peer.requests
        await peer.until(lambda: peer.requests >= asked + 3)
        assert await _counted(app, outcome) >= 1
        peer.commands.clear()
        peer.tamper = lambda answer: answer
        await peer.beats_more(3)
    assert peer.result_of("evil") is None
    assert node.restarts() == 0


async def test_deposed_leader_gives_no_orders(peer: Peer, node: Node) -> None:
    """After term 5 was seen, a perfectly signed answer of term 4 has no effect."""
    peer.term = 5
    async with at_work(node.settings(peer.url)) as app:
        await peer.beats_more(2)
        peer.term = 4
        peer.commands["late"] = Command(
            id="late", treatment="restart_unit", arguments={"unit": "ssh"}, deadline_s=5
        )
        asked = peer.requests
        await peer.until(lambda: peer.requests >= asked + 3)
        assert await _counted(app, "old_term") >= 1
        peer.commands.clear()
        peer.term = 6
        await peer.beats_more(2)
    assert node.restarts() == 0


async def test_silent_supervisor_does_not_pile_up_beats(peer: Peer, node: Node) -> None:
    """While a request hangs there is no second one; it is given up at its deadline."""
    async with at_work(node.settings(peer.url)) as app:
        await peer.beats_more(2)
        peer.silent = True
        asked = peer.requests
        async with asyncio.timeout(15):
            while not await _counted(app, "timeout"):  # noqa: ASYNC110 - a counter has no event
                await asyncio.sleep(0.05)
        assert peer.requests - asked <= 2
        peer.silent = False
        await peer.beats_more(2)


async def test_clock_difference_is_measured_and_reported(peer: Peer, node: Node) -> None:
    """A supervisor 40 s ahead is found out within a few beats, with its sign."""
    peer.ahead_s = 40.0
    async with at_work(node.settings(peer.url)):
        await peer.beats_more(1)
        await peer.until(lambda: peer.beats and _condition(peer, "clock_skewed"))
    (seen,) = [one for one in peer.beats[-1].observations if one.kind == "clock_skewed"]
    assert seen.status is Truth.TRUE
    assert seen.value == pytest.approx(40.0, abs=0.5)


async def test_observations_travel(peer: Peer, node: Node) -> None:
    """What happens to the node is in a beat soon after, and so is its end."""
    async with at_work(node.settings(peer.url)):
        await peer.until(
            lambda: (
                peer.beats
                and _condition(peer, "root_read_only") is Truth.FALSE
                and _condition(peer, "unit_failed") is Truth.FALSE
                and _condition(peer, "name_unresolvable") is Truth.FALSE
            )
        )
        node.remount("rw,emergency_ro")
        node.unit("ssh.service", "failed")
        await peer.until(
            lambda: (
                _condition(peer, "root_read_only") is Truth.TRUE
                and _condition(peer, "unit_failed") is Truth.TRUE
            ),
            within_s=20,
        )
        node.remount("rw")
        await peer.until(lambda: _condition(peer, "root_read_only") is Truth.FALSE)
