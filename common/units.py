"""The systemd units that each role lives by: agents watch them, and the medic may restart them.

Nothing else is ever restarted: both the agent and the supervisor take names from here alone.
"""

from collections.abc import Mapping
from types import MappingProxyType

from common.topology import Role

AGENT_UNIT = "pimedic-agent.service"
UNITS_OF_ROLE: Mapping[Role, tuple[str, ...]] = MappingProxyType(
    {
        Role.LOGIN: (
            "nfs-server.service",
            "isc-dhcp-server.service",
            "tftpd-hpa.service",
            "ssh.service",
        ),
        Role.BACKUP: ("ssh.service",),
        Role.MASTER: ("k3s.service", "prometheus.service", "grafana-server.service"),
        Role.WORKER: ("k3s-agent.service",),
    }
)
