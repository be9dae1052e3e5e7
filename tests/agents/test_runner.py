"""The runner: one detector's trouble is never another's, nor the heartbeat's."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Never

import pytest

from agents.current_observations import CurrentObservations
from agents.detector import Detector
from agents.metrics import Metrics
from agents.runner import Outcome, Runner
from common.clock import boottime
from common.observations import Truth
from common.wire import WireObservation


class Looks:
    """A detector that does as it was made, in a thread."""

    kinds = ("k",)
    period_s = 0.02
    deadline_s = 0.1

    def __init__(self, name: str, act: Callable[[], Any]) -> None:
        self.name = name
        self.looks = 0
        self._act = act

    def observe(self) -> Any:
        """Look once."""
        self.looks += 1
        return self._act()


class LooksInLoop(Looks):
    """The same, in the event loop."""

    async def observe(self) -> Any:
        """Look once."""
        self.looks += 1
        return await self._act()


def _fine() -> list[WireObservation]:
    return [WireObservation(kind="k", status=Truth.FALSE, detail=threading.current_thread().name)]


def _runner_of(*detectors: Detector) -> tuple[Runner, CurrentObservations, Metrics]:
    current, metrics = CurrentObservations(), Metrics("0")
    return Runner(detectors, current, metrics), current, metrics


def _statuses(current: CurrentObservations) -> list[str]:
    return [seen.status.value for seen in current.snapshot(boottime())]


async def _until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


async def test_plain_detectors_get_a_thread() -> None:
    """What may block never runs in the event loop's thread."""
    detector = Looks("plain", _fine)
    runner, current, _ = _runner_of(detector)
    assert await runner.look(detector) is Outcome.SUCCESS
    assert current.snapshot(boottime())[0].detail == "look plain"


async def test_async_detectors_run_in_the_loop() -> None:
    """What says that it doesn't block is run without a thread."""

    async def look() -> list[WireObservation]:
        return _fine()

    detector = LooksInLoop("async", look)
    runner, current, _ = _runner_of(detector)
    assert await runner.look(detector) is Outcome.SUCCESS
    assert current.snapshot(boottime())[0].detail == threading.current_thread().name


def _crash() -> Never:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(_crash, id="raises"),
        pytest.param(lambda: None, id="returns-nothing"),
        pytest.param(lambda: 42, id="returns-a-number"),
        pytest.param(lambda: [42], id="returns-numbers"),
        pytest.param(
            lambda: [WireObservation(kind="other", status=Truth.TRUE)], id="speaks-of-others"
        ),
    ],
)
async def test_failed_look_is_unknown_and_counted(act: Callable[[], Any]) -> None:
    """Raising and nonsense make the detector's kinds unknown, with the reason."""
    detector = Looks("bad", act)
    runner, current, metrics = _runner_of(detector)
    assert await runner.look(detector) is Outcome.FAILED
    (seen,) = current.snapshot(boottime())
    assert (seen.kind, seen.status) == ("k", Truth.UNKNOWN)
    assert seen.detail
    assert b'looks_total{detector="bad",outcome="failed"} 1.0' in metrics.text()


async def test_no_data_is_no_failure() -> None:
    """A detector with nothing to look at is _fine, and silent."""
    detector = Looks("absent", list)
    runner, current, _ = _runner_of(detector)
    assert await runner.look(detector) is Outcome.SUCCESS
    assert current.snapshot(boottime()) == ()


async def test_hanging_thread_is_never_joined_by_a_second() -> None:
    """A look that hangs stays one: later turns report unknown until it ends, then it recovers."""
    gate = threading.Event()

    def hang() -> list[WireObservation]:
        gate.wait(30)
        return _fine()

    detector = Looks("stuck", hang)
    runner, current, _ = _runner_of(detector)
    assert await runner.look(detector) is Outcome.TIMEOUT
    assert await runner.look(detector) is Outcome.TIMEOUT
    assert detector.looks == 1
    assert _statuses(current) == ["unknown"]
    gate.set()
    await _until(lambda: not runner._hanging)
    assert await runner.look(detector) is Outcome.SUCCESS
    assert _statuses(current) == ["false"]


async def test_hanging_task_is_cancelled() -> None:
    """In the loop a look that overruns is cancelled."""
    detector = LooksInLoop("slow", asyncio.Event().wait)
    runner, _, _ = _runner_of(detector)
    assert await runner.look(detector) is Outcome.TIMEOUT
    await _until(lambda: not runner._hanging)


async def test_late_failure_of_a_hanging_look_is_harmless() -> None:
    """What a given-up look ends with is dropped, also an error."""
    gate = threading.Event()

    def hang() -> Never:
        gate.wait(30)
        raise OSError("too late")

    detector = Looks("stuck", hang)
    runner, _, _ = _runner_of(detector)
    await runner.look(detector)
    gate.set()
    await _until(lambda: not runner._hanging)


async def test_others_go_on() -> None:
    """While one raises, one hangs and one talks nonsense, the good one keeps its period."""
    gate = threading.Event()
    good = Looks("good", _fine)
    bad = [Looks("a", _crash), Looks("b", lambda: gate.wait(30)), Looks("c", lambda: "nonsense")]
    runner, current, _ = _runner_of(*bad, good)
    task = asyncio.get_running_loop().create_task(runner.run())
    try:
        await _until(lambda: good.looks >= 10 and len(current.snapshot(0)) == 4)
        assert sorted(_statuses(current)) == ["false", "unknown", "unknown", "unknown"]
    finally:
        gate.set()
        task.cancel()
        await asyncio.wait([task], timeout=5)


async def test_turning_loops_are_not_overdue() -> None:
    """The watchdog sees a hanging look as progress: the loops still turn."""
    gate = threading.Event()
    detector = Looks("stuck", lambda: gate.wait(30))
    runner, _, _ = _runner_of(detector)
    assert runner.overdue_s(boottime()) == 0.0
    task = asyncio.get_running_loop().create_task(runner.run())
    try:
        await _until(lambda: detector.looks == 1 and runner._hanging)
        assert runner.overdue_s(boottime()) < 1.0
        assert runner.overdue_s(boottime() + 60) > 50.0
    finally:
        gate.set()
        task.cancel()
        await asyncio.wait([task], timeout=5)


async def test_period_that_grows_makes_nobody_overdue() -> None:
    """A look may lengthen its detector's period: the loop isn't late for that."""

    def lengthen() -> list[WireObservation]:
        detector.period_s = 60.0
        return _fine()

    detector = Looks("lazy", lengthen)
    runner, current, _ = _runner_of(detector)

    async def work() -> None:
        await _until(lambda: current.snapshot(boottime()))
        assert runner.overdue_s(boottime() + 50) <= 0.0

    await _watch_in(runner, work)


class Watches(Looks):
    """A detector with a long period that is told of events."""

    period_s = 60.0

    def __init__(self, watch: Callable[[Callable[[], None]], Any]) -> None:
        super().__init__("watches", _fine)
        self.watches = 0
        self._watch = watch

    async def watch(self, look_now: Callable[[], None]) -> None:
        """Wait for events."""
        self.watches += 1
        await self._watch(look_now)


async def _watch_in(runner: Runner, work: Callable[[], Any]) -> None:
    task = asyncio.get_running_loop().create_task(runner.run())
    try:
        await work()
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=5)


@pytest.mark.parametrize("from_thread", [False, True])
async def test_event_makes_it_look_at_once(from_thread: bool) -> None:  # noqa: FBT001
    """A watch rings, from the loop or from any thread, and the look doesn't wait its period."""
    rings: list[Callable[[], None]] = []

    async def watch(look_now: Callable[[], None]) -> None:
        rings.append(look_now)
        await asyncio.Event().wait()

    detector = Watches(watch)
    runner, _, _ = _runner_of(detector)

    async def work() -> None:
        await _until(lambda: detector.looks == 1 and rings)
        if from_thread:
            await asyncio.to_thread(rings[0])
        else:
            rings[0]()
        await _until(lambda: detector.looks == 2)

    await _watch_in(runner, work)


async def test_storm_of_events_is_no_storm_of_looks() -> None:
    """A thousand events within a moment cost a handful of looks, the last one after them all."""
    done = asyncio.Event()

    async def watch(look_now: Callable[[], None]) -> None:
        for _ in range(1000):
            look_now()
            await asyncio.sleep(0)
        done.set()
        await asyncio.Event().wait()

    detector = Watches(watch)
    runner, _, _ = _runner_of(detector)

    async def work() -> None:
        await done.wait()
        so_far = detector.looks
        await _until(lambda: detector.looks > so_far)
        assert detector.looks < 50

    await _watch_in(runner, work)


async def test_broken_watch_is_begun_again_and_looks_go_on() -> None:
    """A watch that raises or ends takes nothing with it, and is tried again."""

    async def watch(_look_now: Callable[[], None]) -> None:
        raise OSError("no bus")

    detector = Watches(watch)
    good = Looks("good", _fine)
    runner, current, _ = _runner_of(detector, good)

    async def work() -> None:
        await _until(lambda: detector.watches == 2 and good.looks > 3)
        assert _statuses(current) == ["false", "false"]

    await _watch_in(runner, work)
