"""What a demo proved: its incidents from the timeline, its power cycles from the switch."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from common.clock import boottime, wall_ns, wall_text
from common.topology import Cluster
from lab.switch.ports import Transition
from lab.watch import Entry

_CLOSES = {"recovered": "recovered", "escalated": "escalated"}


@dataclass(slots=True)
class IncidentStory:
    """One incident as the timeline tells it. `outcome` is open, recovered or escalated."""

    id: str
    node: str
    opened_at: Any
    text: str
    outcome: str = "open"
    closed_at: Any = None


@dataclass(frozen=True, slots=True)
class PowerCycle:
    """One time that a port lost its power; `on_at` is None while it has not come back."""

    port: int
    node: str
    off_at: str
    on_at: str | None


def incidents(entries: Sequence[Entry]) -> list[IncidentStory]:
    """Return every incident of the timeline, in the order they were opened."""
    found: dict[str, IncidentStory] = {}
    for entry in entries:
        name = entry.get("incident")
        if not name:
            continue
        if entry["kind"] == "incident_opened":
            found[name] = IncidentStory(name, entry["node"], entry["at"], entry["text"])
        elif entry["kind"] in _CLOSES and name in found:
            found[name].outcome = _CLOSES[entry["kind"]]
            found[name].closed_at = entry["at"]
    return list(found.values())


def power_cycles(log: Sequence[Transition], cluster: Cluster) -> list[PowerCycle]:
    """Pair each loss of power with its return."""
    names = {node.port: node.name for node in cluster}
    cycles: list[PowerCycle] = []
    for index, lost in enumerate(log):
        if lost.after == "off":
            back = next((t for t in log[index:] if t.port == lost.port and t.after == "on"), None)
            on_at = _wall(back.at) if back else None
            cycles.append(PowerCycle(lost.port, names.get(lost.port, ""), _wall(lost.at), on_at))
    return cycles


def _wall(at: float) -> str:
    return wall_text(wall_ns() - int((boottime() - at) * 1e9))


@dataclass(frozen=True, slots=True)
class Summary:
    """The whole demo. `seconds` are from the break (or the start) to proof of cure."""

    incidents: Sequence[IncidentStory]
    power_cycles: Sequence[PowerCycle]
    seconds: float
    healed: bool
    patient: str | None
    """The node that was broken, which alone may be cycled; None when nothing was broken."""

    def shortcomings(self) -> Iterator[str]:
        """Yield each way in which this is not the story that should have been told."""
        if not self.healed:
            yield "the cluster was not healthy again in time"
        expected = 1 if self.patient else 0
        if len(self.incidents) != expected:
            names = ", ".join(f"{one.id} on {one.node}" for one in self.incidents) or "none"
            yield f"expected {expected} incidents, found {len(self.incidents)}: {names}"
        for one in self.incidents:
            if one.outcome != "recovered":
                yield f"incident {one.id} on {one.node} is {one.outcome}, not recovered"
        cycled = [cycle.node for cycle in self.power_cycles]
        if cycled != ([self.patient] if self.patient else []):
            wanted = f"one power cycle, of {self.patient}" if self.patient else "no power cycle"
            yield f"expected {wanted}; found {', '.join(cycled) or 'none'}"
        yield from (f"{c.node} stayed without power" for c in self.power_cycles if not c.on_at)

    def as_json(self) -> dict[str, Any]:
        """Return the last line of `--json`."""
        return {
            "kind": "summary",
            "recovered": not list(self.shortcomings()),
            "incidents": [asdict(one) for one in self.incidents],
            "power_cycles": [asdict(one) for one in self.power_cycles],
            "seconds": round(self.seconds, 1),
        }
