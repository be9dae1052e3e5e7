"""The evidence on one node as sentences for people: above all what its port tells, and means.

    port 15: link up, 4.1 W (3.9 to 4.3), class 4: the board has power; its kernel answers
    no ping: hung

Presentation only: decides nothing.
"""

from collections.abc import Iterator, Mapping

from supervisor.core.liveness import Beats, Evidence, Kernel, Signs, Ssh, Verdict, Vitals
from supervisor.core.ports import LOOP_WINDOW_S, WITHOUT_POWER, Link, Power, Summary, summary

_LINKS: Mapping[str, str] = {Link.UP: "link up", Link.DOWN: "link down"}
_SSH: Mapping[Ssh, str] = {
    Ssh.BANNER: "gives its banner",
    Ssh.RESET: "resets before its banner",
    Ssh.SILENT: "accepted, then silent",
    Ssh.REFUSED: "refused",
    Ssh.NOTHING: "no answer",
    Ssh.UNKNOWN: "not asked lately",
}
_KERNEL: Mapping[Kernel, str] = {
    Kernel.ANSWERS: "its kernel answers, and nothing above it",
    Kernel.SILENT: "its kernel answers no ping",
    Kernel.UNKNOWN: "whether its kernel answers is not known",
}
_MEANINGS: Mapping[Verdict, str] = {
    Verdict.AGENT_DOWN: "the node is up; only its agent is silent",
    Verdict.USERLAND_SICK: "the board has power; it answers, but lets nobody in",
    Verdict.UNPOWERED: "the port is on and nothing draws power: a dead board, a PoE hat that"
    " latched off, or the cable is out: unpowered",
    Verdict.UNDETECTED: "the port is on, but has found nothing to power since we watch (never"
    " classified): no board there, or a dead one",
    Verdict.OFF_BY_HAND: "somebody switched the port off; it stays off",
    Verdict.UNREACHABLE: "silent, and whether it has power is not known",
    Verdict.UNKNOWN: "not enough is known yet",
}


def evidence(
    port: int, vitals: Vitals, signs: Signs, verdict: Verdict, now: float
) -> Iterator[str]:
    """Yield one line a sense."""
    yield _heartbeat(vitals, signs, now)
    if ssh := vitals.probes.get("ssh_banner"):
        yield f"ssh: {_SSH[signs.ssh]}{_age(ssh, now)}"
    for kind in ("tcp", "icmp"):
        if seen := vitals.probes.get(kind):
            yield f"{kind}: {seen.outcome}{_age(seen, now)}"
    yield port_line(port, vitals, signs, verdict, now)


def port_line(port: int, vitals: Vitals, signs: Signs, verdict: Verdict, now: float) -> str:
    """Say what the switch tells of the port, and what it means for the node."""
    told = vitals.probes.get("port")
    seen = summary(vitals.port, now - LOOP_WINDOW_S, now)
    if told is None:
        facts = "the switch hasn't told of it"
    elif signs.power is Power.UNKNOWN and signs.beats is not Beats.AWAITED:
        facts = f"the switch last told of it {now - told.at:.0f} s ago"
    else:
        link = vitals.probes.get("link")
        parts = [_LINKS.get(link.outcome, "") if link else "", _draw(told, seen), told.detail]
        facts = ", ".join(part for part in parts if part)
    meaning = _meaning(signs, verdict, seen)
    return f"port {port}: {facts}{': ' if meaning else ''}{meaning}"


def _draw(told: Evidence, seen: Summary) -> str:
    if told.outcome == Power.DISABLED:
        return "switched off"
    if told.outcome in WITHOUT_POWER:
        return "gives no power"
    if not told.value:  # a port that gives power gives some: its meter tells nothing
        return "gives power"
    least, most = seen.least_w or 0.0, seen.most_w or 0.0
    spread = f" ({least:.1f} to {most:.1f})" if f"{least:.1f}" != f"{most:.1f}" else ""
    return f"{told.value:.1f} W{spread}"


def _meaning(signs: Signs, verdict: Verdict, seen: Summary) -> str:
    match verdict:
        case Verdict.ALIVE:
            return "powered from elsewhere" if signs.power in WITHOUT_POWER else ""
        case Verdict.BOOT_LOOP:
            return (
                f"it began anew {seen.beginnings} times in {LOOP_WINDOW_S / 60:.0f} min (power lost"
                f" {seen.interruptions} times, link {seen.link_losses} times): boots in a loop"
            )
        case Verdict.HUNG:
            return f"{_power(signs)}; {_KERNEL[signs.kernel]}: hung"
        case _:
            return _MEANINGS[verdict]


def _power(signs: Signs) -> str:
    if signs.power is Power.ON:
        return "the board has power"
    if signs.power in WITHOUT_POWER and signs.link is Link.UP:
        return "the board is powered from elsewhere"
    return "whether the board has power is not known"


def _heartbeat(vitals: Vitals, signs: Signs, now: float) -> str:
    if vitals.last_beat is None:
        return f"heartbeat: {signs.beats}, none came yet"
    return f"heartbeat: {signs.beats}, the last {now - vitals.last_beat:.0f} s ago"


def _age(seen: Evidence, now: float) -> str:
    return f", {now - seen.at:.0f} s ago"
