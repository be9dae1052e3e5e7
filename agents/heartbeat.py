"""The heartbeat loop: beat, hand on what the answer says, wait, again. Touches no disk."""

import asyncio
import contextlib
import random
from collections.abc import Sequence

import structlog

from agents.clock_offset import ClockOffset
from agents.commands import Commands
from agents.current_observations import CurrentObservations
from agents.link import Link, LinkError
from agents.logbook import Logbook
from agents.metrics import ANSWERED, CHALLENGED, Metrics
from agents.pacing import Pace
from agents.session import Challenged, Failure, Refused, Session, Verdict
from common.clock import boottime, wall_ns
from common.wire import Reply

_log = structlog.get_logger(__name__)
_LEAST_GAP_S = 0.1  # between beats, however much there is to tell


class Heartbeats:
    """Beats to the first supervisor that answers."""

    def __init__(
        self,
        supervisors: Sequence[str],
        interval_s: float,
        session: Session,
        link: Link,
        current: CurrentObservations,
        commands: Commands,
        clock: ClockOffset,
        metrics: Metrics,
        logbook: Logbook,
    ) -> None:
        self.last_answer_at: float | None = None  # seconds of CLOCK_BOOTTIME, as all instants
        self._supervisors = tuple(supervisors)
        self._asked = 0
        self._pace = Pace(interval_s, len(self._supervisors), random.random)
        self._session = session
        self._link = link
        self._current = current
        self._commands = commands
        self._clock = clock
        self._metrics = metrics
        self._logbook = logbook
        self._next_turn_by = boottime() + self._longest_turn_s()
        self._lost_at: float | None = None
        self._news = asyncio.Event()

    def hurry(self) -> None:
        """There is news: beat out of turn, unless nobody answers anyway."""
        self._news.set()

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            due = await self._turn()
            self._next_turn_by = due + self._longest_turn_s()
            await self._until(due)

    async def _until(self, due: float) -> None:
        """Wait until `due`, or for news; never for less than `_LEAST_GAP_S`."""
        wait_s = max(0.0, due - boottime())
        if self._lost_at is not None or wait_s < _LEAST_GAP_S:
            await asyncio.sleep(wait_s)
            return
        begun = boottime()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._news.wait()
        if (early_s := begun + _LEAST_GAP_S - boottime()) > 0:  # else: no second wake-up
            await asyncio.sleep(early_s)

    def overdue_s(self, now: float) -> float:
        """Return how late the loop is; 0 or less while it turns, answered or not."""
        return now - self._next_turn_by

    def answer_age_s(self) -> float | None:
        """Seconds since the last verified answer, or None before the first."""
        return None if self.last_answer_at is None else boottime() - self.last_answer_at

    def _longest_turn_s(self) -> float:
        return 2 * self._pace.deadline_s  # a challenged beat is repeated at once

    async def _turn(self) -> float:
        """Beat, once more if challenged, and return when the next turn is due."""
        verdict = await self._beat()
        if isinstance(verdict, Challenged):
            verdict = await self._beat()
        match verdict:
            case Reply():
                self._answered(verdict)
                return self._pace.after_answer(boottime())
            case Refused(failure, detail):
                return self._failed(failure, detail)
            case Challenged():  # a supervisor that never accepts must not be beaten in a spin
                return self._failed(Failure.STATUS, "challenged twice in a row")

    async def _beat(self) -> Verdict:
        self._news.clear()
        begun = boottime()
        t0_ns = wall_ns()
        request = self._session.request(
            uptime_s=begun,
            wall_ns=t0_ns,
            observations=self._current.snapshot(begun),
            results=self._commands.results(),
            journal=self._logbook.to_hand_over(begun),
        )
        try:
            answer = await self._link.post(self._supervisor, request, self._pace.deadline_s)
        except LinkError as error:
            return self._count(Refused(error.failure, str(error)))
        now = boottime()
        self._metrics.round_trip.observe(now - begun)
        verdict = self._session.read(request, answer.status, answer.headers, answer.body)
        if isinstance(verdict, Reply):
            self._logbook.answered(begun, now)
            self._clock.add(t0_ns, verdict.received_ns, verdict.sent_ns, now - begun, now)
        return self._count(verdict)

    def _count(self, verdict: Verdict) -> Verdict:
        self._metrics.beats.labels(_outcome(verdict)).inc()
        return verdict

    def _answered(self, reply: Reply) -> None:
        now = boottime()
        self.last_answer_at = now
        self._pace.interval_s = reply.interval_s
        self._commands.accept(reply.commands, now)
        self._commands.acknowledge(reply.acknowledged)
        self._logbook.acknowledge(reply.journal_acknowledged)
        if self._lost_at is not None:
            away_s = round(now - self._lost_at, 3)
            _log.info("supervisor_answers_again", supervisor=self._supervisor, away_s=away_s)
            self._lost_at = None

    def _failed(self, failure: Failure, detail: str) -> float:
        now = boottime()
        self._logbook.unanswered(now)
        if self._lost_at is None:
            self._lost_at = now
            _log.warning(
                "supervisor_lost", supervisor=self._supervisor, failure=failure, detail=detail
            )
        self._asked += 1
        return self._pace.after_failure(now)

    @property
    def _supervisor(self) -> str:
        return self._supervisors[self._asked % len(self._supervisors)]


def _outcome(verdict: Verdict) -> str:
    match verdict:
        case Reply():
            return ANSWERED
        case Challenged():
            return CHALLENGED
        case Refused(failure):
            return failure
