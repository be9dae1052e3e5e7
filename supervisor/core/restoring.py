"""From what was saved back to records. What can't be read is told, and errs on the safe side.

Between two starts the inventory, the runbooks and this program may have changed: a record may
name a node or a runbook that is gone, lack a field or have one too many.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from common.topology import Cluster
from supervisor.core.effects import Effect, Note, NoteKind
from supervisor.core.events import Override, OverrideKind
from supervisor.core.incidents import Incident
from supervisor.core.ledger import Ledger, PastAction
from supervisor.core.runbooks import Runbook
from supervisor.core.story import recovered

_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)
_Record = Mapping[str, Any]
_T = TypeVar("_T", Incident, PastAction, Override)


@dataclass(frozen=True, slots=True)
class Restored:
    """What outlived the last supervisor, as `Save` recorded it, with times made core times."""

    incidents: Sequence[_Record] = ()
    actions: Sequence[_Record] = ()
    overrides: Sequence[_Record] = ()
    next_incident: int = 1


@dataclass(slots=True)
class Remembered:
    """The same, read. `said` is what the timeline must be told of it."""

    incidents: dict[str, Incident] = field(default_factory=dict)
    past: Ledger = field(default_factory=Ledger)
    overrides: dict[str, Override] = field(default_factory=dict)
    said: list[Effect] = field(default_factory=list)


def remember(
    restored: Restored, cluster: Cluster, runbooks: Mapping[str, Runbook], now: float
) -> Remembered:
    """Read everything that was saved; never fails."""
    found = Remembered()
    for incident in _incidents(restored.incidents, found.said, now):
        if why := _no_longer_ours(incident, found.incidents, cluster, runbooks):
            found.said += recovered(incident, now, f"closed at the start: {why}")
        elif incident.is_open:
            incident.explains = tuple(n for n in incident.explains if n in cluster.nodes)
            incident.resume(now)
            found.incidents[incident.node] = incident
    found.past = Ledger(_actions(restored.actions, found.said, now))
    for override in _overrides(restored.overrides, found.said):
        found.overrides[override.id] = override
    return found


def _no_longer_ours(
    incident: Incident,
    others: Mapping[str, Incident],
    cluster: Cluster,
    runbooks: Mapping[str, Runbook],
) -> str:
    if incident.node not in cluster.nodes:
        return "the inventory has no such node any more"
    if incident.runbook not in runbooks:
        return f"there is no runbook {incident.runbook} any more"
    if incident.node in others:
        return f"{others[incident.node].id} is open on the same node"
    return ""


def _incidents(records: Iterable[_Record], said: list[Effect], now: float) -> Iterable[Incident]:
    for record in records:
        try:
            incident = Incident.restored(_known(Incident, record))
            incident.not_after(now)
        except _UNREADABLE as error:
            said.append(_unreadable("incident", record, error))
        else:
            yield incident


def _actions(records: Iterable[_Record], said: list[Effect], now: float) -> Iterable[PastAction]:
    for record in records:
        try:
            known = _known(PastAction, record)
            yield PastAction(**{**known, "at": min(float(known["at"]), now)})
        except _UNREADABLE as error:
            said.append(_unreadable("action", record, error))


def _overrides(records: Iterable[_Record], said: list[Effect]) -> Iterable[Override]:
    """An override that can't be read may hold a hand in the rack: take it at its widest."""
    for number, record in enumerate(records):
        try:
            known = _known(Override, record)
            until = None if known["until"] is None else float(known["until"])
            yield Override(**{**known, "kind": OverrideKind(known["kind"]), "until": until})
        except _UNREADABLE as error:
            said.append(_unreadable("override", record, error))
            reason = "a saved override can't be read; lift this one when you know better"
            name = _id(record) or f"unreadable-{number}"
            yield Override(name, OverrideKind.PAUSE, "all", "pimedic", reason, None)


def _known(kind: type[_T], record: _Record) -> dict[str, Any]:
    """Drop fields that this version doesn't know."""
    names = {one.name for one in fields(kind)}
    return {key: value for key, value in record.items() if key in names}


def _unreadable(what: str, record: object, error: Exception) -> Note:
    text = f"saved {what} {_id(record)} can't be read: {error!r}"
    return Note(NoteKind.SELF_DOUBT, text, None, None, {"kept": what})


def _id(record: object) -> str:
    return str(record.get("id", "")) if isinstance(record, Mapping) else ""
