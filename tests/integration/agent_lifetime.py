"""A long life of a real agent in virtual time, and what its memory does meanwhile.

    python -m tests.integration.agent_lifetime [--cycles 24] [--cycle-s 3600] [--verbose]

One process holds the agent, its supervisor and a scraper, over real sockets. Each cycle has
everything that could pile up: beats, looks, detectors that raise, hang and talk nonsense, a
condition that flaps, commands with results, scrapes, a supervisor that is away and one that
accepts and says nothing. Every eighth cycle it is away most of the time. Prints a line of JSON:
memory at the end of the first cycle and of the last one, at the same point of each.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import logging
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Never

import aiohttp
import structlog

from agents import catalogue
from agents.app import App
from common.observations import Truth
from common.tasks import spawn
from common.wire import Command, Heartbeat, Reply, WireObservation
from tests.integration.agent_at_work import Node
from tests.integration.agent_peer import MASTER_KEY, Peer
from tests.integration.virtual_time import HANGING, VirtualLoop, VirtualTime

_COMMAND_EVERY_S, _SCRAPE_EVERY_S = 60.0, 15.0
_LONG_SILENCE = 8  # every so many cycles
_KEPT = 8


@dataclass(frozen=True)
class Memory:
    """Of the whole process. `blocks` are Python's own allocations that are in use."""

    rss_kib: int
    blocks: int
    threads: int

    @classmethod
    def now(cls) -> "Memory":
        """Measure, with everything collected that is garbage."""
        gc.collect()
        status = Path("/proc/self/status").read_text().splitlines()
        rss = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
        return cls(rss, sys.getallocatedblocks(), threading.active_count())


class _Forgetful(Peer):
    """A supervisor that keeps nothing, so that what grows is the agent."""

    def __init__(self) -> None:
        super().__init__()
        self.interval_s = 1.0
        self.accepted = self.witnessed = self.ended = 0

    def _reply(self, beat: Heartbeat, received: int) -> Reply:
        reply = super()._reply(beat, received)
        self.accepted += 1
        self.witnessed += len(beat.journal)
        for result in beat.results:
            self.ended += self.commands.pop(result.id, None) is not None
        for kept in (self.beats, self.results, self.journal):
            del kept[:-_KEPT]
        self.connections.clear()
        return reply


class _Bad:
    """A detector that does as it was made."""

    period_s = 1.0
    deadline_s = 0.5

    def __init__(self, name: str) -> None:
        self.name = name
        self.kinds = (name,)


class _Raises(_Bad):
    def observe(self) -> Never:
        """Fail."""
        raise OSError(5, "Input/output error")


class _Nonsense(_Bad):
    def observe(self) -> Any:
        """Say something else."""
        return [42]


class _Hangs(_Bad):
    def observe(self) -> Any:
        """Never return, as on a dead disk."""
        threading.Event().wait()


class _HangsInLoop(_Bad):
    async def observe(self) -> Any:
        """Never return."""
        await asyncio.Event().wait()


class _Flaps(_Bad):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._looks = 0

    async def observe(self) -> list[WireObservation]:
        """Change each time, with a detail of its own."""
        self._looks += 1
        status = Truth.TRUE if self._looks % 2 else Truth.FALSE
        return [
            WireObservation(
                kind=self.name, status=status, subject="/", detail=f"{self._looks} " + "x" * 300
            )
        ]


def _extras() -> list[Any]:
    return [
        _Raises("raises"),
        _Nonsense("nonsense"),
        _Hangs(HANGING),
        _HangsInLoop("in_loop"),
        _Flaps("flaps"),
    ]


class _Life:
    def __init__(self, virtual: VirtualTime, folder: Path) -> None:
        self._virtual = virtual
        self._node = Node(folder)
        self._commands = 0
        self._unheard = False  # then beats aren't answered, and time must go on
        self._scraping = False
        self.peer = _Forgetful()
        self.app: App

    @contextlib.asynccontextmanager
    async def begun(self) -> AsyncIterator[None]:
        await self.peer.start()
        settings = self._node.settings(
            self.peer.url, interval_s=1.0, procfs=Path("/proc"), sysfs=Path("/sys")
        )
        make = catalogue.detectors
        catalogue.detectors = lambda *given: [*make(*given), *_extras()]
        self.app = App(settings, MASTER_KEY)
        self._hold_while_bytes_are_under_way()
        tasks = [spawn(self.app.run(), "agent"), spawn(self._scrape(), "scraper")]
        await self.app.started.wait()
        yield
        self.app.stop()
        await tasks[0]
        tasks[1].cancel()

    def _hold_while_bytes_are_under_way(self) -> None:
        posts, post = 0, self.app._link.post

        async def held_post(*given: Any) -> Any:
            nonlocal posts
            posts += 1
            try:
                return await post(*given)
            finally:
                posts -= 1

        self.app._link.post = held_post  # type: ignore[method-assign]
        self._virtual.held = lambda: self._scraping or (posts > 0 and not self._unheard)

    async def _scrape(self) -> None:
        async with aiohttp.ClientSession() as http:
            await self.app.started.wait()
            while True:
                self._scraping = True
                async with http.get(f"http://127.0.0.1:{self.app.port}/metrics") as response:
                    await response.read()
                self._scraping = False
                await asyncio.sleep(_SCRAPE_EVERY_S)

    async def cycle(self, number: int, lasts_s: float) -> None:
        """Let one cycle pass, and leave the supervisor answering."""
        part_s = lasts_s / 6
        away = bool(number) and number % _LONG_SILENCE == 0
        if away:
            await self._away(4 * part_s)
        else:
            await self._commanding(2 * part_s)
            await self._away(part_s)
            await self._mute(part_s)
        await self._commanding(2 * part_s)

    async def _commanding(self, lasts_s: float) -> None:
        until = self._virtual.now + lasts_s
        while self._virtual.now < until:
            self._commands += 1
            name = f"c{self._commands}"
            unit = ("ssh", "no-such-unit")[self._commands % 2]
            self.peer.commands[name] = Command(
                id=name, treatment="restart_unit", arguments={"unit": unit}, deadline_s=30
            )
            await asyncio.sleep(min(_COMMAND_EVERY_S, until - self._virtual.now))

    async def _away(self, lasts_s: float) -> None:
        """Close the port: connections are refused."""
        port, self._unheard = self.peer.port, True
        await self.peer.stop()
        await asyncio.sleep(lasts_s)
        await self.peer.start(port)
        await self._heard_again()

    async def _mute(self, lasts_s: float) -> None:
        """Accept, and say nothing: beats overrun their deadline."""
        self.peer.silent = self._unheard = True
        await asyncio.sleep(lasts_s)
        self.peer.silent = False
        await self._heard_again()

    async def _heard_again(self) -> None:
        """Let time go on until a beat is answered: the one under way never will be."""
        accepted = self.peer.accepted
        while self.peer.accepted == accepted:  # noqa: ASYNC110 - no event, and virtual seconds
            await asyncio.sleep(0.1)
        self._unheard = False


async def _live(virtual: VirtualTime, folder: Path, cycles: int, cycle_s: float) -> dict[str, Any]:
    life, begun = _Life(virtual, folder), virtual.now
    found: list[Memory] = []
    async with life.begun():
        for number in range(cycles):
            await life.cycle(number, cycle_s)
            found.append(Memory.now())
            structlog.get_logger().info("cycle", number=number, **asdict(found[-1]))
    return {
        "virtual_h": round((virtual.now - begun) / 3600, 2),
        "beats": life.peer.accepted,
        "commands": life.peer.ended,
        "witnessed": life.peer.witnessed,
        "first": asdict(found[0]),
        "last": asdict(found[-1]),
    }


@contextlib.contextmanager
def _quiet(verbose: bool) -> Iterator[None]:  # noqa: FBT001 - a flag of the command line
    level = logging.INFO if verbose else logging.CRITICAL
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))
    yield


def main() -> None:
    """Live, and print what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cycles", type=int, default=24)
    parser.add_argument("--cycle-s", type=float, default=3600.0)
    parser.add_argument("--verbose", action="store_true")
    given = parser.parse_args()
    virtual = VirtualTime()
    virtual.install()
    loop = VirtualLoop(virtual)
    asyncio.set_event_loop(loop)
    with tempfile.TemporaryDirectory() as folder, _quiet(given.verbose):
        lived = loop.run_until_complete(_live(virtual, Path(folder), given.cycles, given.cycle_s))
    sys.stdout.write(json.dumps(lived) + "\n")


if __name__ == "__main__":
    main()
