"""Is a node alive? One table of verdicts over what independent senses say.

Rules
- Each sense's latest word is kept as `Evidence`; evidence older than its time to live says nothing.
- A heartbeat is lost after a *patience* that grows with how irregular the arrivals were, and
  with our own doubt of ourselves.
- An open port proves a kernel, not a userland: the ssh banner decides.
- Once beats are lost, only looks made since the first missing one count: what was seen before the
  silence says nothing about it.
- Power is the last witness: silent and unpowered is another illness than silent at full draw.
- No patience is needed with a machine without power: a beat that is due, and a port that gives
  neither power nor link since then, and it is lost.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import sqrt

from common.observations import Truth
from supervisor.core.policy import Policy
from supervisor.core.ports import (
    LOOP_BEGINNINGS,
    LOOP_WINDOW_S,
    WITHOUT_POWER,
    Address,
    History,
    Link,
    Power,
    Sample,
    new_history,
    note,
    summary,
)


class Verdict(StrEnum):
    """What a node is."""

    ALIVE = "alive"
    AGENT_DOWN = "agent_down"  # all well but the agent
    USERLAND_SICK = "userland_sick"  # answers, but refuses or resets logins
    HUNG = "hung"  # the kernel or the power answers, nothing else does
    BOOT_LOOP = "boot_loop"  # it begins anew again and again, and never comes up
    UNPOWERED = "unpowered"  # its port would give power, and nothing takes any
    UNDETECTED = "undetected"  # the same, and the port found nothing to power ever since we watch
    OFF_BY_HAND = "off_by_hand"  # its port is administratively off
    UNREACHABLE = "unreachable"  # silent, and nobody can say whether it has power
    UNKNOWN = "unknown"


class Beats(StrEnum):
    """What the heartbeat sense says."""

    FRESH = "fresh"
    LOST = "lost"
    AWAITED = "awaited"  # never heard, and it is too early to say


class FencePath(StrEnum):
    """How the check of everything that a power act needs ended."""

    SURE = "sure"
    BROKEN = "broken"


class Clients(StrEnum):
    """What most nodes that live on a server's disk say of it."""

    WELL = "well"
    STALLED = "stalled"


class Ssh(StrEnum):
    """What came back when the ssh port was asked for its banner."""

    BANNER = "banner"
    RESET = "reset"  # accepted, then reset or closed before the banner: FOE 4.3
    SILENT = "silent"  # accepted, and said nothing
    REFUSED = "refused"
    NOTHING = "nothing"  # no answer at all
    UNKNOWN = "unknown"


class Kernel(StrEnum):
    """Whether anything at the address answers below userland (TCP handshake, RST, icmp)."""

    ANSWERS = "answers"
    SILENT = "silent"
    UNKNOWN = "unknown"


def is_dark(signs: "Signs") -> bool:
    """Tell whether nothing at all answers, or there is no power to answer with."""
    unpowered = signs.power in WITHOUT_POWER
    return signs.beats is Beats.LOST and (signs.kernel is Kernel.SILENT or unpowered)


@dataclass(frozen=True, slots=True)
class Signs:
    """The senses, reduced to one word each."""

    beats: Beats
    ssh: Ssh = Ssh.UNKNOWN
    kernel: Kernel = Kernel.UNKNOWN
    power: Power = Power.UNKNOWN
    link: Link = Link.UNKNOWN
    looping: bool = False
    """Its port shows a machine that begins anew again and again."""
    delivered: bool = True
    """Its port was seen giving power at some time since we watch."""


_ANY = None
_MUTE = frozenset({Ssh.NOTHING, Ssh.UNKNOWN})
_QUIET = frozenset({Kernel.SILENT, Kernel.UNKNOWN})
_Words = frozenset[StrEnum] | StrEnum | None
_TABLE: tuple[tuple[_Words, _Words, _Words, _Words, Verdict], ...] = (
    # ssh, kernel, power, link: of a node whose beats are lost. First row that fits wins.
    # None fits anything; an unknown word fits only where it is named.
    (Ssh.BANNER, _ANY, _ANY, _ANY, Verdict.AGENT_DOWN),
    (Ssh.RESET, _ANY, _ANY, _ANY, Verdict.USERLAND_SICK),
    (Ssh.REFUSED, _ANY, _ANY, _ANY, Verdict.USERLAND_SICK),
    (Ssh.SILENT, _ANY, _ANY, _ANY, Verdict.HUNG),
    (Ssh.NOTHING, Kernel.ANSWERS, _ANY, _ANY, Verdict.HUNG),
    # Neither power nor link: the switch alone is sure of it.
    (_MUTE, _QUIET, Power.DISABLED, Link.DOWN, Verdict.OFF_BY_HAND),
    (_MUTE, _QUIET, Power.OFF, Link.DOWN, Verdict.UNPOWERED),
    # A link without power from the port: it has power from elsewhere.
    (Ssh.NOTHING, Kernel.SILENT, WITHOUT_POWER, Link.UP, Verdict.HUNG),
    (Ssh.NOTHING, Kernel.SILENT, Power.DISABLED, _ANY, Verdict.OFF_BY_HAND),
    (Ssh.NOTHING, Kernel.SILENT, Power.OFF, _ANY, Verdict.UNPOWERED),
    (Ssh.NOTHING, Kernel.SILENT, Power.ON, _ANY, Verdict.HUNG),
    (Ssh.NOTHING, Kernel.SILENT, Power.UNKNOWN, _ANY, Verdict.UNREACHABLE),
)


def judge(signs: Signs) -> Verdict:
    """Return what a node is."""
    match signs.beats:
        case Beats.FRESH:
            return Verdict.ALIVE
        case Beats.AWAITED:
            return Verdict.UNKNOWN
        case Beats.LOST:
            pass
    if signs.looping and signs.ssh is not Ssh.BANNER:
        return Verdict.BOOT_LOOP
    verdict = _of_the_silent(signs)
    if verdict is Verdict.UNPOWERED and not signs.delivered:
        return Verdict.UNDETECTED
    return verdict


def _of_the_silent(signs: Signs) -> Verdict:
    seen = (signs.ssh, signs.kernel, signs.power, signs.link)
    for *pattern, verdict in _TABLE:
        if all(_fits(want, have) for want, have in zip(pattern, seen, strict=True)):
            return verdict
    return Verdict.UNKNOWN


def _fits(want: _Words, have: StrEnum) -> bool:
    return want is None or (have in want if isinstance(want, frozenset) else have is want)


_SAME_LOOK_S = 1.0  # a switch that is asked for power and link answers both within this time
_MISSES = 2  # this many looks in a row without an answer say that there is none
_SAME_TO_US: Mapping[str, str] = {Ssh.REFUSED: Ssh.RESET, Ssh.NOTHING: Ssh.SILENT}
"""Words of one meaning: a hung node on a lossy path alternates between silent and nothing."""
_WORDS: Mapping[str, type[StrEnum]] = {
    "ssh_banner": Ssh,
    "port": Power,
    "link": Link,
    "address": Address,
    "fence_path": FencePath,
    "clients": Clients,
    "switch_unreachable": Truth,
}


def understood(kind: str, outcome: str) -> bool:
    """Tell whether a probe's word says anything: "unknown" doesn't, nor what nobody knows."""
    return outcome != "unknown" and (kind not in _WORDS or outcome in list(_WORDS[kind]))


@dataclass(slots=True)
class Evidence:
    """The latest word of one probe, and how often in a row it meant the same."""

    outcome: str
    at: float
    streak: int = 1
    missed: int = 0
    """Looks since then that brought no answer."""
    detail: str = ""
    value: float | None = None


@dataclass(slots=True)
class Vitals:
    """All that is kept about one node's life."""

    last_beat: float | None = None
    boot_id: str | None = None
    boot_heard_at: float | None = None
    """When the first beat of this boot came."""
    uptime_s: float = 0.0
    interval_s: float = 1.0
    disconnected_at: float | None = None
    gaps: deque[float] = field(default_factory=lambda: deque(maxlen=30))
    probes: dict[str, Evidence] = field(default_factory=dict)
    port: History = field(default_factory=new_history)
    delivered: bool = False
    """Its port was seen giving power at some time since we watch."""
    fence_ok_at: float | None = None
    """Of the switch: when all that a power act needs was last found good."""

    def beat(self, now: float, boot_id: str, uptime_s: float, interval_s: float) -> None:
        """Take note of a heartbeat."""
        if self.last_beat is not None and boot_id == self.boot_id:
            self.gaps.append(now - self.last_beat)
        if boot_id != self.boot_id:
            self.gaps.clear()
            self.boot_heard_at = now
        self.last_beat, self.boot_id = now, boot_id
        self.uptime_s, self.interval_s = uptime_s, interval_s
        self.disconnected_at = None

    def probed(self, kind: str, outcome: str, at: float, detail: str, value: float | None) -> None:
        """Take note of a probe's outcome."""
        known = self.probes.get(kind)
        if known is not None and at < known.at:
            return  # overtaken on its way by a later look
        if outcome == FencePath.SURE:
            self.fence_ok_at = at
        if kind == "port":
            self._port_seen(Power(outcome), at, value)
        streak = 1
        if known is not None and _meaning(known.outcome) == _meaning(outcome):
            streak += known.streak
        elif known is not None and outcome == Ssh.NOTHING:
            known.missed += 1
            if known.missed < _MISSES:
                return  # one answer lost on its way unsays nothing
            streak = known.missed
        self.probes[kind] = Evidence(outcome, at, streak, 0, detail, value)

    def _port_seen(self, power: Power, at: float, watts: float | None) -> None:
        """Remember a look at the port; what it said of the link was told just before."""
        link = self.probes.get("link")
        same_look = link is not None and at - link.at <= _SAME_LOOK_S
        word = Link(link.outcome) if link and same_look else Link.UNKNOWN
        self.delivered = self.delivered or power is Power.ON
        note(self.port, Sample(at, power, word, watts))

    def forgive(self, nap: float) -> None:
        """We slept: nobody is to blame for what we didn't hear meanwhile."""
        if self.last_beat is not None:
            self.last_beat += nap


def _meaning(outcome: str) -> str:
    return _SAME_TO_US.get(outcome, outcome)


def is_late(vitals: Vitals, now: float, policy: Policy) -> bool:
    """Tell whether a node fell silent lately: its connection was closed, or a beat is overdue."""
    if vitals.last_beat is None:
        return False
    silence = now - vitals.last_beat
    overdue = silence > policy.watch_after_beats * vitals.interval_s
    return silence <= policy.watch_s and (overdue or vitals.disconnected_at is not None)


def patience(vitals: Vitals, policy: Policy) -> float:
    """Seconds of silence before this node's heartbeat counts as lost.

    Four standard deviations above its mean gap, within the policy's bounds: a node on a lossy
    or busy path earns patience, and no node earns more than the maximum.
    """
    interval = vitals.interval_s
    usual = _mean_plus_deviations(vitals.gaps, 4)
    least, most = policy.min_patience_beats * interval, policy.max_patience_beats * interval
    return min(max(least, usual), most)


def _mean_plus_deviations(values: deque[float], deviations: float) -> float:
    """By hand: the statistics module is exact, and a hundred times slower than we need."""
    count = len(values)
    if not count:
        return 0.0
    mean = sum(values) / count
    return mean + deviations * sqrt(sum((value - mean) ** 2 for value in values) / count)


def read_signs(vitals: Vitals, now: float, started_at: float, policy: Policy) -> Signs:
    """Reduce what is known of a node, as of `now`, to one word per sense."""
    beats = _beats(vitals, now, started_at, policy)
    silent_since = None
    if beats is Beats.LOST and vitals.last_beat is not None:
        silent_since = vitals.last_beat + vitals.interval_s  # when the first missing beat was due

    def word(kind: str, ttl: float) -> str | None:
        return seen_since(vitals, kind, max(now - ttl, silent_since or float("-inf")))

    ssh, tcp, icmp = (word(kind, policy.evidence_ttl_s) for kind in ("ssh_banner", "tcp", "icmp"))
    port, link, words = (
        word("port", policy.port_ttl_s),
        word("link", policy.port_ttl_s),
        {tcp, icmp},
    )
    return Signs(
        beats,
        Ssh(ssh) if ssh else Ssh.UNKNOWN,
        _kernel((words | {ssh}) - {None}),
        Power(port) if port else Power.UNKNOWN,
        Link(link) if link else Link.UNKNOWN,
        beats is Beats.LOST and _is_looping(vitals, now, silent_since),
        vitals.delivered or vitals.last_beat is not None,
    )


def _is_looping(vitals: Vitals, now: float, silent_since: float | None) -> bool:
    if len(vitals.port) <= LOOP_BEGINNINGS:  # too little has happened, and most ask often
        return False
    since = max(now - LOOP_WINDOW_S, silent_since or float("-inf"))
    return summary(vitals.port, since, now).is_looping


def _beats(vitals: Vitals, now: float, started_at: float, policy: Policy) -> Beats:
    if vitals.last_beat is None:
        early = now - started_at <= policy.first_beat_s + patience(vitals, policy)
        return Beats.AWAITED if early else Beats.LOST
    silence, interval = now - vitals.last_beat, vitals.interval_s
    if _lost_its_power(vitals, now, policy):
        return Beats.LOST
    if silence <= policy.min_patience_beats * interval:  # no need to ask how patient we are
        return Beats.FRESH
    return Beats.FRESH if silence <= patience(vitals, policy) else Beats.LOST


def _lost_its_power(vitals: Vitals, now: float, policy: Policy) -> bool:
    """Tell whether its port was seen without power and link since a beat is missing."""
    port, link = vitals.probes.get("port"), vitals.probes.get("link")
    if vitals.last_beat is None or port is None or link is None:
        return False
    if port.outcome not in WITHOUT_POWER or link.outcome != Link.DOWN:
        return False
    since = max(vitals.last_beat + vitals.interval_s, now - policy.port_ttl_s)
    return min(port.at, link.at) >= since


def _kernel(words: set[str | None]) -> Kernel:
    if not words:
        return Kernel.UNKNOWN
    return Kernel.SILENT if words <= {"nothing"} else Kernel.ANSWERS


def seen_since(vitals: Vitals, kind: str, since: float) -> str | None:
    """Return a probe's latest word, unless it is older than that."""
    evidence = vitals.probes.get(kind)
    return evidence.outcome if evidence and evidence.at >= since else None
