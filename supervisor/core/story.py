"""An incident's turning points, as lines of the timeline and records to keep."""

from collections.abc import Iterable, Iterator

from supervisor.core.conditions import phrase
from supervisor.core.effects import Effect, Kept, Note, NoteKind, Save
from supervisor.core.incidents import Incident
from supervisor.core.rails import Rail, describe
from supervisor.core.runbooks import Runbook, Step
from supervisor.core.situation import Situation
from supervisor.core.status import IncidentState
from supervisor.core.ways import why_closed

_SHOWN = 6  # names that fit a line


def recovered(incident: Incident, now: float, why: str) -> Iterator[Effect]:
    """Close an incident."""
    incident.enter(IncidentState.RECOVERED, now, why)
    took = now - incident.opened_at
    text = f"{incident.node}: {why}"
    yield note(NoteKind.RECOVERED, text, incident, seconds=round(took, 3), actions=incident.actions)
    yield saved(incident)


def given_up(incident: Incident, given: Situation, why: str) -> Iterator[Effect]:
    """Call a person, and try nothing more."""
    if not (incident.given_up or given.maintained(incident.node, incident.runbook)):
        incident.given_up = True
        yield from person_called(incident, given.now, why)


def person_called(incident: Incident, now: float, why: str) -> Iterator[Effect]:
    """Escalate; said aloud only once."""
    incident.enter(IncidentState.ESCALATED, now, why)
    if not incident.called:
        incident.called = True
        text = f"{describe(incident.node, incident.symptoms)}: a person is needed: {why}"
        yield note(NoteKind.ESCALATED, text, incident)
    yield saved(incident)


def skipped(incident: Incident, runbook: Runbook, numbers: Iterable[int]) -> Iterator[Effect]:
    """Say, once for each, which rungs are passed over because nobody can carry them out."""
    for number in sorted(set(numbers) - set(incident.skipped)):
        incident.skipped = (*incident.skipped, number)
        step = runbook.steps[number]
        text = f"{said(step)} of {incident.node} passed over: {why_closed(step.ways)}"
        yield note(NoteKind.REFUSED, text, incident, rail=str(Rail.NO_WAY))
        yield saved(incident)


def note(kind: NoteKind, text: str, incident: Incident, **data: object) -> Note:
    """Write a line about an incident."""
    return Note(kind, text, incident.node, incident.id, data)


def saved(incident: Incident) -> Save:
    """Keep an incident as it is now."""
    return Save(Kept.INCIDENT, incident.id, incident.record())


def said(step: Step) -> str:
    """Name a step: `restart unit ssh.service`."""
    arguments = " ".join(step.arguments.values())
    return f"{phrase(step.treatment)}{' ' + arguments if arguments else ''}"


def listed(names: Iterable[str]) -> str:
    """Name some, and count the rest."""
    shown = sorted(names)
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more
