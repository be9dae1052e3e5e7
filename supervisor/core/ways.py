"""By whom a treatment can be given right now: whose door is open, as far as the senses tell."""

from collections.abc import Iterable, Mapping

from supervisor.core.conditions import Patient
from supervisor.core.effects import Actuator
from supervisor.core.liveness import Beats, Signs, Ssh

BY: Mapping[Actuator, str] = {
    Actuator.AGENT: "by its agent",
    Actuator.SSH: "over ssh",
    Actuator.POWER: "at the switch",
}
_CLOSED: Mapping[Actuator, str] = {
    Actuator.AGENT: "its agent is silent",
    Actuator.SSH: "its ssh gives no banner",
    Actuator.POWER: "",  # never: whether the switch may be spoken to is for other rails
}


def open_ways(ways: Iterable[Actuator], patient: Patient) -> list[Actuator]:
    """Return those of `ways` that lead to the node now, in the same order."""
    return [way for way in ways if _is_open(way, patient.signs)]


def _is_open(way: Actuator, signs: Signs) -> bool:
    match way:
        case Actuator.AGENT:
            return signs.beats is Beats.FRESH
        case Actuator.SSH:
            return signs.ssh is Ssh.BANNER
        case Actuator.POWER:
            return True


def why_closed(ways: Iterable[Actuator]) -> str:
    """Say why none of `ways` is open."""
    return ", and ".join(_CLOSED[way] for way in ways)


def choose_way(ways: Iterable[Actuator], patient: Patient, attempts: int) -> Actuator | None:
    """Return the way for the next attempt: another one each time, as far as there are any."""
    found = open_ways(ways, patient)
    return found[min(attempts, len(found) - 1)] if found else None
