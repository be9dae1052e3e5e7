"""Without a supervisor: the agent carries on, remembers, hands over, and does little alone."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agents.settings import Autonomy
from tests.integration.agent_at_work import Node, at_work, get
from tests.integration.agent_peer import Peer


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


async def _until_page(app: object, path: str, text: str) -> None:
    async with asyncio.timeout(15):
        while text not in (await get(app, path))[2]:  # noqa: ASYNC110 - a page has no event
            await asyncio.sleep(0.02)


async def test_what_happened_in_silence_is_handed_over(peer: Peer, node: Node) -> None:
    """A failure that came and went while nobody listened is told later, in order, once."""
    async with at_work(node.settings(peer.url)) as app:
        await peer.beats_more(3)
        port = peer.port
        await peer.stop()
        node.remount("ro")
        await _until_page(app, "/metrics", 'kind="root_read_only",subject="/"} 1.0')
        node.remount("rw")
        await _until_page(app, "/metrics", 'kind="root_read_only",subject="/"} 0.0')
        page = (await get(app, "/metrics"))[2]
        silent = page.partition("\npimedic_agent_supervisor_silent_seconds ")[2].split()[0]
        assert float(silent) > 0
        await peer.start(port)
        await peer.until(lambda: peer.journal)
        await peer.beats_more(5)
        await _until_page(app, "/metrics", "pimedic_agent_supervisor_silent_seconds 0.0")
        await _until_page(app, "/metrics", "pimedic_agent_journal_entries 0.0")
    told = [entry.text for entry in peer.journal]
    assert told[0] == "the supervisor fell silent"
    assert told[-1].startswith("the supervisor answers again, after ")
    assert [text.partition(",")[0] for text in told[1:-1]] == [
        "root_read_only /: false -> true",
        "root_read_only /: true -> false",
    ]


async def test_journal_is_repeated_until_acknowledged(peer: Peer, node: Node) -> None:
    """A supervisor that doesn't acknowledge hears the same entries again."""
    async with at_work(node.settings(peer.url)):
        await peer.beats_more(2)
        port = peer.port
        await peer.stop()
        peer.acknowledges = False
        await asyncio.sleep(0.2)  # a silence, not a settling: at least one beat goes unanswered
        await peer.start(port)
        await peer.until(lambda: len(peer.journal) >= 6)
        peer.acknowledges = True
        await peer.beats_more(2)
        told = len(peer.journal)
        await peer.beats_more(3)
        assert len(peer.journal) == told
    assert len({entry.sequence for entry in peer.journal}) == 2


async def test_nothing_is_done_alone_by_default(peer: Peer, node: Node) -> None:
    """A failed unit stays failed, however long nobody answers."""
    await peer.stop()
    node.unit("ssh.service", "failed")
    async with at_work(node.settings(peer.url, autonomy_after_s=0.01)) as app:
        await _until_page(app, "/metrics", 'kind="unit_failed",subject="ssh.service"} 1.0')
        await asyncio.sleep(1.5)  # longer than one turn of what could act alone
    assert node.restarts() == 0


async def test_failed_unit_is_restarted_alone_if_allowed_and_told_with_the_reason(
    peer: Peer, node: Node
) -> None:
    """By configuration a unit is restarted after the given silence; why is handed over later."""
    port = peer.port
    await peer.stop()
    node.unit("ssh.service", "failed")
    allowed = {"autonomy": Autonomy.RESTART_UNITS, "autonomy_after_s": 0.5}
    without = frozenset({"clock_sync", "root_stall"})
    async with at_work(node.settings(peer.url, **allowed, without=without)):
        async with asyncio.timeout(15):
            while not node.restarts():  # noqa: ASYNC110 - a file has no event
                await asyncio.sleep(0.02)
        await peer.start(port)
        await peer.until(lambda: any("succeeded" in entry.text for entry in peer.journal))
    told = [entry.text for entry in peer.journal if entry.kind == "treatment"]
    assert told[0].startswith("alone: restart_unit ssh.service: failed for ")
    assert told[0].endswith("restart 1 of 3")
    assert told[1].startswith("restart_unit ssh.service: succeeded, ssh.service is active")
    assert node.restarts() == 1
