"""Is a node alive? One table of verdicts over what independent senses say.

Rules
- Each sense's latest word is kept as `Evidence`; evidence older than its time to live says nothing.
- A heartbeat is lost after a *patience* that grows with how irregular the arrivals were, and
  with our own doubt of ourselves.
- An open port proves a kernel, not a userland: the ssh banner decides.
- Once beats are lost, only looks made since the first missing one count: what was seen before the
  silence says nothing about it.
- Power is the last witness: silent and unpowered is another illness than silent at full draw.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import sqrt

from common.observations import Truth
from supervisor.core.policy import Policy


class Verdict(StrEnum):
    """What a node is."""

    ALIVE = "alive"
    AGENT_DOWN = "agent_down"  # all well but the agent
    USERLAND_SICK = "userland_sick"  # answers, but refuses or resets logins
    HUNG = "hung"  # the kernel or the power answers, nothing else does
    UNPOWERED = "unpowered"
    UNREACHABLE = "unreachable"  # silent, and nobody can say whether it has power
    UNKNOWN = "unknown"


class Beats(StrEnum):
    """What the heartbeat sense says."""

    FRESH = "fresh"
    LOST = "lost"
    AWAITED = "awaited"  # never heard, and it is too early to say


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


class Power(StrEnum):
    """What the switch says of the node's port."""

    ON = "on"
    OFF = "off"
    DISABLED = "disabled"  # administratively off
    UNKNOWN = "unknown"


def is_dark(signs: "Signs") -> bool:
    """Tell whether nothing at all answers, or there is no power to answer with."""
    unpowered = signs.power in {Power.OFF, Power.DISABLED}
    return signs.beats is Beats.LOST and (signs.kernel is Kernel.SILENT or unpowered)


@dataclass(frozen=True, slots=True)
class Signs:
    """The four senses, reduced to one word each."""

    beats: Beats
    ssh: Ssh = Ssh.UNKNOWN
    kernel: Kernel = Kernel.UNKNOWN
    power: Power = Power.UNKNOWN


_ANY = None
# First row that fits wins. None fits anything.
_TABLE: tuple[tuple[Beats, Ssh | None, Kernel | None, Power | None, Verdict], ...] = (
    (Beats.FRESH, _ANY, _ANY, _ANY, Verdict.ALIVE),
    (Beats.AWAITED, _ANY, _ANY, _ANY, Verdict.UNKNOWN),
    (Beats.LOST, Ssh.BANNER, _ANY, _ANY, Verdict.AGENT_DOWN),
    (Beats.LOST, Ssh.RESET, _ANY, _ANY, Verdict.USERLAND_SICK),
    (Beats.LOST, Ssh.REFUSED, _ANY, _ANY, Verdict.USERLAND_SICK),
    (Beats.LOST, Ssh.SILENT, _ANY, _ANY, Verdict.HUNG),
    (Beats.LOST, Ssh.NOTHING, Kernel.ANSWERS, _ANY, Verdict.HUNG),
    (Beats.LOST, Ssh.NOTHING, Kernel.SILENT, Power.DISABLED, Verdict.UNPOWERED),
    (Beats.LOST, Ssh.NOTHING, Kernel.SILENT, Power.OFF, Verdict.UNPOWERED),
    (Beats.LOST, Ssh.NOTHING, Kernel.SILENT, Power.ON, Verdict.HUNG),
    (Beats.LOST, Ssh.NOTHING, Kernel.SILENT, Power.UNKNOWN, Verdict.UNREACHABLE),
    (Beats.LOST, _ANY, _ANY, _ANY, Verdict.UNKNOWN),
)


def judge(signs: Signs) -> Verdict:
    """Return the verdict of the first row of the table that fits."""
    seen = (signs.beats, signs.ssh, signs.kernel, signs.power)
    for *pattern, verdict in _TABLE:
        if all(want is None or want == have for want, have in zip(pattern, seen, strict=True)):
            return verdict
    return Verdict.UNKNOWN


_MISSES = 2  # this many looks in a row without an answer say that there is none
_SAME_TO_US: Mapping[str, str] = {Ssh.REFUSED: Ssh.RESET, Ssh.NOTHING: Ssh.SILENT}
"""Words of one meaning: a hung node on a lossy path alternates between silent and nothing."""
_WORDS: Mapping[str, type[StrEnum]] = {
    "ssh_banner": Ssh,
    "port": Power,
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
        streak = 1
        if known is not None and _meaning(known.outcome) == _meaning(outcome):
            streak += known.streak
        elif known is not None and outcome == Ssh.NOTHING:
            known.missed += 1
            if known.missed < _MISSES:
                return  # one answer lost on its way unsays nothing
            streak = known.missed
        self.probes[kind] = Evidence(outcome, at, streak, 0, detail, value)

    def forgive(self, nap: float) -> None:
        """We slept: nobody is to blame for what we didn't hear meanwhile."""
        if self.last_beat is not None:
            self.last_beat += nap


def _meaning(outcome: str) -> str:
    return _SAME_TO_US.get(outcome, outcome)


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
    port, words = word("port", policy.port_ttl_s), {ssh, tcp, icmp}
    return Signs(
        beats,
        Ssh(ssh) if ssh else Ssh.UNKNOWN,
        _kernel(words - {None}),
        Power(port) if port else Power.UNKNOWN,
    )


def _beats(vitals: Vitals, now: float, started_at: float, policy: Policy) -> Beats:
    if vitals.last_beat is None:
        early = now - started_at <= policy.first_beat_s + patience(vitals, policy)
        return Beats.AWAITED if early else Beats.LOST
    silence, interval = now - vitals.last_beat, vitals.interval_s
    if silence <= policy.min_patience_beats * interval:  # no need to ask how patient we are
        return Beats.FRESH
    return Beats.FRESH if silence <= patience(vitals, policy) else Beats.LOST


def _kernel(words: set[str | None]) -> Kernel:
    if not words:
        return Kernel.UNKNOWN
    return Kernel.SILENT if words <= {"nothing"} else Kernel.ANSWERS


def seen_since(vitals: Vitals, kind: str, since: float) -> str | None:
    """Return a probe's latest word, unless it is older than that."""
    evidence = vitals.probes.get(kind)
    return evidence.outcome if evidence and evidence.at >= since else None
