"""Drives one operation: starts nodes by plan, watches them come back, and stops when told to.

Whatever ends it, every port that was touched is on again (or off, if that was ordered): each
node's act is one action that the supervisor, or the direct way, brings to its end by itself.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from common import clock
from common.fleet.members import Member
from common.fleet.orders import Ended, Order, OrderRefusedError, Way, WayLostError
from common.fleet.progress import Progress, Stage, next_up
from console.power.picture import Picture, Seat, picture_of

_POLL_S = 0.25
_AGAIN_S = 1.0  # between two tries of an order that a rail holds back only for now
_LOST_S, _LOST_AND_STOPPED_S = 120.0, 10.0  # without an answer for so long, nobody waits on
_REPORT_S = 240.0  # every action reports within its deadline of 120 s and some grace
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_TOO_EARLY = frozenset({"starts"})


@dataclass(slots=True)
class _Acting:
    """What is known of a node's order."""

    action: str = ""
    boot: str | None = None  # before it


class Run:
    """One operation on several nodes. `tell` is called at each change, and at each look."""

    def __init__(
        self,
        way: Way,
        order: Order,
        members: Sequence[Member],
        picture: Picture,
        wait_s: float,
        tell: Callable[["Run", Progress | None], None],
    ) -> None:
        self._way = way
        self._order = order
        self._wait_s = wait_s
        self._tell = tell
        self._acting: dict[str, _Acting] = {}
        self._picture = picture
        self._again_at = 0.0
        self._lost_at: float | None = None
        self._stop = asyncio.Event()
        self.began = clock.boottime()
        self.steps = [Progress(member, since=self.began) for member in members]
        self.waits_for = ""

    @property
    def kind(self) -> str:
        """Return what is done: cycle, on or off."""
        return self._order.kind

    @property
    def interrupted(self) -> bool:
        """Tell whether a person wanted it to stop."""
        return self._stop.is_set()

    async def run(self) -> None:
        """Do it; ends when every node's stage is over, or nothing is left to wait for."""
        with self._listening():
            while True:
                await self._look()
                await self._start_next()
                self._tell(self, None)
                if not self._has_more():
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_S):
                        await self._stop.wait()
                if self.interrupted:
                    self._drop_the_rest()
                    await asyncio.sleep(_POLL_S)

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        """A signal stops new starts; more of them change nothing."""
        loop = asyncio.get_running_loop()
        for signum in _SIGNALS:
            loop.add_signal_handler(signum, self._stop.set)
        try:
            yield
        finally:
            for signum in _SIGNALS:
                loop.remove_signal_handler(signum)
                signal.signal(signum, signal.SIG_IGN)  # what is left is short, and must not break

    def _has_more(self) -> bool:
        stages = {step.stage for step in self.steps}
        if Stage.WAITING in stages or Stage.ORDERED in stages:
            return True
        return Stage.BOOTING in stages and self._wait_s > 0 and not self.interrupted

    def _drop_the_rest(self) -> None:
        for step in self.steps:
            if step.stage is Stage.WAITING:
                self._enter(step, Stage.NOT_STARTED, "interrupted before its turn")

    def _enter(self, step: Progress, stage: Stage, detail: str = "") -> None:
        now = clock.boottime()
        if stage is Stage.BOOTING:
            step.powered_at = now
        step.enter(stage, now, detail)
        self._tell(self, step)

    # --- starting ----------------------------------------------------------------------------

    async def _start_next(self) -> None:
        now = clock.boottime()
        if self.interrupted or self._lost_at is not None or now < self._again_at:
            return
        step, self.waits_for = next_up(self.steps, self._order.kind, self._picture.limits, now)
        if step is None:
            return
        name = step.member.name
        acting = self._acting[name] = _Acting(boot=self._picture.seats[name].boot)
        try:
            acting.action = await self._way.order(replace(self._order, node=name))
        except OrderRefusedError as error:
            if _TOO_EARLY.issuperset(error.rails):
                self._again_at, self.waits_for = now + _AGAIN_S, str(error)
            else:
                self._enter(step, Stage.REFUSED, "; ".join(str(error).split("\n  ")))
        except WayLostError as error:
            self._enter(step, Stage.FAILED, f"it may or may not be carried out: {error}")
        else:
            self._enter(step, Stage.ORDERED)

    # --- watching ----------------------------------------------------------------------------

    async def _look(self) -> None:
        try:
            self._picture = picture_of(await self._way.look())
            ended = await self._way.ended()
        except WayLostError as error:
            self._no_answer(error)
            return
        self._lost_at = None
        for report in ended:
            self._take(report)
        for step in self.steps:
            self._judge(step, self._picture.seats[step.member.name])

    def _no_answer(self, error: WayLostError) -> None:
        now = clock.boottime()
        self._lost_at = self._lost_at or now
        self.waits_for = str(error)
        if now - self._lost_at > (_LOST_AND_STOPPED_S if self.interrupted else _LOST_S):
            for step in self.steps:
                if step.stage is Stage.WAITING:
                    self._enter(step, Stage.NOT_STARTED, str(error))
                elif not step.stage.is_over:
                    self._enter(step, Stage.FAILED, f"its end wasn't seen: {error}")

    def _take(self, report: Ended) -> None:
        for step in self.steps:
            acting = self._acting.get(step.member.name)
            if acting and acting.action == report.action and step.stage is Stage.ORDERED:
                self._reported(step, acting, report)

    def _reported(self, step: Progress, acting: _Acting, report: Ended) -> None:
        """An order's end. What may have happened is proven by a new boot, where that shows."""
        match report.result, self._order.kind:
            case "succeeded", "off":
                self._enter(step, Stage.OFF, report.detail)
            case "succeeded", _:
                self._enter(step, Stage.BOOTING, report.detail)
            case "unknown", "cycle" if acting.boot is not None:
                self._enter(step, Stage.BOOTING, f"not proven yet: {report.detail}")
            case "refused", _:
                self._enter(step, Stage.REFUSED, report.detail)
            case result, _:
                self._enter(step, Stage.FAILED, f"{result}: {report.detail}")

    def _judge(self, step: Progress, seat: Seat) -> None:
        acting, for_s = self._acting.get(step.member.name), clock.boottime() - step.since
        if acting is None or step.stage.is_over:
            return
        if self._order.kind == "cycle":
            # A report may have got lost on its way; a new boot is proof enough.
            rebooted = seat.boot != acting.boot if seat.boot else step.stage is Stage.BOOTING
        else:
            rebooted = step.stage is Stage.BOOTING
        if self._order.kind != "off" and seat.alive and rebooted:
            step.powered_at = step.powered_at or clock.boottime()
            self._enter(step, Stage.BACK)
        elif step.stage is Stage.BOOTING and self._wait_s and for_s > self._wait_s:
            self._enter(step, Stage.LATE, f"not back {for_s:.0f} s after its port came on")
        elif step.stage is Stage.ORDERED and for_s > _REPORT_S:
            self._enter(step, Stage.FAILED, "nobody told what came of it")
