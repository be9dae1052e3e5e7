"""Why an incident that nothing is being done for may close. No proof, no end."""

from common.observations import Truth
from supervisor.core.conditions import Patient, phrase
from supervisor.core.diagnosis import SILENT
from supervisor.core.incidents import Incident
from supervisor.core.runbooks import Runbook
from supervisor.core.situation import Situation

Call = tuple[Runbook, frozenset[str]]
"""The runbook that a node calls for right now, and by which conditions."""


def ending(
    incident: Incident, called_for: Call | None, given: Situation, *, power_cut: bool
) -> str:
    """Say why the incident is over; empty if it isn't. `power_cut`: its port was cut by us."""
    patient = given.ward[incident.node]
    if _symptoms_gone(incident, patient, given):
        if called_for is None and _heard(incident, patient):
            return f"well again {'after escalation' if incident.called else 'by itself'}"
        if called_for and _turned(incident, called_for, patient, given):
            return f"no longer what it was, but {', '.join(map(phrase, sorted(called_for[1])))}"
    if not power_cut and _switched_off(patient):
        return "its port was switched off by somebody"
    if not incident.called and (root := _absorbed_by(incident, given)):
        return f"not its own illness: explained by {root}"
    return ""


def _symptoms_gone(incident: Incident, patient: Patient, given: Situation) -> bool:
    """Tell whether all its symptoms have been provably false for a while."""
    subjects = frozenset(incident.subjects)
    return all(
        patient.truth(kind, subjects) is Truth.FALSE
        and given.now - patient.conditions[kind].since >= given.policy.clear_s
        for kind in incident.symptoms
    )


def _heard(incident: Incident, patient: Patient) -> bool:
    """A silent node is not well because it is silent in another way: hung, then without power."""
    silent = set(incident.symptoms) & (SILENT | {"agent_down"})
    return not silent or patient.status("heartbeat_lost") is Truth.FALSE


def _turned(incident: Incident, called_for: Call, patient: Patient, given: Situation) -> bool:
    """Tell whether what was given up has become another illness, with a ladder of its own."""
    runbook, kinds = called_for
    if not incident.given_up or runbook.name == incident.runbook:
        return False
    awake = not set(incident.symptoms) & SILENT or "agent_down" in patient.true_kinds
    return awake and given.held_for(incident.node, runbook, kinds) >= runbook.confirm_s


def _switched_off(patient: Patient) -> bool:
    return {"port_disabled", "heartbeat_lost"} <= patient.true_kinds


def _absorbed_by(incident: Incident, given: Situation) -> str | None:
    """Return the node whose own incident turned out to explain all of this one's symptoms."""
    explanation = given.explanations.get(incident.node)
    true = frozenset(incident.symptoms) & given.ward[incident.node].true_kinds
    patients = {other.node for other in given.incidents}
    if explanation and explanation.root in patients and true and true <= explanation.kinds:
        return explanation.root
    return None
