"""What the detectors last saw, in memory: all that the heartbeat path ever reads.

Beware of threads: only the event loop touches this.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from common.observations import Truth
from common.wire import WireObservation

# A beat has a bound and is cut from the end: news first.
_ORDER = {Truth.TRUE: 0, Truth.UNKNOWN: 1, Truth.FALSE: 2}

OnChange = Callable[[float, WireObservation, Truth | None], None]
"""Told the instant, what is seen now, and the status before, if the subject was known."""


@dataclass(frozen=True, slots=True)
class _Look:
    observations: tuple[WireObservation, ...]
    seen_at: float


class CurrentObservations:
    """The last look of each detector. Instants are seconds of CLOCK_BOOTTIME."""

    def __init__(self, on_change: OnChange = lambda _now, _seen, _before: None) -> None:
        """Have `on_change` told of every observation whose status isn't what it was."""
        self._looks: dict[str, _Look] = {}
        self._on_change = on_change

    def put(self, detector: str, observations: Sequence[WireObservation], now: float) -> None:
        """Replace what `detector` saw: what it speaks of no more is gone."""
        look = self._looks.get(detector)
        before = (
            {(seen.kind, seen.subject): seen.status for seen in look.observations} if look else {}
        )
        self._looks[detector] = _Look(tuple(observations), now)
        for seen in observations:
            was = before.get((seen.kind, seen.subject))
            if seen.status is not was:
                self._on_change(now, seen, was)

    def why(self, kind: str) -> str:
        """Return the detail of a condition that is true, or nothing if it isn't."""
        return next(
            (
                seen.detail or kind
                for look in self._looks.values()
                for seen in look.observations
                if seen.kind == kind and seen.status is Truth.TRUE
            ),
            "",
        )

    def lose(self, detector: str, kinds: Sequence[str], detail: str, now: float) -> None:
        """`detector` could not look: everything it spoke of, or might have, is unknown."""
        look = self._looks.get(detector)
        known = [(seen.kind, seen.subject) for seen in look.observations] if look else []
        silent = set(kinds) - {kind for kind, _ in known}
        lost = [*known, *((kind, "") for kind in kinds if kind in silent)]
        unknown = [
            WireObservation(kind=kind, status=Truth.UNKNOWN, subject=subject, detail=detail[:400])
            for kind, subject in lost
        ]
        self.put(detector, unknown, now)

    def snapshot(self, now: float) -> tuple[WireObservation, ...]:
        """Return every current observation with its age, true ones first."""
        aged = [
            observation.model_copy(update={"age_s": max(0.0, now - look.seen_at)})
            for look in self._looks.values()
            for observation in look.observations
        ]
        return tuple(sorted(aged, key=lambda observation: _ORDER[observation.status]))
