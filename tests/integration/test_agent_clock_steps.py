"""The real clock is set by an hour under a working agent."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.clock import boottime
from common.observations import Truth
from common.wire import Command, WireObservation
from tests.integration.agent_at_work import Node, at_work
from tests.integration.agent_peer import Peer
from tests.integration.real_clock import needs_clock, stepped

pytestmark = needs_clock
HOUR = 3600


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    """An honest supervisor."""
    peer = Peer()
    await peer.start()
    yield peer
    await peer.stop()


def _seen(peer: Peer, kind: str) -> WireObservation | None:
    return next((one for one in peer.beats[-1].observations if one.kind == kind), None)


def _stepped(peer: Peer, steps: int) -> bool:
    seen = _seen(peer, "clock_stepped")
    return bool(seen and seen.status is Truth.TRUE and seen.detail.count(".000 s") == steps)


@pytest.mark.parametrize("hours", [1, -1])
async def test_an_hour_either_way(peer: Peer, tmp_path: Path, hours: int) -> None:
    """Noticed within 1 s; beats and their signatures go on, and every duration stays true."""
    silent = socket.create_server(("127.0.0.1", 0))  # the kernel accepts, nobody speaks
    port = str(silent.getsockname()[1])
    look = {"address": "127.0.0.1", "ssh_port": port, "agent_port": "1"}
    settings = Node(tmp_path).settings(peer.url, peers=("127.0.0.0/8",))
    begun = boottime()
    async with at_work(settings):
        await peer.until(lambda: peer.beats and _seen(peer, "clock_stepped"))
        await peer.beats_more(3)
        peer.commands["look"] = Command(
            id="look", treatment="look_at_peer", arguments=look, deadline_s=1.2
        )
        await peer.beats_more(2)  # the look is under way, and lasts a second
        with stepped(hours * HOUR):
            await peer.until(lambda: _stepped(peer, 1), within_s=1)
            there = _seen(peer, "clock_stepped")
        await peer.until(lambda: _stepped(peer, 2), within_s=1)
        await peer.until(lambda: peer.result_of("look"))
        await peer.beats_more(5)
        lasted = boottime() - begun
    silent.close()

    assert there.value == pytest.approx(hours * HOUR, abs=0.01)
    assert _seen(peer, "clock_stepped").value == pytest.approx(0.0, abs=0.01)
    assert (peer.challenges, peer.rejected) == (1, [])
    assert [beat.sequence for beat in peer.beats] == list(range(len(peer.beats)))
    _durations_are_true(peer, begun, lasted)
    assert _seen(peer, "clock_skewed").status is Truth.FALSE


def _durations_are_true(peer: Peer, begun: float, lasted: float) -> None:
    uptimes = [beat.uptime_s for beat in peer.beats]
    assert uptimes == sorted(uptimes)
    assert begun <= uptimes[0] <= uptimes[-1] <= begun + lasted
    ages = [seen.age_s for beat in peer.beats for seen in beat.observations]
    assert 0 <= min(ages) <= max(ages) <= lasted
    assert 0.5 < peer.result_of("look").took_s < lasted
