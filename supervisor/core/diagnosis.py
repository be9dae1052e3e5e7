"""Who is really ill? Symptoms that an upstream node's illness explains are not treated.

Theory: each node names its providers, by service. A provider that shows one of the service's
*causes* explains, in everyone downstream, the service's *effects*. What remains unexplained is
a root cause. The tables below are all there is to it.

While a provider is a patient (its incident is open) it goes on explaining: a login node that
is back for two seconds has not yet thawed seventeen NFS roots.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from common.topology import Cluster, Service
from supervisor.core.conditions import Patient, Ward
from supervisor.core.liveness import Beats

SILENT = frozenset({"heartbeat_lost", "hung", "unpowered", "unreachable"})

CAUSES: Mapping[Service, frozenset[str]] = {
    Service.NETBOOT: SILENT
    | {"root_read_only", "root_stalled", "clients_stalled", "ssh_refused", "filesystem_errors"},
    Service.K3S: SILENT | {"root_read_only", "root_stalled", "k3s_api_slow", "ssh_refused"},
}
CAUSE_UNITS: Mapping[Service, frozenset[str]] = {
    Service.NETBOOT: frozenset(
        {"nfs-server.service", "isc-dhcp-server.service", "tftpd-hpa.service"}
    ),
    Service.K3S: frozenset({"k3s.service"}),
}
EFFECTS: Mapping[Service, frozenset[str]] = {
    Service.NETBOOT: frozenset(
        {
            "heartbeat_lost",
            "agent_down",
            "hung",
            "unreachable",
            "ssh_refused",
            "root_read_only",
            "root_stalled",
            "nfs_stalled",
            "unit_failed",
            "clock_skewed",
            "clock_unsynced",
            "k3s_api_slow",
            "k3s_node_not_ready",
            "memory_pressure",
            "boot_loop",
            "netboot_failing",
        }
    ),
    Service.K3S: frozenset({"k3s_api_slow", "k3s_node_not_ready"}),
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """Some of a node's true conditions, and the node whose illness explains them."""

    root: str
    kinds: frozenset[str]


def is_cause(patient: Patient, service: Service) -> bool:
    """Tell whether what is true of `patient` breaks `service` for its dependents."""
    true = patient.true_kinds
    if not true:
        return False
    causes = true & CAUSES[service]
    if "agent_down" in true:  # everything but the agent is well, so its silence breaks nothing
        causes -= {"heartbeat_lost"}
    failed = patient.conditions.get("unit_failed")
    units = set(failed.subjects) if failed and "unit_failed" in true else set[str]()
    return bool(causes or units & CAUSE_UNITS[service])


def explain(
    cluster: Cluster, ward: Ward, incidents: Mapping[str, Iterable[Service]]
) -> dict[str, Explanation]:
    """Explain what can be explained.

    `incidents` maps each node with an open incident to the services it is breaking. Returns,
    for each node with explained conditions, the node that explains most of them.
    """
    if not any(patient.true_kinds for patient in ward.patients.values()):
        return {}
    broken = {
        (name, service)
        for name in cluster.nodes
        for service in Service
        if service in incidents.get(name, ()) or is_cause(ward[name], service)
    }
    found: dict[str, Explanation] = {}
    for node in cluster if broken else ():
        best = _best(cluster, node.name, ward[node.name].true_kinds, broken)
        if best:
            found[node.name] = best
    return {name: _rooted(found, explanation) for name, explanation in found.items()}


def _best(
    cluster: Cluster, name: str, true: frozenset[str], broken: set[tuple[str, Service]]
) -> Explanation | None:
    candidates = [
        Explanation(provider, true & EFFECTS[service])
        for provider, services in cluster.upstream(name).items()
        for service in sorted(services)
        if (provider, service) in broken and true & EFFECTS[service]
    ]
    return max(candidates, key=lambda e: (len(e.kinds), e.root), default=None)


def _rooted(found: Mapping[str, Explanation], explanation: Explanation) -> Explanation:
    """Follow the chain to the node that nobody explains; dependencies are acyclic."""
    root = explanation.root
    while root in found:
        root = found[root].root
    return Explanation(root, explanation.kinds)


def suspects(cluster: Cluster, name: str, kinds: frozenset[str]) -> dict[str, set[Service]]:
    """Return the providers of `name` whose illness could show as any of `kinds` in it."""
    telling = {service for service in Service if EFFECTS[service] & kinds}
    upstream = cluster.upstream(name).items()
    return {provider: has & telling for provider, has in upstream if has & telling}


def doubtful_upstream(cluster: Cluster, ward: Ward, name: str, kinds: frozenset[str]) -> str | None:
    """Return a provider that could explain `kinds` in `name` and isn't certainly well, or None.

    Acting on a node while its provider is in doubt risks treating a symptom.
    """
    for provider, services in suspects(cluster, name, kinds).items():
        patient = ward[provider]
        if any(is_cause(patient, service) for service in services):
            return provider
        if patient.signs.beats is not Beats.FRESH and "agent_down" not in patient.true_kinds:
            return provider
    return None
