"""Diagnosis: who explains whose symptoms, and who might."""

from dataclasses import replace

import pytest

from common.observations import Truth
from common.topology import Service
from supervisor.core.conditions import Condition, Ward
from supervisor.core.diagnosis import doubtful_upstream, explain, is_cause, suspects
from supervisor.core.liveness import Beats, Signs
from supervisor.core.policy import Policy
from tests.simulation.cluster_world import CLUSTER, NETBOOTED

NETBOOT, K3S = Service.NETBOOT, Service.K3S
HUNG = ("heartbeat_lost", "hung")
STALLED = ("root_stalled",)
Ill = dict[str, tuple[str, ...]]


def ward_of(ill: Ill, units: tuple[str, ...] = ()) -> Ward:
    """A ward where everybody is heard, but for those whose heartbeat is lost."""
    ward = Ward(CLUSTER, Policy(), 0.0)
    for name in CLUSTER.nodes:
        patient, kinds = ward[name], ill.get(name, ())
        patient.signs = Signs(Beats.LOST if "heartbeat_lost" in kinds else Beats.FRESH)
        patient.true_kinds = frozenset(kinds)
        patient.conditions = {k: Condition(k, Truth.TRUE, 0.0, "seen", units) for k in kinds}
    return ward


CAUSES: list[tuple[tuple[str, ...], tuple[str, ...], Service, bool]] = [
    (("root_read_only",), (), NETBOOT, True),
    (("ssh_refused",), (), NETBOOT, True),
    (("root_stalled",), (), NETBOOT, True),
    (("root_stalled",), (), K3S, True),
    (HUNG, (), NETBOOT, True),
    (("heartbeat_lost",), (), NETBOOT, True),
    (("heartbeat_lost", "agent_down"), (), NETBOOT, False),
    (("heartbeat_lost", "agent_down", "root_read_only"), (), NETBOOT, True),
    (("clock_skewed",), (), NETBOOT, False),
    ((), (), NETBOOT, False),
    (("unit_failed",), ("nfs-server.service",), NETBOOT, True),
    (("unit_failed",), ("snapd.service",), NETBOOT, False),
    (("unit_failed",), ("k3s.service",), NETBOOT, False),
    (("unit_failed",), ("k3s.service",), K3S, True),
    (("k3s_api_slow",), (), K3S, True),
    (("k3s_api_slow",), (), NETBOOT, False),
]


@pytest.mark.parametrize(("kinds", "units", "service", "expected"), CAUSES)
def test_what_breaks_a_service(
    kinds: tuple[str, ...], units: tuple[str, ...], service: Service, *, expected: bool
) -> None:
    """A provider breaks a service by the conditions that the service can't live with."""
    assert is_cause(ward_of({"pi_login": kinds}, units)["pi_login"], service) is expected


EXPLAINED: list[tuple[str, Ill, dict[str, str]]] = [
    ("nobody is ill", {}, {}),
    ("a lone worker", {"green4": HUNG}, {}),
    (
        "everybody behind login",
        {"pi_login": ("root_read_only",), **dict.fromkeys(NETBOOTED, HUNG)},
        dict.fromkeys(NETBOOTED, "pi_login"),
    ),
    (
        "living witnesses behind login",
        {"pi_login": ("ssh_refused",), **dict.fromkeys(NETBOOTED, STALLED)},
        dict.fromkeys(NETBOOTED, "pi_login"),
    ),
    (
        "login's own disk stalls",
        {"pi_login": STALLED, **dict.fromkeys(NETBOOTED, STALLED)},
        dict.fromkeys(NETBOOTED, "pi_login"),
    ),
    ("a lone stalled worker", {"green4": STALLED}, {}),
    ("a stalled worker is nobody's cause", {"green4": STALLED, "green5": STALLED}, {}),
    (
        "the chain ends at login, not at the master it took along",
        {"pi_login": HUNG, "mlops_master": HUNG, "green4": (*HUNG, "k3s_node_not_ready")},
        {"mlops_master": "pi_login", "green4": "pi_login"},
    ),
    ("a dead master hangs no worker", {"mlops_master": HUNG, "green4": HUNG}, {}),
    (
        "a dead master makes workers not ready",
        {"mlops_master": HUNG, "green4": ("k3s_node_not_ready",)},
        {"green4": "mlops_master"},
    ),
    ("no power is a node's own", {"pi_login": HUNG, "green4": ("unpowered",)}, {}),
    ("backup depends on nobody", {"pi_login": HUNG, "pi_backup": HUNG}, {}),
    (
        "an agent down explains nothing",
        {"pi_login": ("heartbeat_lost", "agent_down"), "green4": HUNG},
        {},
    ),
]


@pytest.mark.parametrize(
    ("ill", "roots"), [case[1:] for case in EXPLAINED], ids=[c[0] for c in EXPLAINED]
)
def test_who_explains_whom(ill: Ill, roots: dict[str, str]) -> None:
    """Symptoms that a provider's illness brings about are explained by it, and no others."""
    found = explain(CLUSTER, ward_of(ill), {})
    assert {name: explanation.root for name, explanation in found.items()} == roots


def test_only_some_of_it() -> None:
    """What a provider can't bring about stays the node's own."""
    ill = {"pi_login": HUNG, "green4": ("heartbeat_lost", "unpowered", "overheating")}
    found = explain(CLUSTER, ward_of(ill), {})
    assert found["green4"].kinds == {"heartbeat_lost"}


def test_a_patient_goes_on_explaining() -> None:
    """While login's incident is open, the workers that haven't thawed are still explained."""
    ward = ward_of({"green4": HUNG})
    assert explain(CLUSTER, ward, {"pi_login": (NETBOOT,)})["green4"].root == "pi_login"
    assert explain(CLUSTER, ward, {"pi_login": ()}) == {}


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ({"hung"}, {"pi_login": {NETBOOT}}),
        ({"k3s_node_not_ready"}, {"pi_login": {NETBOOT, K3S}, "mlops_master": {K3S}}),
        ({"unpowered"}, {}),
    ],
)
def test_suspects(kinds: set[str], expected: dict[str, set[Service]]) -> None:
    """Only a provider of a service whose loss would look like that is suspected."""
    assert suspects(CLUSTER, "green4", frozenset(kinds)) == expected
    assert suspects(CLUSTER, "pi_login", frozenset(kinds)) == {}


DOUBTS: list[tuple[Ill, str, str | None]] = [
    ({}, "hung", None),
    ({"pi_login": HUNG}, "hung", "pi_login"),
    ({"pi_login": ("ssh_refused",)}, "hung", "pi_login"),
    ({"pi_login": STALLED}, "hung", "pi_login"),
    ({"pi_login": HUNG}, "root_stalled", "pi_login"),
    ({"pi_login": ("heartbeat_lost", "agent_down")}, "hung", None),
    ({"mlops_master": HUNG}, "hung", None),
    ({"mlops_master": HUNG}, "k3s_api_slow", "mlops_master"),
    ({"pi_login": HUNG}, "unpowered", None),
]


@pytest.mark.parametrize(("ill", "kind", "expected"), DOUBTS)
def test_doubt(ill: Ill, kind: str, expected: str | None) -> None:
    """A node isn't treated while who could explain it isn't certainly well."""
    assert doubtful_upstream(CLUSTER, ward_of(ill), "green4", frozenset({kind})) == expected


def test_unheard_is_doubtful() -> None:
    """A provider that a new supervisor hasn't heard yet is in doubt, ill or not."""
    ward = ward_of({})
    ward["pi_login"].signs = replace(ward["pi_login"].signs, beats=Beats.AWAITED)
    assert doubtful_upstream(CLUSTER, ward, "green4", frozenset({"hung"})) == "pi_login"
