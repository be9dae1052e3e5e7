"""Observations: raw facts, each from one sense about one node at one instant.

Kept free of third-party code: the agent's detectors, the supervisor's senses and its pure
core all speak this type.
"""

from dataclasses import dataclass
from enum import StrEnum


class Sense(StrEnum):
    """Where a fact comes from. Independent senses count more than repeated ones."""

    AGENT = "agent"  # the node about itself
    HEARTBEAT = "heartbeat"  # arrival times, seen by the supervisor
    PROBE = "probe"  # the supervisor reaching out: ssh banner, tcp, icmp
    PEER = "peer"  # another node, asked to look
    SWITCH = "switch"  # link and power of the node's port
    ALERT = "alert"  # Alertmanager's webhook


class Truth(StrEnum):
    """Three-valued: a fact nobody could check is *unknown*, which is neither true nor false."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Observation:
    """One fact.

    `kind` and `outcome` together say what was seen. From an agent, `kind` names the condition
    it bears on (`root_read_only`) and `outcome` is a `Truth`. From the supervisor's own senses
    `kind` names the look (`ssh_banner`, `tcp`, `icmp`, `port`) and `outcome` what came back
    (`reset`, `silent`, ...): see `supervisor.core.liveness` for the full table.
    `age` is how long ago it was seen, in seconds of a monotonic clock, when it was handed over.
    """

    sense: Sense
    node: str
    kind: str
    outcome: str
    subject: str = ""
    detail: str = ""
    value: float | None = None
    age: float = 0.0
