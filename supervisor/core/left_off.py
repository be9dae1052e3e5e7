"""Ports that a person had switched off: each has an owner, a reason and an end.

A port left off is forgotten easily and found late, so being off is an override like any other:
it stands in the status, outlives restarts, and at its end the port is ordered on, again and
again until that is proven.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from supervisor.core.effects import Action, Treatment
from supervisor.core.events import (
    NOTHING_HAPPENED,
    ActRequested,
    Override,
    OverrideKind,
    Result,
)

RETRY_S = 15.0
DEADLINE_S = 120.0
_NODE = "node:"


def begun(asked: ActRequested) -> Override:
    """Return the override that a `power_off` by hand begins; one a node, the latest counts."""
    return Override(
        f"off-{asked.node}",
        OverrideKind.OFF,
        f"{_NODE}{asked.node}",
        asked.author,
        asked.reason,
        asked.until,
    )


def lifted(override: Override, now: float) -> Override:
    """Return it with its end now; it is in force until its port is seen on."""
    return replace(override, until=now)


def over(action: Action, result: Result, overrides: Mapping[str, Override]) -> Iterator[Override]:
    """Yield what an ended action puts an end to: switched on at last, or never switched off."""
    on = action.treatment is Treatment.POWER_ON and result is Result.SUCCEEDED
    never_off = action.treatment is Treatment.POWER_OFF and result in NOTHING_HAPPENED
    if on or never_off:
        yield from (o for o in overrides.values() if _is_off(o) and _node(o) == action.node)


class Ends:
    """Orders ports on whose time is over."""

    def __init__(self) -> None:
        self._retry_at: dict[str, float] = {}

    def due(
        self, overrides: Mapping[str, Override], acting_on: Collection[str], now: float
    ) -> Iterator[Action]:
        """Yield what has to be ordered now. Nothing happens twice at once on a node."""
        for one in overrides.values():
            if not _is_off(one) or one.until is None or one.until > now:
                continue
            if _node(one) in acting_on or self._retry_at.get(one.id, now) > now:
                continue
            self._retry_at[one.id] = now + RETRY_S
            yield Action(
                f"{one.id}-ends-{now:.0f}",
                _node(one),
                Treatment.POWER_ON,
                DEADLINE_S,
                requested_by=f"the end of {one.author}'s off ({one.reason})",
            )


def _is_off(override: Override) -> bool:
    return override.kind is OverrideKind.OFF


def _node(override: Override) -> str:
    return override.scope.removeprefix(_NODE)
