"""When to beat next: pure arithmetic on `now`, so that cadence and backoff can be read off.

Answered beats keep a fixed grid; a grid point that passed is skipped, never caught up.
Failures back off exponentially with jitter, counted in rounds over all supervisors, so that
the second supervisor is asked as soon as the first has failed.
"""

from collections.abc import Callable

DEADLINE_FLOOR_S = 2.0
_LONGEST_BACKOFF_S = 10.0
_BACKOFF_INTERVALS = 4.0


class Pace:
    """Decides each next beat. `jitter` returns a number from 0 to 1."""

    def __init__(self, interval_s: float, supervisors: int, jitter: Callable[[], float]) -> None:
        self.interval_s = interval_s
        self._supervisors = supervisors
        self._jitter = jitter
        self._due: float | None = None
        self.failures = 0

    @property
    def deadline_s(self) -> float:
        """How long a request may take."""
        return max(DEADLINE_FLOOR_S, 2 * self.interval_s)

    @property
    def longest_wait_s(self) -> float:
        """The most that ever lies between two beats, apart from the request itself."""
        cap = min(_BACKOFF_INTERVALS * self.interval_s, _LONGEST_BACKOFF_S)
        return max(self.interval_s, cap)

    def after_answer(self, now: float) -> float:
        """Return when the next beat is due, on the grid that the first answer started."""
        if self._due is not None and not self.failures and now < self._due:
            return self._due  # that one was out of turn: the grid stays
        due = now if self._due is None or self.failures else self._due
        self.failures = 0
        missed = max(0, int((now - due) / self.interval_s))
        self._due = due + (missed + 1) * self.interval_s
        if self._due <= now:  # the division was rounded
            self._due += self.interval_s
        return self._due

    def after_failure(self, now: float) -> float:
        """Return when to try again."""
        rounds = self.failures // self._supervisors
        self.failures += 1
        wait = min(self.interval_s * 2.0 ** min(rounds, 16), self.longest_wait_s)
        return now + wait * (0.5 + 0.5 * self._jitter())
