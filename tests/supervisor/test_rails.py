"""The rails, one by one: each refuses when it should, and lets pass when it should."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from common.observations import Truth
from supervisor.core.conditions import Condition, Ward
from supervisor.core.diagnosis import Explanation
from supervisor.core.effects import Action, Actuator, Treatment
from supervisor.core.events import Override, OverrideKind
from supervisor.core.incidents import Incident
from supervisor.core.ledger import Ledger
from supervisor.core.liveness import Beats, Signs, Ssh, Verdict
from supervisor.core.policy import Policy
from supervisor.core.ports import Power
from supervisor.core.rails import (
    BINDS_PEOPLE,
    ENDS_IN_ESCALATION,
    RULES,
    Proposal,
    Rail,
    refusals,
)
from supervisor.core.situation import Situation
from supervisor.core.status import IncidentState
from tests.simulation.cluster_world import CLUSTER, RUNBOOKS

NOW = 10_000.0
NODE = "green4"
HUNG = next(r for r in RUNBOOKS if r.name == "node-hung")
CYCLE, AGENT = Treatment.POWER_CYCLE, Treatment.RESTART_AGENT


@dataclass
class Scene:
    """A well cluster in which one node is hung, a minute ago; each case changes something."""

    node: str = NODE
    treatment: Treatment = CYCLE
    ways: tuple[Actuator, ...] = ()
    allow_protected: bool = False
    started_at: float = 0.0
    doubt_until: float = 0.0
    explained: dict[str, Explanation] = field(default_factory=dict)
    explained_at: dict[tuple[str, str], float] = field(default_factory=dict)
    overrides: list[Override] = field(default_factory=list)
    others: list[Incident] = field(default_factory=list)
    past: Ledger = field(default_factory=Ledger)
    sick: set[str] = field(default_factory=lambda: {NODE})
    given_up: set[str] = field(default_factory=set)
    acting_on: set[str] = field(default_factory=set)
    ward: Ward = field(default_factory=lambda: Ward(CLUSTER, Policy(), 0.0))

    def __post_init__(self) -> None:
        for name in CLUSTER.nodes:
            patient = self.ward[name]
            patient.signs, patient.verdict = Signs(Beats.FRESH, power=Power.ON), Verdict.ALIVE
        self.true(NODE, "hung", "heartbeat_lost")
        self.incident = Incident("inc-0001", NODE, HUNG.name, "t", ("hung",), NOW - 60)

    def true(self, node: str, *kinds: str, since: float = NOW - 60) -> None:
        patient = self.ward[node]
        for kind in kinds:
            patient.conditions[kind] = Condition(kind, Truth.TRUE, since, "seen")
        patient.true_kinds = patient.true_kinds | set(kinds)
        if node != "switch":
            patient.signs = replace(patient.signs, beats=Beats.LOST)

    def did(
        self, node: str, ago: float, treatment: Treatment = CYCLE, by: str | None = None
    ) -> None:
        number = len(list(self.past))
        action = Action(f"inc-9999.{number}", node, treatment, 60.0, runbook=by)
        self.past.ordered(action, NOW - ago)

    def treat(self, node: str, treatment: Treatment = CYCLE) -> None:
        number = len(self.others)
        action = Action(f"other-{number}.1", node, treatment, 60.0, runbook=HUNG.name)
        self.past.ordered(action, NOW - 1e6)
        other = Incident(f"other-{number}", node, HUNG.name, "t", ("hung",), NOW - 90)
        other.state, other.action_id = IncidentState.VERIFYING, action.id
        self.others.append(other)

    def paused(self, scope: str, kind: OverrideKind = OverrideKind.PAUSE) -> None:
        self.overrides.append(Override("o", kind, scope, "ada", "r", None))

    @property
    def situation(self) -> Situation:
        return Situation(
            NOW,
            self.started_at,
            self.doubt_until,
            "we slept",
            CLUSTER,
            self.ward,
            Policy(),
            self.explained,
            self.overrides,
            [self.incident, *self.others],
            self.past,
            self.explained_at,
            frozenset(self.sick),
            frozenset(self.given_up),
            frozenset(self.acting_on),
        )

    @property
    def proposal(self) -> Proposal:
        node = CLUSTER.nodes[self.node]
        allowed = self.allow_protected
        return Proposal(node, self.treatment, self.incident, HUNG, allowed, self.ways)


def nothing(_: Scene) -> None:
    """Leave the scene as it is."""


def scene(change: Callable[[Scene], object]) -> Scene:
    made = Scene()
    change(made)
    return made


def switch(scene: Scene, status: Truth, since: float) -> None:
    condition = Condition("switch_unreachable", status, since, "no route")
    scene.ward["switch"].conditions["switch_unreachable"] = condition


def port(scene: Scene, power: Power) -> None:
    scene.ward[NODE].signs = replace(scene.ward[NODE].signs, power=power)


def moved(scene: Scene, status: Truth) -> None:
    condition = Condition("port_mismatch", status, NOW - 60, "seen behind port 7")
    scene.ward[NODE].conditions["port_mismatch"] = condition


def door(scene: Scene, ssh: Ssh) -> None:
    scene.ward[NODE].signs = replace(scene.ward[NODE].signs, ssh=ssh)


def did_often(
    scene: Scene, times: int, ago: float, node: str = NODE, by: str | None = None
) -> None:
    for number in range(times):
        scene.did(node, ago + number, by=by)


def is_backup(scene: Scene) -> None:
    scene.node = "pi_backup"


def login_explains(scene: Scene, *kinds: str) -> None:
    scene.explained[NODE] = Explanation("pi_login", frozenset(kinds))


def mild(scene: Scene) -> None:
    scene.treatment = AGENT


def started(scene: Scene, count: int, ago: float = 60) -> None:
    """So many neighbours were cycled."""
    for number in (1, 2, 3, 5)[:count]:
        scene.did(f"green{number}", ago)


def back(scene: Scene, node: str) -> None:
    """A beat of a node's new boot came."""
    scene.ward[node].vitals.boot_heard_at = NOW - 1


def off(scene: Scene) -> None:
    """The treatment switches off, and leaves off."""
    scene.treatment = Treatment.POWER_OFF


def both(*changes: Callable[[Scene], object]) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        for one in changes:
            one(scene)

    return change


def put(**values: object) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        for name, value in values.items():
            setattr(scene, name, value)

    return change


REFUSES: list[tuple[Rail, str, Callable[[Scene], object]]] = [
    (Rail.PROTECTED, "a cycle of backup", is_backup),
    (Rail.OVERRIDE, "all paused", lambda s: s.paused("all")),
    (Rail.OVERRIDE, "its group paused", lambda s: s.paused("group:green")),
    (
        Rail.OVERRIDE,
        "itself maintained",
        lambda s: s.paused("node:green4", OverrideKind.MAINTENANCE),
    ),
    (Rail.OVERRIDE, "its runbook paused", lambda s: s.paused("runbook:node-hung")),
    (Rail.OVERRIDE, "a scope nobody knows", lambda s: s.paused("rack:3")),
    (Rail.WARM_UP, "started 29 s ago", put(started_at=NOW - 29)),
    (Rail.SELF_DOUBT, "just slept", put(doubt_until=NOW + 1)),
    (Rail.EXPLAINED, "all explained", lambda s: login_explains(s, "hung", "heartbeat_lost")),
    (Rail.UPSTREAM_IN_DOUBT, "login hung", lambda s: s.true("pi_login", "hung")),
    (Rail.UPSTREAM_IN_DOUBT, "login silent", lambda s: s.true("pi_login")),
    (Rail.SWITCH_IN_DOUBT, "switch away", lambda s: switch(s, Truth.TRUE, NOW - 900)),
    (Rail.SWITCH_IN_DOUBT, "switch just back", lambda s: switch(s, Truth.FALSE, NOW - 5)),
    (Rail.SWITCH_IN_DOUBT, "port not told", lambda s: port(s, Power.UNKNOWN)),
    (Rail.PORT_MISMATCH, "seen elsewhere", lambda s: moved(s, Truth.TRUE)),
    (Rail.NO_WAY, "ssh alone, and no banner", mild),
    (Rail.NO_WAY, "its agent alone, and silent", put(ways=(Actuator.AGENT,))),
    (Rail.STORM, "7 of 19 sick", put(sick=set(sorted(CLUSTER.nodes)[:7]))),
    (
        Rail.MAX_UNAVAILABLE,
        "two down",
        both(lambda s: s.treat("green1"), lambda s: s.treat("green2")),
    ),
    (Rail.BUSY, "an action runs", put(acting_on={NODE})),
    (Rail.COOL_DOWN, "cycled 179 s ago", lambda s: s.did(NODE, 179)),
    (Rail.STARTS, "a neighbour started 4 s ago", lambda s: s.did("green5", 4)),
    (Rail.STARTS, "a neighbour switched on", lambda s: s.did("green5", 4, Treatment.POWER_ON)),
    (Rail.STARTS, "four boot", lambda s: started(s, 4)),
    (Rail.BOOT_GRACE, "login cycled 179 s ago", lambda s: s.did("pi_login", 179)),
    (Rail.BOOT_GRACE, "explained until now", put(explained_at={(NODE, "hung"): NOW - 5})),
    (Rail.BUDGET, "three within the window", lambda s: did_often(s, 3, 7000, by=HUNG.name)),
    (
        Rail.CLUSTER_BUDGET,
        "12 elsewhere",
        lambda s: did_often(s, 12, 3000, "green1", "login-unusable"),
    ),
]
PASSES: list[tuple[Rail, str, Callable[[Scene], object]]] = [
    (Rail.PROTECTED, "a mild act on backup", both(is_backup, mild)),
    (Rail.PROTECTED, "the explicit word", both(is_backup, put(allow_protected=True))),
    (Rail.OVERRIDE, "another node paused", lambda s: s.paused("node:green5")),
    (Rail.OVERRIDE, "another group paused", lambda s: s.paused("group:yellow")),
    (Rail.OVERRIDE, "another runbook paused", lambda s: s.paused("runbook:agent-down")),
    (Rail.WARM_UP, "started 30 s ago", put(started_at=NOW - 30)),
    (Rail.SELF_DOUBT, "slept long ago", put(doubt_until=NOW)),
    (Rail.EXPLAINED, "only other symptoms", lambda s: login_explains(s, "k3s_node_not_ready")),
    (Rail.UPSTREAM_IN_DOUBT, "k3s server dead", lambda s: s.true("mlops_master", "hung")),
    (
        Rail.UPSTREAM_IN_DOUBT,
        "login's agent",
        lambda s: s.true("pi_login", "agent_down", "heartbeat_lost"),
    ),
    (Rail.UPSTREAM_IN_DOUBT, "a mild act", both(mild, lambda s: s.true("pi_login", "hung"))),
    (Rail.SWITCH_IN_DOUBT, "switch long back", lambda s: switch(s, Truth.FALSE, NOW - 15)),
    (Rail.SWITCH_IN_DOUBT, "a mild act", both(mild, lambda s: switch(s, Truth.TRUE, NOW))),
    (Rail.PORT_MISMATCH, "seen once elsewhere", lambda s: moved(s, Truth.UNKNOWN)),
    (Rail.PORT_MISMATCH, "a mild act", both(mild, lambda s: moved(s, Truth.TRUE))),
    (Rail.NO_WAY, "the switch alone", nothing),
    (Rail.NO_WAY, "ssh gives its banner", both(mild, lambda s: door(s, Ssh.BANNER))),
    (
        Rail.NO_WAY,
        "either will do",
        both(put(ways=(Actuator.AGENT, Actuator.SSH)), lambda s: door(s, Ssh.BANNER)),
    ),
    (Rail.STORM, "6 of 19 sick", put(sick=set(sorted(CLUSTER.nodes)[:6]))),
    (
        Rail.STORM,
        "2 of 3 sick",
        put(sick={NODE, "pi_login"}, given_up=set(sorted(CLUSTER.nodes)[3:])),
    ),
    (Rail.STORM, "a mild act", both(mild, put(sick=set(CLUSTER.nodes)))),
    (Rail.MAX_UNAVAILABLE, "one down", lambda s: s.treat("green1")),
    (Rail.MAX_UNAVAILABLE, "mild acts run", both(*[lambda s: s.treat("green1", AGENT)] * 3)),
    (Rail.BUSY, "an action elsewhere", put(acting_on={"green5"})),
    (Rail.COOL_DOWN, "cycled 180 s ago", lambda s: s.did(NODE, 180)),
    (Rail.COOL_DOWN, "a neighbour cycled", lambda s: s.did("green5", 1)),
    (Rail.COOL_DOWN, "its agent restarted", lambda s: s.did(NODE, 1, AGENT)),
    (Rail.STARTS, "a neighbour started 5 s ago", lambda s: s.did("green5", 5)),
    (Rail.STARTS, "a neighbour switched off", lambda s: s.did("green5", 1, Treatment.POWER_OFF)),
    (Rail.STARTS, "it is switched off", both(off, lambda s: s.did("green5", 1))),
    (Rail.STARTS, "three boot", lambda s: started(s, 3)),
    (
        Rail.STARTS,
        "itself is one of four",
        both(lambda s: s.did(NODE, 60), lambda s: started(s, 3)),
    ),
    (
        Rail.STARTS,
        "one of four is back",
        both(lambda s: started(s, 4), lambda s: back(s, "green1")),
    ),
    (Rail.STARTS, "four started long ago", lambda s: started(s, 4, ago=180)),
    (Rail.BOOT_GRACE, "login cycled 180 s ago", lambda s: s.did("pi_login", 180)),
    (Rail.BOOT_GRACE, "k3s server cycled", lambda s: s.did("mlops_master", 1)),
    (Rail.BOOT_GRACE, "explained long ago", put(explained_at={(NODE, "hung"): NOW - 180})),
    (Rail.BOOT_GRACE, "something else explained", put(explained_at={(NODE, "unit_failed"): NOW})),
    (Rail.BUDGET, "two within the window", lambda s: did_often(s, 2, 7000, by=HUNG.name)),
    (Rail.BUDGET, "three before the window", lambda s: did_often(s, 3, 7200, by=HUNG.name)),
    (Rail.BUDGET, "by another runbook", lambda s: did_often(s, 3, 60, by="login-unusable")),
    (Rail.BUDGET, "on another node", lambda s: did_often(s, 3, 60, "green5", HUNG.name)),
    (Rail.CLUSTER_BUDGET, "11 elsewhere", lambda s: did_often(s, 11, 3000, "green1", "x")),
    (Rail.CLUSTER_BUDGET, "12 an hour ago", lambda s: did_often(s, 12, 3600, "green1", "x")),
    (Rail.CLUSTER_BUDGET, "12 by hand", lambda s: did_often(s, 12, 60, "green1")),
]


def named(cases: list[tuple[Rail, str, Callable[[Scene], object]]]) -> list[str]:
    return [f"{rail}: {what}" for rail, what, _ in cases]


def test_nothing_holds_back_a_plain_case() -> None:
    """A worker hung for a minute in a well cluster passes every rail."""
    plain = scene(nothing)
    assert refusals(plain.proposal, plain.situation) == []


@pytest.mark.parametrize(("rail", "what", "change"), REFUSES, ids=named(REFUSES))
def test_refuses(rail: Rail, what: str, change: Callable[[Scene], object]) -> None:
    """The rail holds the act back, and says why in words."""
    made = scene(change)
    assert RULES[rail](made.proposal, made.situation), what
    assert rail in {refusal.rail for refusal in refusals(made.proposal, made.situation)}


@pytest.mark.parametrize(("rail", "what", "change"), PASSES, ids=named(PASSES))
def test_lets_pass(rail: Rail, what: str, change: Callable[[Scene], object]) -> None:
    """The rail lets the act pass."""
    made = scene(change)
    assert RULES[rail](made.proposal, made.situation) is None, what


def test_every_rail_has_its_cases() -> None:
    """No rail is without a case that it refuses and one that it lets pass."""
    for cases in (REFUSES, PASSES):
        assert {rail for rail, _, _ in cases} == set(Rail) == set(RULES)


def test_people_are_bound_by_few() -> None:
    """Of a scene in which nearly everything refuses, a person hears only what binds people."""
    made = scene(both(*(change for _, _, change in REFUSES)))
    by_hand = Proposal(CLUSTER.nodes[made.node], CYCLE)
    assert {r.rail for r in refusals(by_hand, made.situation)} <= BINDS_PEOPLE


@pytest.mark.parametrize(
    ("skip", "left"),
    [
        (frozenset(), {Rail.BUSY, Rail.COOL_DOWN}),
        (frozenset({Rail.COOL_DOWN}), {Rail.BUSY}),
        (frozenset(Rail), {Rail.BUSY}),
    ],
    ids=["nothing", "cool_down", "everything"],
)
def test_skipping(skip: frozenset[str], left: set[Rail]) -> None:
    """A person may skip the cool-down by name, but never a running action."""
    made = scene(both(put(acting_on={NODE}), lambda s: s.did(NODE, 10)))
    by_hand = Proposal(CLUSTER.nodes[NODE], CYCLE, skip=skip)
    assert {r.rail for r in refusals(by_hand, made.situation)} == left


def test_skipping_does_not_unprotect() -> None:
    """Skipping every rail by name doesn't unprotect a port."""
    by_hand = Proposal(CLUSTER.nodes["pi_backup"], CYCLE, skip=frozenset(Rail))
    found = refusals(by_hand, scene(nothing).situation)
    assert [r.rail for r in found] == [Rail.PROTECTED]


def test_what_time_cannot_mend_ends_in_a_persons_hands() -> None:
    """Only refusals that waiting doesn't lift give an incident up."""
    assert {Rail.BUDGET, Rail.PROTECTED} == ENDS_IN_ESCALATION
