"""The agent's whole installation hangs under it, and it goes on telling so."""

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from common.clock import boottime
from common.observations import Truth
from tests.integration.agent_peer import MASTER_KEY, NODE, Peer
from tests.system.hung_root import HungRoot, drop_caches, hung_root, needs_hung_root

pytestmark = [*needs_hung_root, pytest.mark.timeout(300)]

PROGRAM = Path(sys.executable).with_name("pimedic-agent")
HUNG_S = float(os.environ.get("PIMEDIC_HUNG_S", "62"))
INTERVAL_S = 1.0
_NOT_LATE_S = 1.9  # between two beats: none is missing, whatever the load of this machine
_START_S = 90


class _Timed(Peer):
    """A supervisor that notes when each beat came."""

    def __init__(self) -> None:
        super().__init__()
        self.interval_s = INTERVAL_S
        self.arrivals: list[tuple[float, int]] = []

    def watch(self) -> None:
        """Take beats' times from here on."""
        self.arrivals.clear()

    async def until_beat(self) -> float:
        """Wait for the next beat; return when it came."""
        await self.beats_more(1)
        now = boottime()
        self.arrivals.append((now, self.beats[-1].sequence))
        return now

    def holds(self, kind: str) -> bool:
        """Tell whether the newest beat holds a condition of the root true."""
        return bool(self.beats) and any(
            seen.kind == kind and seen.status is Truth.TRUE for seen in self.beats[-1].observations
        )


@pytest.fixture
async def peer() -> AsyncIterator[_Timed]:
    """An honest supervisor."""
    peer = _Timed()
    await peer.start()
    yield peer
    await peer.stop()


@pytest.fixture
def root(tmp_path: Path) -> Iterator[HungRoot]:
    """The installation's root."""
    with hung_root(tmp_path) as made:
        yield made


@asynccontextmanager
async def _agent(root: HungRoot, peer: Peer, tmp_path: Path) -> AsyncIterator[Process]:
    """Run an agent that lives in `root`, with its key in there too."""
    key = tmp_path / "node.key"
    key.write_text(MASTER_KEY.hex())
    key.chmod(0o600)
    flags = [
        *("--from-ram", "--node", NODE, "--role", "worker", "--supervisor", peer.url),
        *("--listen", "127.0.0.1:0", "--key-file", str(key), "--path.run", f"{tmp_path}/run"),
        *("--bus", f"unix:path={tmp_path}/no-bus", "--interval", str(INTERVAL_S)),
        *("--boot-history", str(tmp_path / "boots")),
    ]
    argv = root.command(str(PROGRAM), *flags)
    process = await asyncio.create_subprocess_exec(*argv)
    try:
        yield process
    finally:
        root.thaw()
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(10):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


def _load(pid: int) -> int:
    """Count the threads and processes that this process consists of."""
    tasks = list(Path(f"/proc/{pid}/task").iterdir())
    children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return len(tasks) + sum(_load(child) for child in children)


async def test_agent_outlives_its_installation(
    root: HungRoot, peer: _Timed, tmp_path: Path
) -> None:
    """Its whole root hangs for a minute, its pages dropped: no beat is missed, and it says why.

    `root_stalled` is true within 5 s, at most 4 threads or processes are added, and after the
    thaw it is well again by itself. The same process reports all of it.
    """
    async with _agent(root, peer, tmp_path) as process:
        await peer.until(lambda: peer.beats, within_s=_START_S)
        await peer.until(lambda: _known(peer), within_s=_START_S)
        assert process.returncode is None
        drop_caches()
        await peer.beats_more(3)
        before = _load(process.pid)
        boot = peer.beats[-1].session

        root.hang()
        hung_at = boottime()
        assert not await asyncio.to_thread(root.answers), "the root doesn't hang at all"
        peer.watch()
        told_after, most = None, before
        while (now := await peer.until_beat()) < hung_at + HUNG_S:
            most = max(most, _load(process.pid))
            if told_after is None and peer.holds("root_stalled"):
                told_after = now - hung_at
            if now - hung_at > HUNG_S / 2:
                drop_caches()
        assert peer.holds("root_stalled")
        root.thaw()
        await peer.until(lambda: not peer.holds("root_stalled"), within_s=20)
        await peer.until(lambda: _known(peer), within_s=60)
        await peer.until(lambda: _load(process.pid) <= before + 1, within_s=30)  # a look, perhaps

    gaps = [b[0] - a[0] for a, b in zip(peer.arrivals, peer.arrivals[1:], strict=False)]
    numbers = [number for _, number in peer.arrivals]
    print(f"beats {len(numbers)}, longest gap {max(gaps):.2f} s, told after {told_after} s")  # noqa: T201
    print(f"threads and processes: {before} before, {most} at most")  # noqa: T201
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert max(gaps) < _NOT_LATE_S
    assert told_after is not None
    assert told_after < 5
    assert most - before <= 4
    assert peer.beats[-1].session == boot, "it was another agent, or it began anew"


def _known(peer: _Timed) -> bool:
    """Tell whether every condition of the disk is known to be false."""
    seen = {one.kind: one.status for one in peer.beats[-1].observations} if peer.beats else {}
    return all(
        seen.get(kind) is not None and seen[kind] is not Truth.UNKNOWN
        for kind in ("root_stalled", "name_unresolvable")
    ) and not peer.holds("root_stalled")
