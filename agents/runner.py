"""Runs every detector on its own period, with a deadline, isolated from all others.

A look that raises, overruns its deadline or returns nonsense makes what the detector speaks
of *unknown* and is counted; the others go on. A look that hangs is never joined by a second
one: while it is outstanding, the detector stays unknown.

All periods are counted from one instant, so that looks that are due together cost one wake-up.
A detector with a `watch` is looked through at once when that rings; its periodic look goes on, on
its grid. A watch that ends is begun again, with pauses that grow to `_LONGEST_PAUSE_S`.
"""

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Sequence
from enum import StrEnum

import structlog

from agents.current_observations import CurrentObservations
from agents.detector import Detector, DetectorError, Observations, Watcher
from agents.metrics import Metrics
from agents.programs import ProgramError
from agents.threads import in_thread
from common.clock import boottime
from common.wire import WireObservation

_log = structlog.get_logger(__name__)
_EXPECTED = (DetectorError, ProgramError, OSError)  # these explain themselves without a traceback
_EARLY_S = 0.001  # a timer may fire early: that look was the one due
_LEAST_GAP_S = 0.05  # between looks: a storm of events must not become a storm of looks
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0


class Outcome(StrEnum):
    """How a look ended."""

    SUCCESS = "success"
    FAILED = "failed"  # it raised, or returned nonsense
    TIMEOUT = "timeout"  # it overran its deadline, or an earlier one still hangs


class Runner:
    """Keeps `current` up to date from `detectors`."""

    def __init__(
        self, detectors: Sequence[Detector], current: CurrentObservations, metrics: Metrics
    ) -> None:
        self._detectors = tuple(detectors)
        self._current = current
        self._metrics = metrics
        self._hanging: dict[str, asyncio.Future[Observations]] = {}
        self._failing: set[str] = set()
        self._next_turn_by: dict[str, float] = {}
        metrics.know_detectors([detector.name for detector in detectors], list(Outcome))

    async def run(self) -> None:
        """Run until cancelled."""
        begun = boottime()
        async with asyncio.TaskGroup() as group:
            for detector in self._detectors:
                bell = asyncio.Event()
                looking = self._keep_looking(detector, bell, begun)
                group.create_task(looking, name=f"detector {detector.name}")
                if isinstance(detector, Watcher):
                    watching = self._keep_watching(detector, bell)
                    group.create_task(watching, name=f"watch {detector.name}")
            await asyncio.Event().wait()

    def overdue_s(self, now: float) -> float:
        """Return by how long the latest detector's loop is late; 0 while all of them turn."""
        return max((now - by for by in self._next_turn_by.values()), default=0.0)

    async def _keep_looking(self, detector: Detector, bell: asyncio.Event, due: float) -> None:
        while True:
            self._next_turn_by[detector.name] = boottime() + detector.deadline_s
            bell.clear()  # what rings from here on may be too late for this look
            await self.look(detector)
            now = boottime()
            if now >= due - _EARLY_S:
                missed = max(0.0, now - due) // detector.period_s
                due += detector.period_s * (1 + missed)  # skipped, but it stays on the grid
            self._next_turn_by[detector.name] = due  # a look may have changed the period
            await _rung(bell, min(_LEAST_GAP_S, due - now), due - now)

    async def _keep_watching(self, detector: Watcher, bell: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()

        def look_now() -> None:
            with contextlib.suppress(RuntimeError):  # the loop closed: nobody looks any more
                loop.call_soon_threadsafe(bell.set)

        pause_s = _FIRST_PAUSE_S
        while True:
            begun = boottime()
            trouble = await _watched(detector, look_now)
            if boottime() - begun > _LONGEST_PAUSE_S:
                pause_s = _FIRST_PAUSE_S
            _log.warning("watch_ended", detector=detector.name, reason=trouble, again_in_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def look(self, detector: Detector) -> Outcome:
        """Look once, and account for it."""
        begun = boottime()
        outcome, found, trouble = await self._attempt(detector)
        now = boottime()
        if outcome is Outcome.SUCCESS:
            self._current.put(detector.name, found, begun)
        else:
            self._current.lose(detector.name, detector.kinds, trouble, now)
        self._metrics.looked(detector.name, outcome, now - begun)
        self._log_change(detector.name, outcome, trouble)
        return outcome

    async def _attempt(self, detector: Detector) -> tuple[Outcome, Observations, str]:
        if detector.name in self._hanging:
            return Outcome.TIMEOUT, (), "an earlier look still hangs"
        look = _start(detector)
        try:
            done, _ = await asyncio.wait({look}, timeout=detector.deadline_s)
        except asyncio.CancelledError:
            look.cancel()
            raise
        if not done:
            self._leave_hanging(detector, look)
            return Outcome.TIMEOUT, (), f"no answer within {detector.deadline_s:g} s"
        try:
            return Outcome.SUCCESS, _sensible(detector, look.result()), ""
        except _EXPECTED as error:
            return Outcome.FAILED, (), str(error) or type(error).__name__
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - isolation is our job
            return Outcome.FAILED, (), repr(error)

    def _leave_hanging(self, detector: Detector, look: asyncio.Future[Observations]) -> None:
        """Cancel a task; a thread can't be, so wait for its end before looking again."""
        name = detector.name
        self._hanging[name] = look

        def ended(future: asyncio.Future[Observations]) -> None:
            self._hanging.pop(name, None)
            if not future.cancelled():
                future.exception()  # retrieved: too late to matter

        look.add_done_callback(ended)
        if isinstance(look, asyncio.Task):
            look.cancel()

    def _log_change(self, name: str, outcome: Outcome, trouble: str) -> None:
        if outcome is Outcome.SUCCESS and name in self._failing:
            self._failing.discard(name)
            _log.info("detector_recovered", detector=name)
        elif outcome is not Outcome.SUCCESS and name not in self._failing:
            self._failing.add(name)
            _log.warning("detector_failing", detector=name, outcome=outcome, reason=trouble)


async def _rung(bell: asyncio.Event, at_least_s: float, at_most_s: float) -> None:
    """Wait until `bell` rings, within these bounds. Waking up costs: once, unless it rings."""
    begun = boottime()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(at_most_s):
            await bell.wait()
    if (early_s := begun + at_least_s - boottime()) > 0:
        await asyncio.sleep(early_s)


async def _watched(detector: Watcher, look_now: Callable[[], None]) -> str:
    """Watch until it ends; return why."""
    try:
        await detector.watch(look_now)
    except _EXPECTED as error:
        return str(error) or type(error).__name__
    except Exception as error:  # noqa: BLE001 - isolation is our job
        return repr(error)
    return "it returned"


def _start(detector: Detector) -> asyncio.Future[Observations]:
    """Start a look in the loop or in a thread of its own, as the detector asks."""
    name = f"look {detector.name}"
    if inspect.iscoroutinefunction(detector.observe):
        return asyncio.get_running_loop().create_task(detector.observe(), name=name)
    return in_thread(detector.observe, name)  # type: ignore[arg-type]  # no coroutine: checked


def _sensible(detector: Detector, found: object) -> Observations:
    """Return what was found if it is what the detector promised. Raises `DetectorError`."""
    if not isinstance(found, Sequence):
        raise DetectorError(f"returned {type(found).__name__}, not a list")
    for seen in found:
        if not isinstance(seen, WireObservation):
            raise DetectorError(f"returned {type(seen).__name__}, not an observation")
        if seen.kind not in detector.kinds:
            raise DetectorError(f"spoke of {seen.kind}, which is not its own")
    return found
