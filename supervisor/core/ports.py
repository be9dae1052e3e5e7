"""What the switch has seen of a node's port, kept short: stretches of sameness, and new beginnings.

A look that tells the same as the one before lengthens a stretch; one that differs begins another.
What happened on the port are the boundaries. Of a machine that boots in a loop the switch sees
nothing else: power or link lost and regained, or draw that jumps from idle to booting and back.

Watts never say that a port is without power: a switch takes power away within 0.4 s from a
device that draws under 10 mA (IEEE 802.3, maintain power signature), so the delivering port
draws something, whatever its meter shows. Some drivers' meters show nothing at all.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise


class Power(StrEnum):
    """What the switch says of the power of a node's port."""

    ON = "on"
    OFF = "off"  # set to give power, and nothing takes any
    DISABLED = "disabled"  # administratively off
    UNKNOWN = "unknown"


class Link(StrEnum):
    """What the switch says of the Ethernet link of a node's port."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


class Address(StrEnum):
    """Where the switch has lately seen a node's address. Not to have seen it says nothing."""

    HERE = "here"
    ELSEWHERE = "elsewhere"  # behind another port than the inventory says


WITHOUT_POWER = frozenset({Power.OFF, Power.DISABLED})

IDLE_W = 3.0
"""A Pi that idles, hangs or waits for its network boot draws 2 to 3 W."""
BOOT_W = 4.0
"""One that boots or works draws 4 to 6 W. Between the two lies noise: the level stays."""
BEGINNING_S = 20.0
"""One boot shows as several changes (firmware, kernel and network each restart the link):
changes within this time of the first are one beginning."""
LOOP_WINDOW_S = 300.0
LOOP_BEGINNINGS = 5
"""So many beginnings within the window are a loop. Two power cycles of ours, as close as their
cool-down allows, make at most four: each may show two."""
KEPT_STRETCHES = 64
"""A loop makes up to four stretches a beginning: this holds well over what makes one."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a port. `at` is core time."""

    at: float
    power: Power
    link: Link
    watts: float | None


@dataclass(slots=True)
class Stretch:
    """A time in which every look told the same. `working` is None where watts tell nothing."""

    since: float
    until: float
    power: Power
    link: Link
    working: bool | None
    samples: int = 0
    metered: int = 0
    least_w: float = 0.0
    most_w: float = 0.0
    total_w: float = 0.0

    def take(self, sample: Sample) -> None:
        """Lengthen it by a look."""
        self.until, self.samples = sample.at, self.samples + 1
        if sample.watts is None:
            return
        first = not self.metered
        self.least_w = sample.watts if first else min(self.least_w, sample.watts)
        self.most_w = sample.watts if first else max(self.most_w, sample.watts)
        self.metered, self.total_w = self.metered + 1, self.total_w + sample.watts


History = deque[Stretch]


def new_history() -> History:
    """Return an empty history, which never grows past `KEPT_STRETCHES`."""
    return deque(maxlen=KEPT_STRETCHES)


def note(history: History, sample: Sample) -> None:
    """Add a look."""
    last = history[-1] if history else None
    working = _working(sample, last)
    told = (sample.power, sample.link, working)
    if last is None or (last.power, last.link, last.working) != told:
        last = Stretch(sample.at, sample.at, *told)
        history.append(last)
    last.take(sample)


def _working(sample: Sample, last: Stretch | None) -> bool | None:
    """Tell the level of the draw, with hysteresis; no power, or a meter at zero, has none."""
    if sample.watts is None or sample.watts <= 0 or sample.power is not Power.ON:
        return None
    if sample.watts >= BOOT_W:
        return True
    if sample.watts <= IDLE_W:
        return False
    return last.working if last else None


@dataclass(frozen=True, slots=True)
class Summary:
    """A port since some instant. Watts are None when no look had any; `span_s` is in seconds."""

    span_s: float
    least_w: float | None
    most_w: float | None
    mean_w: float | None
    interruptions: int
    """Times that its power went away."""
    link_losses: int
    beginnings: int

    @property
    def is_looping(self) -> bool:
        """Tell whether a machine that doesn't speak is booting again and again."""
        return self.beginnings >= LOOP_BEGINNINGS

    @property
    def flaps_per_min(self) -> float:
        """How often its link went away, a minute."""
        return 60.0 * self.link_losses / self.span_s if self.span_s > 0 else 0.0


def summary(history: Iterable[Stretch], since: float, now: float) -> Summary:
    """Sum up the looks made since `since`; a stretch that began before it counts whole."""
    seen = [stretch for stretch in history if stretch.until >= since]
    metered = [stretch for stretch in seen if stretch.metered]
    count = sum(stretch.metered for stretch in metered)
    pairs = [(before, after) for before, after in pairwise(seen) if after.since >= since]
    return Summary(
        now - max(since, seen[0].since) if seen else 0.0,
        min((stretch.least_w for stretch in metered), default=None),
        max((stretch.most_w for stretch in metered), default=None),
        sum(stretch.total_w for stretch in metered) / count if count else None,
        sum(after.power in WITHOUT_POWER and before.power is Power.ON for before, after in pairs),
        sum(after.link is Link.DOWN and before.link is Link.UP for before, after in pairs),
        sum(1 for _ in _beginnings(pairs)),
    )


def _beginnings(pairs: Iterable[tuple[Stretch, Stretch]]) -> Iterator[float]:
    """Yield when the machine visibly began anew."""
    last = float("-inf")
    for before, after in pairs:
        if _is_beginning(before, after) and after.since - last > BEGINNING_S:
            last = after.since
            yield last


def _is_beginning(before: Stretch, after: Stretch) -> bool:
    powered = before.power in WITHOUT_POWER and after.power is Power.ON
    linked = before.link is Link.DOWN and after.link is Link.UP
    return powered or linked or (before.working is False and after.working is True)
