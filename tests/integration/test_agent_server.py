"""The agent's pages, and detectors in trouble seen from outside."""

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from common.observations import Truth
from common.wire import WireObservation
from tests.integration.agent_at_work import BOOT_ID, Node, at_work, get
from tests.integration.agent_peer import NODE, Peer


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


async def test_healthz(peer: Peer, node: Node) -> None:
    """Who, which boot, how long up, and how long ago the supervisor last answered."""
    async with at_work(node.settings(peer.url)) as app:
        await peer.beats_more(2)
        status, kind, text = await get(app, "/healthz")
    health = json.loads(text)
    assert (status, kind) == (200, "application/json; charset=utf-8")
    assert (health["node"], health["boot_id"]) == (NODE, BOOT_ID)
    assert health["uptime_s"] > 0
    assert 0 <= health["last_beat_age_s"] < 10


async def test_healthz_without_a_supervisor(node: Node) -> None:
    """An agent that nobody ever answered is up, and says so."""
    async with at_work(node.settings("http://127.0.0.1:1")) as app:
        status, _, text = await get(app, "/healthz")
    assert status == 200
    assert json.loads(text)["last_beat_age_s"] is None


async def test_metrics(peer: Peer, node: Node) -> None:
    """Prometheus can read it; names share a prefix, no `_created`, known series start at 0."""
    async with at_work(node.settings(peer.url)) as app:
        await peer.beats_more(3)
        _, kind, text = await get(app, "/metrics")
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert kind.startswith("text/plain; version=0.0.4")
    assert all(name.startswith("pimedic_agent_") for name, *_ in samples)
    assert not re.search(r"_created\b", text)
    assert samples["pimedic_agent_beats_total", ("outcome", "challenged")] == 1
    assert samples["pimedic_agent_beats_total", ("outcome", "answered")] >= 2
    assert samples["pimedic_agent_beats_total", ("outcome", "unverified")] == 0
    assert samples["pimedic_agent_commands_total", ("status", "refused")] == 0
    assert samples["pimedic_agent_beat_duration_seconds_count",] >= 3
    assert samples["pimedic_agent_process_resident_memory_bytes",] > 0


async def test_observations(peer: Peer, node: Node) -> None:
    """Every current observation with its status and age."""
    node.remount("rw,emergency_ro")
    wanted = {"root_read_only", "clock_skewed", "unit_failed", "name_unresolvable"}
    async with at_work(node.settings(peer.url)) as app:
        await peer.until(
            lambda: peer.beats and wanted <= {one.kind for one in peer.beats[-1].observations}
        )
        _, _, text = await get(app, "/observations")
        _, _, metrics = await get(app, "/metrics")
    seen = {one["kind"]: one for one in json.loads(text)["observations"]}
    assert set(seen) >= wanted
    assert seen["root_read_only"]["status"] == "true"
    assert seen["root_read_only"]["age_s"] >= 0
    assert 'pimedic_agent_observation{kind="root_read_only",subject="/"} 1.0' in metrics


class _Detector:
    """A detector that does as it was made."""

    period_s = 0.05
    deadline_s = 0.2

    def __init__(self, name: str, act: object) -> None:
        self.name, self.kinds, self._act = name, (name,), act

    def observe(self) -> object:
        """Look once."""
        return self._act(self)


def _fine(detector: _Detector) -> list[WireObservation]:
    return [WireObservation(kind=detector.name, status=Truth.FALSE)]


def _crash(_: _Detector) -> None:
    raise RuntimeError("no idea")


async def test_one_bad_detector_harms_nobody(peer: Peer, node: Node) -> None:
    """With detectors that raise, hang and babble, beats go on and the good one is still heard."""
    gate = threading.Event()
    detectors = [
        _Detector("raises", _crash),
        _Detector("hangs", lambda _: gate.wait(60)),
        _Detector("babbles", lambda _: "nonsense"),
        _Detector("works", _fine),
    ]
    async with at_work(node.settings(peer.url), detectors) as app:
        await peer.until(lambda: peer.beats and len(peer.beats[-1].observations) == 4)
        await peer.beats_more(5)
        _, _, metrics = await get(app, "/metrics")
    gate.set()
    told = {seen.kind: seen.status.value for seen in peer.beats[-1].observations}
    assert told == {
        "raises": "unknown",
        "hangs": "unknown",
        "babbles": "unknown",
        "works": "false",
    }
    assert re.search(r'looks_total\{detector="hangs",outcome="timeout"\} [1-9]', metrics)
    assert re.search(r'looks_total\{detector="raises",outcome="failed"\} [1-9]', metrics)


async def test_stops_although_a_detector_hangs(peer: Peer, node: Node) -> None:
    """A look stuck in the kernel doesn't keep the agent from stopping."""
    gate = threading.Event()
    stuck = _Detector("hangs", lambda _: gate.wait(60))
    async with asyncio.timeout(10):
        async with at_work(node.settings(peer.url), [stuck]):
            await peer.beats_more(1)
    gate.set()
