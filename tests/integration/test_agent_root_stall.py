"""A real agent whose node's root hangs: what the supervisor's side hears, and what piles up."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agents.settings import Autonomy
from common.clock import boottime
from common.observations import Truth
from common.wire import Command, WireObservation
from lab.hanging import HangingFile
from tests.integration.agent_at_work import Node, at_work
from tests.integration.agent_peer import Peer
from tests.integration.real_fuse import needs_fuse, real_fuse

ON_THE_ROOT = {"name_unresolvable", "timezone_wrong", "kernel_image_unreadable", "boot_loop"}


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    """An honest supervisor that wants a beat each second."""
    peer = Peer()
    peer.interval_s = 1.0
    await peer.start()
    yield peer
    await peer.stop()


def said(peer: Peer, kind: str) -> WireObservation | None:
    """Return what the last beat says of a kind."""
    seen = peer.beats[-1].observations if peer.beats else ()
    return next((one for one in seen if one.kind == kind), None)


def holds(peer: Peer, kind: str, status: Truth) -> Callable[[], bool]:
    """Tell, when asked, whether the last beat says that `kind` is `status`."""
    return lambda: (one := said(peer, kind)) is not None and one.status is status


def tasks() -> int:
    """Count this process's threads and their living children."""
    threads = list(Path("/proc/self/task").iterdir())
    children = [pid for one in threads for pid in (one / "children").read_text().split()]
    return len(threads) + len(children)


async def test_a_hanging_root_is_told_and_nothing_piles_up(peer: Peer, tmp_path: Path) -> None:
    """True at the supervisor within 5 s, all else on the root unknown, no more than 4 tasks more.

    Beats go on; treatments of the root are refused; with the thaw all is as before.
    """
    node, file = Node(tmp_path), HangingFile(tmp_path / "root/etc/hostname")
    (node.rootfs / "boot").mkdir()
    (node.rootfs / "boot/vmlinuz").touch()
    settings = node.settings(
        peer.url,
        interval_s=1.0,
        timezone="Europe/Athens",
        boot_history=Path("/boots.json"),
        autonomy=Autonomy.RESTART_UNITS,
    )
    async with at_work(settings):
        for kind in ON_THE_ROOT - {"timezone_wrong"} | {"root_stalled", "root_read_only"}:
            await peer.until(holds(peer, kind, Truth.FALSE))
        before, begun = tasks(), boottime()
        file.hang()
        await peer.until(holds(peer, "root_stalled", Truth.TRUE))
        took_s = boottime() - begun
        assert 2 < took_s < 5
        for kind in ON_THE_ROOT:
            await peer.until(holds(peer, kind, Truth.UNKNOWN), within_s=3)
            assert (one := said(peer, kind))
            assert one.detail == "the root is stalled"
        for number in range(20):
            command = Command(id=f"c{number}", treatment="fix_hosts", deadline_s=1.0)
            peer.commands[command.id] = command
        beats, most = len(peer.beats), 0
        while len(peer.results) < 20 or len(peer.beats) < beats + 5:
            most = max(most, tasks())
            await asyncio.sleep(0.05)
        assert most - before <= 4
        assert {result.status for result in peer.results} == {"refused"}
        assert "/ hasn't answered for" in peer.results[-1].detail
        file.thaw()
        await peer.until(holds(peer, "root_stalled", Truth.FALSE))
        await peer.until(holds(peer, "name_unresolvable", Truth.FALSE))
        assert tasks() <= before
    gaps = [b.uptime_s - a.uptime_s for a, b in zip(peer.beats, peer.beats[1:], strict=False)]
    assert max(gaps) < 2.0


async def test_an_agent_ends_in_time_in_the_middle_of_a_stall(peer: Peer, tmp_path: Path) -> None:
    """`at_work` allows it five seconds; whoever hung is gone with it."""
    node, file = Node(tmp_path), HangingFile(tmp_path / "root/etc/hostname")
    before = tasks()
    async with at_work(node.settings(peer.url)):
        await peer.until(holds(peer, "root_stalled", Truth.FALSE))
        file.hang()
        await peer.until(holds(peer, "root_stalled", Truth.TRUE))
    async with asyncio.timeout(5):
        while tasks() > before:  # noqa: ASYNC110 - processes tell nobody that they end
            await asyncio.sleep(0.02)
    file.thaw()


@needs_fuse
async def test_a_warm_page_cache_deceives_nobody(peer: Peer, tmp_path: Path) -> None:
    """A root whose server is stopped: what was read a moment ago proves nothing."""
    node, where = Node(tmp_path / "node"), tmp_path / "root"
    with real_fuse(node.rootfs, where) as root:
        settings = node.settings(peer.url, interval_s=1.0, rootfs=where, procfs=Path("/proc"))
        async with at_work(settings):
            await peer.until(holds(peer, "root_stalled", Truth.FALSE))
            begun = boottime()
            root.stall()
            await peer.until(holds(peer, "root_stalled", Truth.TRUE))
            assert boottime() - begun < 5
            root.thaw()
            await peer.until(holds(peer, "root_stalled", Truth.FALSE))
