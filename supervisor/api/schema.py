"""The status as JSON, schema 1. Keys are only ever added within a schema's number."""

from dataclasses import asdict
from typing import Any

from common.fleet.members import Member, members_of
from common.fleet.progress import Limits
from common.topology import Cluster
from supervisor.core.events import OverrideKind
from supervisor.core.liveness import Verdict
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


def ports_json(status: Status, cluster: Cluster, starts: Limits) -> dict[str, Any]:
    """Render the power switch as its users need it: who hangs where, and what happens to them."""
    offs = {one.scope: one for one in status.overrides if one.kind is OverrideKind.OFF}
    seen = {node.name: node for node in status.nodes}
    return {
        "schema": SCHEMA,
        "switch": cluster.switch.name,
        "switch_reachable": status.switch_reachable.value,
        "stagger_s": starts.stagger_s,
        "max_booting": starts.max_booting,
        "ports": [
            _member(member) | _port(seen[member.name], offs.get(f"node:{member.name}"))
            for member in members_of(cluster)
        ],
    }


def _member(member: Member) -> dict[str, Any]:
    return {
        "node": member.name,
        "port": member.port,
        "role": member.role,
        "groups": list(member.groups),
        "aliases": list(member.aliases),
        "protected": member.protected,
        "dependents": list(member.dependents),
    }


def _port(node: NodeStatus, off: OverrideStatus | None) -> dict[str, Any]:
    last = node.last_power
    return {
        "power": node.port_power,
        "watts": node.watts,
        "state": node.state.value,
        "alive": node.verdict is Verdict.ALIVE,
        "boot": node.boot_id,
        "boot_age_s": None if node.boot_age_s is None else _seconds(node.boot_age_s),
        "off": off and override_json(off),
        "last": last and {**asdict(last), "age_s": _seconds(last.age_s)},
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
