"""What was ordered, for budgets and cool-downs: it outlives restarts, and is always current."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from supervisor.core.effects import Action, Actuator, Forget, Kept, Save, Treatment

KEPT_S = 7 * 86400.0
_AT_THE_SWITCH = frozenset(str(one) for one in Treatment if Actuator.POWER in one.ways)
_GIVE_POWER = frozenset(str(one) for one in Treatment if one.gives_power)


@dataclass(frozen=True, slots=True)
class PastAction:
    """An action that was ordered. `at` is core time."""

    id: str
    node: str
    treatment: str
    runbook: str | None
    disruptive: bool
    at: float
    result: str = ""  # empty while nobody has told

    @property
    def switched_power(self) -> bool:
        """Tell whether it was an act at the power switch."""
        return self.treatment in _AT_THE_SWITCH

    @property
    def gave_power(self) -> bool:
        """Tell whether the node had to boot because of it."""
        return self.treatment in _GIVE_POWER

    def record(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return asdict(self)


class Ledger:
    """Every action of the last `KEPT_S` seconds that may have happened."""

    def __init__(self, past: Iterable[PastAction] = ()) -> None:
        self._past = {one.id: one for one in past}

    def __iter__(self) -> Iterator[PastAction]:
        return iter(self._past.values())

    def ordered(self, action: Action, now: float) -> Save:
        """Book an action, before it is carried out."""
        past = PastAction(
            action.id,
            action.node,
            str(action.treatment),
            action.runbook,
            action.treatment.takes_node_down,
            now,
        )
        self._past[past.id] = past
        return Save(Kept.ACTION, past.id, past.record())

    def ended(self, action_id: str, result: str) -> Iterator[Save]:
        """Book what came of an action."""
        if past := self._past.get(action_id):
            past = self._past[action_id] = replace(past, result=result)
            yield Save(Kept.ACTION, past.id, past.record())

    def never_happened(self, action_id: str) -> Iterator[Forget]:
        """Take an action back: it costs no budget and starts no cool-down."""
        if self._past.pop(action_id, None):
            yield Forget(Kept.ACTION, action_id)

    def outdated(self, now: float) -> Iterator[Forget]:
        """Drop what is too old to matter to any budget."""
        for old in [past.id for past in self if now - past.at > KEPT_S]:
            yield from self.never_happened(old)
