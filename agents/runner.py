"""Runs every detector on its own period, with a deadline, isolated from all others.

A look that raises, overruns its deadline or returns nonsense makes what the detector speaks
of *unknown* and is counted; the others go on. A look that hangs is never joined by a second
one: while it is outstanding, the detector stays unknown. An event-driven detector is looked
at as soon as it asks for it, but never more often than the kernel's news are worth.
"""

import asyncio
import inspect
from collections.abc import Sequence
from enum import StrEnum

import structlog

from agents.current_observations import CurrentObservations
from agents.detector import Detector, DetectorError, EventDriven, Observations
from agents.metrics import Metrics
from agents.programs import ProgramError
from agents.threads import in_thread
from common.clock import boottime
from common.wire import WireObservation

_log = structlog.get_logger(__name__)
_CLOSEST_LOOKS_S = 0.005  # a flood of events is looked at 200 times a second at most
_WATCH_AGAIN_S = 30.0
_EXPECTED = (DetectorError, ProgramError, OSError)  # these explain themselves without a traceback


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
        self._wanted = {detector.name: asyncio.Event() for detector in detectors}
        metrics.know_detectors([detector.name for detector in detectors], list(Outcome))

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            for detector in self._detectors:
                group.create_task(self._keep_looking(detector), name=f"detector {detector.name}")
                if isinstance(detector, EventDriven):
                    group.create_task(self._keep_watching(detector), name=f"watch {detector.name}")
            await asyncio.Event().wait()

    def overdue_s(self, now: float) -> float:
        """Return by how long the latest detector's loop is late; 0 while all of them turn."""
        return max((now - by for by in self._next_turn_by.values()), default=0.0)

    async def _keep_looking(self, detector: Detector) -> None:
        due = boottime()
        while True:
            self._next_turn_by[detector.name] = due + detector.period_s + detector.deadline_s
            await self.look(detector)
            due = await self._next_look(detector, due)

    async def _next_look(self, detector: Detector, due: float) -> float:
        """Wait until the next look is due or asked for; return when it was due."""
        wanted, now = self._wanted[detector.name], boottime()
        due = max(due + detector.period_s, now)  # skip what was missed
        await asyncio.sleep(_CLOSEST_LOOKS_S)
        try:
            async with asyncio.timeout(due - boottime()):
                await wanted.wait()
        except TimeoutError:
            return due
        wanted.clear()
        return boottime()

    async def _keep_watching(self, detector: Detector) -> None:
        while True:
            try:
                await detector.watch(self._wanted[detector.name].set)  # type: ignore[attr-defined]
            except Exception as error:  # noqa: BLE001 - isolation is our job
                _log.warning("watch_failed", detector=detector.name, reason=repr(error))
                self._metrics.looked(detector.name, Outcome.FAILED, 0.0)
            else:
                return
            await asyncio.sleep(_WATCH_AGAIN_S)

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
