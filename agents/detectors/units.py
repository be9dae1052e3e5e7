"""`unit_failed`: a unit that must be active isn't. Source: `systemctl show`.

Later: D-Bus signals instead of asking again and again.
"""

from collections.abc import Sequence

from agents.systemctl import Systemctl, Unit
from common.observations import Truth
from common.wire import WireObservation

KIND = "unit_failed"

# ActiveState, from systemd's unit life cycle; what is on its way is not yet known.
_VERDICTS = {
    "active": Truth.FALSE,
    "reloading": Truth.FALSE,
    "refreshing": Truth.FALSE,
    "failed": Truth.TRUE,
    "inactive": Truth.TRUE,
}
# LoadState: what isn't installed here, or was switched off by a person, is no data.
_ABSENT = frozenset({"not-found", "masked"})


class Units:
    """Asks systemd about a fixed list of units, all in one call."""

    name = "units"
    kinds = (KIND,)
    period_s = 5.0
    deadline_s = 4.0

    def __init__(self, systemctl: Systemctl, units: Sequence[str]) -> None:
        self._systemctl = systemctl
        self._units = tuple(units)

    def observe(self) -> list[WireObservation]:
        """Ask once."""
        if not self._units:
            return []
        shown = self._systemctl.show(self._units, self.deadline_s)
        return [judge(unit) for unit in shown if unit.load not in _ABSENT]


def judge(unit: Unit) -> WireObservation:
    """Say whether `unit` fails to run though it must."""
    status = _VERDICTS.get(unit.active, Truth.UNKNOWN)
    detail = f"{unit.active or 'no state'} ({unit.sub})"
    if unit.result not in {"", "success"}:
        detail += f", result {unit.result}"
    if unit.load not in {"loaded", ""}:
        status, detail = Truth.TRUE, f"can't be loaded: {unit.load}"
    elif unit.sub.startswith("auto-restart"):  # fails, waits, starts, fails: no sign of life
        status = Truth.TRUE
    elif unit.active == "inactive" and unit.triggered_by:
        status, detail = Truth.FALSE, f"started on demand by {unit.triggered_by}"
    return WireObservation(kind=KIND, status=status, subject=unit.name, detail=detail[:400])
