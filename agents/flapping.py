"""Which units come and go: pure bookkeeping of starts, so that the rule can be read off.

A unit that systemd restarts by itself is active at nearly every look. What gives it away is how
often it started: `FLAPS` times within `WINDOW_S`, and the last start isn't yet followed by a
calm that is long for this unit.
"""

from collections import deque
from dataclasses import dataclass, field

from agents.systemctl import Unit

FLAPS = 4
WINDOW_S = 300.0
CALM_S = 30.0
_KEPT = 64
_CALM_GAPS = 3.0  # a unit that falls each 20 s is well after a minute


@dataclass(slots=True)
class _Life:
    known: deque[str]
    """Invocations we know of: a look that was under way when an event came tells of older ones."""
    first_restarts: int
    last_restarts: int
    starts: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    counted: int = 0
    """Starts noted since `first_restarts` was read."""


class Flapping:
    """The starts of every unit since we first saw it. Instants are seconds of CLOCK_BOOTTIME."""

    def __init__(self) -> None:
        self._lives: dict[str, _Life] = {}

    def started(self, unit: str, invocation: str, now: float) -> None:
        """An event said that `unit` has a new invocation; saying it twice changes nothing."""
        life = self._lives.get(unit)
        if life is None or not invocation or invocation in life.known:
            return
        life.known.append(invocation)
        life.starts.append(now)
        life.counted += 1

    def looked(self, unit: Unit, now: float) -> None:
        """Take a look's word too: it knows of starts whose events didn't reach us."""
        life = self._lives.get(unit.name)
        if life is None:
            known = deque([unit.invocation], maxlen=_KEPT)
            self._lives[unit.name] = _Life(known, unit.restarts, unit.restarts)
            return
        self.started(unit.name, unit.invocation, now)
        if unit.restarts < life.last_restarts:  # reset-failed: the count begins anew
            life.first_restarts, life.counted = unit.restarts, 0
        life.last_restarts = unit.restarts
        missed = max(0, unit.restarts - life.first_restarts - life.counted)
        life.counted += missed
        life.starts.extend([now] * min(missed, _KEPT))

    def verdict(self, unit: str, now: float) -> str:
        """Say how `unit` flaps, or nothing if it doesn't."""
        life = self._lives.get(unit)
        starts = [at for at in life.starts if now - at <= WINDOW_S] if life else []
        if len(starts) < FLAPS:
            return ""
        mean_gap_s = (starts[-1] - starts[0]) / (len(starts) - 1)
        if now - starts[-1] > max(CALM_S, _CALM_GAPS * mean_gap_s):
            return ""
        return f"flapping: {len(starts)} starts within {now - starts[0]:.0f} s"
