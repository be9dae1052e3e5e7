"""Proof of cure: what a step must show before its incident may close, and what is still missing."""

from common.observations import Truth
from supervisor.core.conditions import phrase
from supervisor.core.incidents import Incident
from supervisor.core.runbooks import Step
from supervisor.core.situation import Situation

DEPENDENTS = "dependents"
LINGERING = frozenset({"unit_failed", "clock_skewed", "clock_unsynced", "memory_pressure"})
"""What may outlast its cause, or be older than it: no proof that a dependent isn't back."""


def missing_proof(incident: Incident, step: Step, given: Situation) -> list[str]:
    """Return what is still to be proven."""
    patient, verify = given.ward[incident.node], step.verify
    subjects = frozenset(incident.subjects)
    unproven = [k for k in verify.false if patient.truth(k, subjects) is not Truth.FALSE]
    missing = [f"not {phrase(kind)}" for kind in unproven]
    if verify.new_boot and not _rebooted(incident, given):
        missing.insert(0, "a new boot")
    if verify.dependents and _still_explained(incident, given):
        missing.append(DEPENDENTS)
    return missing


def _rebooted(incident: Incident, given: Situation) -> bool:
    """Tell whether the node's kernel started after the treatment did."""
    vitals = given.ward[incident.node].vitals
    if vitals.last_beat is None or incident.action_at is None:
        return False
    if incident.boot_before is not None:
        return vitals.boot_id != incident.boot_before
    return vitals.last_beat - vitals.uptime_s > incident.action_at


def _still_explained(incident: Incident, given: Situation) -> bool:
    well = all(
        given.ward[node].status("heartbeat_lost") is Truth.FALSE for node in incident.explains
    )
    return not well or any(
        explanation.root == incident.node and explanation.kinds - LINGERING
        for explanation in given.explanations.values()
    )


def proof_in_words(step: Step) -> str:
    """Say what the step must show."""
    proof = [f"no {phrase(kind)}" for kind in step.verify.false]
    if step.verify.new_boot:
        proof.insert(0, "a new boot id")
    if step.verify.dependents:
        proof.append("its dependents well")
    return ", ".join(proof)


def cure_in_words(incident: Incident, step: Step) -> str:
    """Say what was shown."""
    proof = f"recovered: {proof_in_words(step)}"
    return f"{proof} ({len(incident.explains)} dependents back)" if incident.explains else proof
