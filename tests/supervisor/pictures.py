"""Nodes and statuses to test with."""

from typing import Any

from common.topology import Node, Role
from supervisor.core.liveness import Verdict
from supervisor.core.status import NodeState, NodeStatus, Status


def a_node(name: str, number: int) -> Node:
    """A row of the inventory."""
    mac = f"02:00:00:00:00:{number:02x}"
    groups = ("green",) if name.startswith("green") else ()
    return Node(name, f"{number:08x}", mac, f"127.0.0.{number}", number, Role.WORKER, groups=groups)


def a_node_status(name: str, **other: Any) -> NodeStatus:
    """A healthy node, but for what `other` says."""
    fields: dict[str, Any] = {
        "name": name,
        "role": "worker",
        "groups": (),
        "port": 1,
        "protected": False,
        "state": NodeState.HEALTHY,
        "verdict": Verdict.ALIVE,
        "beat_age_s": 0.4,
        "boot_id": "boot",
        "uptime_s": 60.0,
        "conditions": (),
    }
    return NodeStatus(**fields | other)


def a_status(**other: Any) -> Status:
    """A healthy cluster, but for what `other` says."""
    fields: dict[str, Any] = {
        "verdict": "all 2 nodes are well",
        "healthy": True,
        "up_s": 61.0,
        "doubt": "",
        "nodes": (a_node_status("pi_login"), a_node_status("green1")),
        "incidents": (),
        "overrides": (),
    }
    return Status(**fields | other)
