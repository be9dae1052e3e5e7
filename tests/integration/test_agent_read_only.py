"""A real file system fails under a real agent: how soon the supervisor's side knows."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

from agents.detectors.filesystem_errors import FilesystemErrors
from agents.detectors.kernel_log import KernelLog
from agents.detectors.read_only_mounts import ReadOnlyMounts
from agents.kernel_messages import KernelMessages
from common.observations import Truth
from common.wire import WireObservation
from tests.integration.agent_at_work import Node, at_work
from tests.integration.agent_peer import Peer
from tests.integration.real_ext4 import RealExt4, needs_loop_ext4, real_ext4

pytestmark = needs_loop_ext4


@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[RealExt4]:
    """A healthy file system that turns read-only on errors."""
    with real_ext4(tmp_path) as made:
        yield made


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    """An honest supervisor that wants a beat each second."""
    peer = Peer()
    peer.interval_s = 1.0
    await peer.start()
    yield peer
    await peer.stop()


def _status(peer: Peer) -> Truth | None:
    seen = [one.status for one in peer.beats[-1].observations] if peer.beats else []
    return seen[0] if seen else None


def _detector(ext4: RealExt4, messages: KernelMessages | None) -> ReadOnlyMounts:
    return ReadOnlyMounts(Path("/proc"), (str(ext4.point),), Path("/"), messages)


async def test_injected_error_reaches_the_supervisor(
    peer: Peer, tmp_path: Path, ext4: RealExt4
) -> None:
    """errors=remount-ro: true at the supervisor within 1.5 s, with the mount and its fate."""
    (tmp_path / "node").mkdir()
    node = Node(tmp_path / "node")
    detector = _detector(ext4, KernelMessages())
    async with at_work(node.settings(peer.url, interval_s=1.0), [detector]):
        await peer.until(lambda: _status(peer) is Truth.FALSE)
        ext4.fail()
        await peer.until(lambda: _status(peer) is Truth.TRUE, within_s=1.5)
    (seen,) = peer.beats[-1].observations
    assert (seen.kind, seen.subject) == ("root_read_only", str(ext4.point))
    assert seen.detail.startswith("ext4 from /dev/loop")


class _Watched:
    """A detector's watch alone: no period helps it."""

    def __init__(self, detector: ReadOnlyMounts) -> None:
        self._detector = detector
        self._asked = asyncio.Event()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._detector.watch(self._asked.set))
        await asyncio.sleep(0)  # up to its first wait
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task], timeout=5)

    async def until(self, true: Callable[[WireObservation], bool]) -> None:
        async with asyncio.timeout(10):
            while not true(self._detector.observe()[0]):
                await self._asked.wait()
                self._asked.clear()


@pytest.mark.parametrize("messages", [KernelMessages(), None], ids=["both", "fanotify-alone"])
async def test_events_alone_tell_of_an_injected_error(
    ext4: RealExt4, messages: KernelMessages | None
) -> None:
    """Without any periodic look the kernel's word suffices, from the log or from fanotify."""
    detector = _detector(ext4, messages)
    async with _Watched(detector) as watched:
        await _marked(ext4)
        assert detector.observe()[0].status is Truth.FALSE
        ext4.fail()
        await watched.until(lambda seen: seen.status is Truth.TRUE)


async def test_events_alone_tell_of_a_remount(ext4: RealExt4) -> None:
    """Both ways, through the mount table's own event."""
    detector = _detector(ext4, None)
    async with _Watched(detector) as watched:
        assert detector.observe()[0].status is Truth.FALSE
        ext4.remount("ro")
        await watched.until(lambda seen: seen.status is Truth.TRUE)
        ext4.remount("rw")
        await watched.until(lambda seen: seen.status is Truth.FALSE)


async def test_the_kernels_word_reaches_its_detectors(ext4: RealExt4) -> None:
    """`filesystem_errors` is true of the device, and `kernel_reports` of ext4, without a look."""
    messages, rung = KernelMessages(), asyncio.Event()
    errors, log = FilesystemErrors(Path("/sys"), messages), KernelLog(messages)
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(detector.watch(rung.set)) for detector in (errors, log)]
    try:
        async with asyncio.timeout(10):
            await rung.wait()  # the log says that it listens
            before = {seen.subject: seen.status for seen in errors.observe()}
            assert before[ext4.device] is Truth.FALSE
            ext4.fail()
            while not any(seen.subject == "ext4" for seen in await log.observe()):
                rung.clear()
                await rung.wait()
        after = {seen.subject: seen.status for seen in errors.observe()}
        assert after[ext4.device] is Truth.TRUE
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=5)


async def _marked(ext4: RealExt4) -> None:
    """Wait until the kernel lists a mark on the file system, in any of our descriptors."""
    device = ext4.point.stat().st_dev
    sdev = f"sdev:{(device >> 8 & 0xFFF) << 20 | device & 0xFF:x}"
    async with asyncio.timeout(10):
        while not any(sdev in text for text in _fdinfos()):  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0.01)


def _fdinfos() -> list[str]:
    texts = []
    for path in Path("/proc/self/fdinfo").iterdir():
        try:
            texts.append(path.read_text())
        except OSError:
            continue
    return texts
