"""What was said, counted since start, for metrics."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from supervisor.core.effects import Effect, Note, NoteKind


@dataclass(slots=True)
class Tally:
    """Actions by (treatment, result), refusals by rail, incidents by state reached."""

    actions: Counter[tuple[str, str]] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    incidents: Counter[str] = field(default_factory=Counter)

    def count(self, effects: Iterable[Effect]) -> None:
        """Count what these tell the timeline."""
        for effect in effects:
            if not isinstance(effect, Note):
                continue
            data = effect.data
            match effect.kind:
                case NoteKind.ACTION_FINISHED:
                    self.actions[data["treatment"], data["result"]] += 1
                case NoteKind.REFUSED:
                    self.refusals[data["rail"]] += 1
                case NoteKind.INCIDENT_OPENED | NoteKind.RECOVERED | NoteKind.ESCALATED if (
                    effect.incident
                ):
                    self.incidents[effect.kind.removeprefix("incident_")] += 1
                case _:
                    pass
