"""The status as JSON, schema 1. Keys are only ever added within a schema's number."""

from typing import Any

from supervisor.core.status import (
    ConditionStatus,
    FenceStatus,
    HeldStatus,
    IncidentStatus,
    NodeStatus,
    OverrideStatus,
    Status,
)

SCHEMA = 1
_DIGITS = 3


def status_json(status: Status) -> dict[str, Any]:
    """Render everything. Ages and remaining times are in seconds."""
    return {
        "schema": SCHEMA,
        "healthy": status.healthy,
        "verdict": status.verdict,
        "up_s": _seconds(status.up_s),
        "doubt": status.doubt,
        "switch_reachable": status.switch_reachable.value,
        "fence_path": _fence_path(status.fence_path),
        "nodes": {node.name: node_json(node) for node in status.nodes},
        "incidents": [incident_json(incident) for incident in status.incidents],
        "overrides": [override_json(override) for override in status.overrides],
    }


def node_json(node: NodeStatus) -> dict[str, Any]:
    """Render one node; its name is the key it stands under."""
    return {
        "role": node.role,
        "groups": list(node.groups),
        "port": node.port,
        "protected": node.protected,
        "state": node.state.value,
        "verdict": node.verdict.value,
        "beat_age_s": None if node.beat_age_s is None else _seconds(node.beat_age_s),
        "boot_id": node.boot_id,
        "uptime_s": _seconds(node.uptime_s),
        "conditions": [_condition(condition) for condition in node.conditions],
        "explained_by": node.explained_by,
        "incident": node.incident,
        "port_power": node.port_power,
        "watts": node.watts,
        "link": node.link,
        "evidence": list(node.evidence),
    }


def incident_json(incident: IncidentStatus) -> dict[str, Any]:
    """Render one incident."""
    return {
        "id": incident.id,
        "node": incident.node,
        "runbook": incident.runbook,
        "title": incident.title,
        "state": incident.state.value,
        "opened_s": _seconds(incident.opened_s),
        "state_s": _seconds(incident.state_s),
        "doing": incident.doing,
        "symptoms": list(incident.symptoms),
        "explains": list(incident.explains),
        "held": [_held(held) for held in incident.held],
        "acknowledged_by": incident.acknowledged_by,
    }


def override_json(override: OverrideStatus) -> dict[str, Any]:
    """Render one override; `remaining_s` null is for ever."""
    remaining = override.remaining_s
    return {
        "id": override.id,
        "kind": override.kind.value,
        "scope": override.scope,
        "author": override.author,
        "reason": override.reason,
        "remaining_s": None if remaining is None else _seconds(remaining),
    }


def _fence_path(path: FenceStatus | None) -> dict[str, Any] | None:
    """Render the last check of what a power act needs; null before the first."""
    if path is None:
        return None
    return {
        "ok": path.ok.value,
        "detail": path.detail,
        "age_s": _seconds(path.age_s),
        "ok_age_s": None if path.ok_age_s is None else _seconds(path.ok_age_s),
    }


def _condition(condition: ConditionStatus) -> dict[str, Any]:
    return {
        "kind": condition.kind,
        "status": condition.status.value,
        "age_s": _seconds(condition.age_s),
        "reason": condition.reason,
    }


def _held(held: HeldStatus) -> dict[str, Any]:
    return {"rail": held.rail, "text": held.text, "for_s": _seconds(held.for_s)}


def _seconds(value: float) -> float:
    return round(value, _DIGITS)
