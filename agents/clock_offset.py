"""How far the supervisor's clock is ahead of ours, from the heartbeat's four timestamps.

    t0 we send   t1 it receives   t2 it answers   t3 we receive
    offset = ((t1 - t0) + (t2 - t3)) / 2,   round trip = (t3 - t0) - (t2 - t1)

However unequal the two ways are, the true offset lies within half a round trip of that, so
each sample is an interval. The sample with the narrowest interval wins; an old one widens,
because crystals drift. A new interval that doesn't even touch the best one proves that
somebody set a clock in between: then what was known before is worthless and dropped.
"""

from collections import deque
from dataclasses import dataclass

DRIFT = 500e-6  # two crystals, each within the kernel's limit of 500 ppm: mostly far better
WINDOW = 64  # samples
MAX_AGE_S = 120.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds the supervisor's clock is ahead of ours, certain within `error_s`."""

    offset_s: float
    error_s: float


@dataclass(frozen=True, slots=True)
class _Sample:
    offset_s: float
    error_s: float
    taken_at: float

    def at(self, now: float) -> Estimate:
        return Estimate(self.offset_s, self.error_s + DRIFT * max(0.0, now - self.taken_at))

    @property
    def rank(self) -> float:
        """All intervals widen alike, so the narrowest one is the same at every instant."""
        return self.error_s - DRIFT * self.taken_at


class ClockOffset:
    """The best estimate over a sliding window of beats."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque(maxlen=WINDOW)

    def add(self, t0_ns: int, t1_ns: int, t2_ns: int, elapsed_s: float, now: float) -> None:
        """Add one beat: sent at `t0_ns`, answered after `elapsed_s` of a monotonic clock.

        A beat whose figures contradict themselves (the supervisor held it longer than the
        whole round trip took) says nothing and is left out.
        """
        held_s = (t2_ns - t1_ns) / 1e9
        round_trip_s = elapsed_s - held_s
        if held_s < 0 or round_trip_s < 0:
            return
        t3_ns = t0_ns + round(elapsed_s * 1e9)
        offset_s = ((t1_ns - t0_ns) + (t2_ns - t3_ns)) / 2e9
        sample = _Sample(offset_s, round_trip_s / 2, now)
        best = self.estimate(now)
        if best and abs(best.offset_s - offset_s) > best.error_s + sample.error_s:
            self._samples.clear()
        self._samples.append(sample)

    def estimate(self, now: float) -> Estimate | None:
        """Return the narrowest interval, or None when no beat of the last minutes was answered."""
        while self._samples and now - self._samples[0].taken_at > MAX_AGE_S:
            self._samples.popleft()
        best = min(self._samples, key=lambda sample: sample.rank, default=None)
        return best.at(now) if best else None
