"""Conditions: what evidence makes them true, false and unknown."""

import pytest

from common.observations import Observation, Sense, Truth
from supervisor.core.conditions import Ward, take_reports
from supervisor.core.policy import Policy
from tests.simulation.cluster_world import CLUSTER

NODE = "green4"


def lost(*, port: str = "on") -> Ward:
    """A ward in which one node's beats stopped long ago and its port is as given."""
    ward = Ward(CLUSTER, Policy(), 0.0)
    ward[NODE].vitals.beat(0.0, "b1", 1.0, 1.0)
    ward.observe(Observation(Sense.SWITCH, NODE, "port", port), 50.0)
    return ward


def look(ward: Ward, outcomes: list[str], start: float = 50.0) -> float:
    """Probe ssh every 3 s; return the time of the last look."""
    for number, outcome in enumerate(outcomes):
        now = start + 3.0 * number
        ward.observe(Observation(Sense.PROBE, NODE, "ssh_banner", outcome), now)
        ward.refresh(now)
    return now


@pytest.mark.parametrize(
    ("outcomes", "kind", "status"),
    [
        (["silent"], "hung", Truth.UNKNOWN),
        (["silent", "silent"], "hung", Truth.TRUE),
        (["silent", "nothing", "silent"], "hung", Truth.TRUE),
        (["silent", "silent", "banner"], "hung", Truth.FALSE),
        (["reset", "refused"], "ssh_refused", Truth.TRUE),
        (["reset", "nothing"], "ssh_refused", Truth.UNKNOWN),
        (["reset", "refused", "nothing"], "ssh_refused", Truth.TRUE),
        (["reset", "refused", "nothing", "nothing"], "ssh_refused", Truth.UNKNOWN),
        (["nothing", "nothing"], "hung", Truth.TRUE),
        (["banner", "nothing", "nothing"], "hung", Truth.TRUE),
        (["banner", "banner", "nothing"], "agent_down", Truth.TRUE),
        (["banner", "banner"], "agent_down", Truth.TRUE),
        (["silent", "gibberish", "silent"], "hung", Truth.TRUE),
    ],
)
def test_probes_must_agree(outcomes: list[str], kind: str, status: Truth) -> None:
    """Two looks in a row that mean the same make a condition true; one clears it."""
    ward = lost()
    look(ward, outcomes)
    assert ward[NODE].status(kind) is status


def test_lossy_path_keeps_a_hung_node_hung() -> None:
    """A hung node whose probes get lost at random stays hung since the same instant."""
    ward = lost()
    look(ward, ["silent", "silent"])
    since = ward[NODE].conditions["hung"].since
    look(ward, ["nothing", "silent", "silent", "nothing", "silent"], start=56.0)
    assert ward[NODE].conditions["hung"].since == since


def test_a_word_nobody_knows_says_nothing() -> None:
    """A probe's word that the core doesn't know is no evidence, and no crash."""
    ward = lost(port="sideways")
    ward.observe(Observation(Sense.SWITCH, "switch", "switch_unreachable", "perhaps"), 50.0)
    ward.refresh(50.0)
    assert ward[NODE].status("port_disabled") is Truth.UNKNOWN
    assert ward["switch"].status("switch_unreachable") is Truth.UNKNOWN


def test_overtaken_evidence() -> None:
    """A look that was taken before the latest one changes nothing."""
    ward = lost()
    look(ward, ["banner", "banner"])
    ward.observe(Observation(Sense.PROBE, NODE, "ssh_banner", "reset", age=30.0), 54.0)
    assert ward[NODE].vitals.probes["ssh_banner"].outcome == "banner"


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        (["false", "true"], Truth.TRUE),
        (["false", "unknown"], Truth.UNKNOWN),
        (["false", "false"], Truth.FALSE),
        (["false", "dunno"], Truth.UNKNOWN),
        (["true", "unknown"], Truth.TRUE),
    ],
)
def test_subjects_are_joined(outcomes: list[str], status: Truth) -> None:
    """A kind is true if it is of any subject, and false only if it is false of all."""
    ward = Ward(CLUSTER, Policy(), 0.0)
    ward[NODE].vitals.beat(1.0, "b1", 1.0, 1.0)
    reports = [
        Observation(Sense.AGENT, NODE, "root_stalled", outcome, f"/{number}")
        for number, outcome in enumerate(outcomes)
    ]
    take_reports(ward[NODE], tuple(reports))
    ward.refresh(1.0)
    assert ward[NODE].status("root_stalled") is status


def test_a_speaking_node_cannot_call_itself_silent() -> None:
    """An agent's report of a kind that is drawn from our own senses is not believed."""
    ward = Ward(CLUSTER, Policy(), 0.0)
    ward[NODE].vitals.beat(1.0, "b1", 1.0, 1.0)
    take_reports(ward[NODE], (Observation(Sense.AGENT, NODE, "hung", "true"),))
    ward.refresh(1.0)
    assert ward[NODE].status("hung") is Truth.FALSE


def test_reports_go_stale() -> None:
    """What an agent said is unknown, and not false, once its beats have stopped."""
    ward = Ward(CLUSTER, Policy(), 0.0)
    ward[NODE].vitals.beat(1.0, "b1", 1.0, 1.0)
    take_reports(ward[NODE], (Observation(Sense.AGENT, NODE, "root_read_only", "true", "/"),))
    ward.refresh(1.0)
    assert ward[NODE].status("root_read_only") is Truth.TRUE
    ward.refresh(20.0)
    assert ward[NODE].status("root_read_only") is Truth.UNKNOWN


def test_one_lost_answer_restarts_no_hold() -> None:
    """On a lossy path a refusal stays true since the same instant."""
    ward = lost()
    look(ward, ["refused", "refused"])
    since = ward[NODE].conditions["ssh_refused"].since
    look(ward, ["nothing", "refused", "nothing", "reset"], start=56.0)
    assert ward[NODE].conditions["ssh_refused"].since == since


def seen_at(ward: Ward, port: str, link: str, now: float) -> None:
    """The switch tells of the node's link and power."""
    ward.observe(Observation(Sense.SWITCH, NODE, "link", link), now)
    ward.observe(Observation(Sense.SWITCH, NODE, "port", port), now)
    ward.refresh(now)


@pytest.mark.parametrize(
    ("port", "link", "status"),
    [
        ("off", "down", Truth.TRUE),  # two witnesses at once: no ssh look is awaited
        ("off", "up", Truth.FALSE),  # its next beat may still be on its way
        ("on", "down", Truth.FALSE),
        ("disabled", "down", Truth.FALSE),
    ],
)
def test_without_power_and_link_one_look_is_enough(port: str, link: str, status: Truth) -> None:
    """A port that gives neither makes its node unpowered at the first look, and nothing less."""
    ward = Ward(CLUSTER, Policy(), 0.0)
    ward[NODE].vitals.beat(10.0, "b1", 1.0, 1.0)
    ward.refresh(10.0)
    seen_at(ward, port, link, 11.1)
    assert ward[NODE].status("unpowered") is status


def test_the_reason_is_the_switch_s_line() -> None:
    """What makes a node unpowered is said in words, with its port."""
    ward = Ward(CLUSTER, Policy(), 0.0)
    ward[NODE].vitals.beat(10.0, "b1", 1.0, 1.0)
    seen_at(ward, "off", "down", 11.1)
    assert ward[NODE].conditions["unpowered"].reason.startswith("port 40: link down, gives no")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["elsewhere"], Truth.UNKNOWN),
        (["elsewhere", "elsewhere"], Truth.TRUE),
        (["elsewhere", "elsewhere", "here"], Truth.FALSE),
        (["here"], Truth.FALSE),
        (["elsewhere", "sideways"], Truth.UNKNOWN),
    ],
)
def test_a_node_behind_another_port(words: list[str], status: Truth) -> None:
    """Two looks make it true, one clears it, and nonsense says nothing."""
    ward = Ward(CLUSTER, Policy(), 0.0)
    for number, word in enumerate(words):
        now = 300.0 * number
        ward[NODE].vitals.beat(now, "b1", 1.0, 1.0)
        ward.observe(Observation(Sense.SWITCH, NODE, "address", word, "7", "behind 7"), now)
        ward.refresh(now)
    assert ward[NODE].status("port_mismatch") is status


def test_truth_of_some_subjects() -> None:
    """What failed elsewhere on a node is false of the units that one asks about."""
    ward = Ward(CLUSTER, Policy(), 0.0)
    ward[NODE].vitals.beat(1.0, "b1", 1.0, 1.0)
    take_reports(ward[NODE], (Observation(Sense.AGENT, NODE, "unit_failed", "true", "a.service"),))
    ward.refresh(1.0)
    asked = [frozenset[str](), frozenset({"a.service"}), frozenset({"b.service"})]
    truths = [ward[NODE].truth("unit_failed", subjects) for subjects in asked]
    assert truths == [Truth.TRUE, Truth.TRUE, Truth.FALSE]
    assert ward[NODE].truth("nfs_stalled", frozenset()) is Truth.UNKNOWN
