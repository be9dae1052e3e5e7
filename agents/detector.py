"""What a detector is. The runner owns timing, isolation and counting.

A detector that finds nothing to look at (no such hardware, no such unit) returns no
observation: no data is not a failure. One that tried to look and could not raises.

A detector that the kernel or systemd can tell at once also has `watch`, see `Watcher`. Its
periodic look stays: it is the backstop for what no event told.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, runtime_checkable

from common.wire import WireObservation

Observations = Sequence[WireObservation]


class DetectorError(Exception):
    """A detector could not look. Its text is for people."""


class Detector(Protocol):
    """Looks at one thing.

    A plain `def observe` may read procfs and sysfs and start programs: the runner gives each look
    a thread of its own. An `async def observe` runs in the event loop, beside the heartbeat: only
    memory and sockets there. What lies on the node's root, which may stall, either asks of
    `agents.disk` and opens nothing of it itself.
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
class Watcher(Detector, Protocol):
    """A detector that learns of events. Its facts still come from `observe`, and only there."""

    async def watch(self, look_now: Callable[[], None]) -> None:
        """Wait for events, for ever, and call `look_now` after each.

        Runs in the event loop from the agent's start: only memory and sockets here. `look_now`
        never blocks, may be called from any thread, and as often as one likes: looks are
        paced, and one look answers all the calls before it. An event that carries a fact of
        its own is kept in the detector for `observe` to tell. Ending or raising is a failure:
        it is logged, and the watch begun again after a pause.
        """
