"""What a detector is. The runner owns timing, isolation and counting.

A detector that finds nothing to look at (no such hardware, no such unit) returns no
observation: no data is not a failure. One that tried to look and could not raises.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, runtime_checkable

from common.wire import WireObservation

Observations = Sequence[WireObservation]


class DetectorError(Exception):
    """A detector could not look. Its text is for people."""


class Detector(Protocol):
    """Looks at one thing.

    A plain `def observe` may read files and start programs, which a stalled root can hang for
    minutes: the runner gives each look a thread of its own. An `async def observe` runs in the
    event loop, beside the heartbeat: only memory and sockets there.
    """

    @property
    def name(self) -> str:
        """What `--no-detector` calls it."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The conditions it may speak of, and no others."""

    @property
    def period_s(self) -> float:
        """How often it looks, in seconds."""

    @property
    def deadline_s(self) -> float:
        """How long a look may take, in seconds, before it counts as failed."""

    def observe(self) -> Observations | Awaitable[Observations]:
        """Look once."""


@runtime_checkable
class EventDriven(Protocol):
    """A detector that the kernel tells when to look. Its period is then only the backstop."""

    async def watch(self, look_now: Callable[[], None]) -> None:
        """Call `look_now` when something happened. Runs in the event loop until cancelled.

        Returning means that there is nothing to wait for here. Raising is counted, and the
        watch begins again after a while; the looks go on.
        """
