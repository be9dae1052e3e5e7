"""A medic first does no harm: what must not lead to any action, and the mild cures."""

import pytest

from supervisor.core.effects import NoteKind, Treatment
from supervisor.core.events import (
    ActRequested,
    Override,
    OverrideKind,
    OverrideLifted,
    OverrideSet,
    Result,
)
from supervisor.core.rails import Rail
from tests.simulation.cluster_world import CLUSTER, NETBOOTED, SHIPPED, World


def paused(world: World, scope: str = "all", seconds: float | None = 3600) -> None:
    until = None if seconds is None else world.now + seconds
    override = Override("p1", OverrideKind.PAUSE, scope, "ada", "testing", until)
    world.feed(OverrideSet(override))


@pytest.mark.parametrize("seed", range(5))
def test_loss_and_stalls(seed: int) -> None:
    """Ten minutes of 30 % lost heartbeats and 10 s stalls of random agents: zero actions."""
    world = World(seed=seed, loss=0.3)
    end = world.now + 600
    while world.now < end:
        world.frozen_until[world.random.choice(list(CLUSTER.nodes))] = world.now + 10
        world.run(world.random.uniform(1, 8))
    assert world.actions == []
    assert not world.notes(NoteKind.ESCALATED)


def test_our_own_sleep_blames_nobody() -> None:
    """A supervisor that was suspended for an hour accuses nobody, and acts on nothing at first."""
    world = World()
    world.run(60)
    world.now += 3600
    world.run(20)
    assert world.actions == []
    assert not world.notes(NoteKind.INCIDENT_OPENED)
    assert len(world.notes(NoteKind.SELF_DOUBT)) == 1


def test_everybody_silent_is_our_fault() -> None:
    """If login, backup and workers all fall silent at once, nobody's power is cut."""
    world = World()
    world.run(60)
    world.hang(*CLUSTER.nodes)
    for name in NETBOOTED:  # even if the graph explained nothing
        world.nodes[name].power = "unknown"
    world.run(20)
    independent = ["pi_login", "pi_backup", "green1", "green2"]
    assert all(a.node == "pi_login" for a in world.actions), independent
    assert not [a for a in world.actions if a.node in NETBOOTED]


def test_cut_off_from_everything() -> None:
    """With our own cable out nobody is treated, nor when it is back and they are found well."""
    world = World()
    world.run(60)
    world.link = False
    world.run(600)
    world.link = True
    world.run(60)
    assert world.actions == []
    assert world.medic.status(world.now).verdict == "HEALTHY 19/19"


def test_a_disabled_port_is_remembered() -> None:
    """A port that a person switched off stays off, also once the switch can't be asked any more."""
    world = World()
    world.run(60)
    world.kill("green2", power="disabled")
    world.run(20)
    world.nodes["green2"].power = "unknown"
    world.run(900)
    assert world.actions == []


def test_many_independent_nodes_at_once_is_a_storm() -> None:
    """Seven workers dead at once under a healthy login: held back, and said so."""
    world = World()
    world.run(60)
    for name in NETBOOTED[:7]:
        world.kill(name)
    world.run(300)
    assert world.actions == []
    assert {n.data["rail"] for n in world.notes(NoteKind.REFUSED)} >= {Rail.STORM}


def test_two_at_a_time() -> None:
    """Five workers that hang at the same instant are cycled two at a time, each in its turn."""
    world = World()
    world.run(60)
    world.hang(*NETBOOTED[3:8])
    world.run(75)
    assert len(world.actions) == world.policy.max_unavailable
    world.run_until(lambda: len(world.notes(NoteKind.RECOVERED)) == 5, at_most=300)
    assert sorted(a.node for a in world.actions) == sorted(NETBOOTED[3:8])


def test_a_hung_worker_is_cycled_after_a_minute() -> None:
    """One worker hung under a healthy login is cycled, once, no sooner than a minute on."""
    world = World()
    world.run(60)
    world.hang("green4")
    world.run(55)
    assert world.actions == []
    world.run_until(lambda: bool(world.notes(NoteKind.RECOVERED)), at_most=120)
    assert [(a.node, a.treatment) for a in world.actions] == [("green4", Treatment.POWER_CYCLE)]


def test_agent_down_is_no_reason_to_cut_power() -> None:
    """A dead agent on a living node is restarted over ssh; power is never touched."""
    world = World()
    world.run(60)
    world.nodes["yellow3"].beating = False
    world.run_until(lambda: bool(world.notes(NoteKind.RECOVERED)), at_most=120)
    assert [(a.node, a.treatment) for a in world.actions] == [("yellow3", Treatment.RESTART_AGENT)]


def test_unpowered_worker() -> None:
    """A worker that draws no power is cycled; one whose port was switched off is left alone."""
    world = World()
    world.run(60)
    world.kill("green1", power="off")
    world.kill("green2", power="disabled")
    world.run_until(lambda: bool(world.notes(NoteKind.RECOVERED)), at_most=180)
    world.run(300)
    assert [a.node for a in world.actions] == ["green1"]


def test_backup_is_never_cycled() -> None:
    """The medic's own node is protected: its illness is escalated, never cycled."""
    world = World()
    world.run(60)
    world.hang("pi_backup")
    world.run(600)
    assert world.actions == []
    assert [n.node for n in world.notes(NoteKind.ESCALATED)] == ["pi_backup"]


def test_pause_holds_everything_back() -> None:
    """Under a pause nothing happens, what would have is recorded, and its end lets it happen."""
    world = World()
    world.run(60)
    paused(world)
    world.weekly_failure()
    world.run(300)
    assert world.actions == []
    assert "pause of all by ada" in world.notes(NoteKind.REFUSED)[0].text
    world.feed(OverrideLifted("p1", "ada"))
    world.run(30)
    assert [a.node for a in world.actions] == ["pi_login"]


@pytest.mark.parametrize(
    ("scope", "held"),
    [
        ("node:green4", True),
        ("group:green", True),
        ("runbook:node-hung", True),
        ("node:green5", False),
        ("group:yellow", False),
    ],
)
def test_pause_scopes(scope: str, held: bool) -> None:  # noqa: FBT001 - a table's column
    """A pause holds back just what lies in its scope."""
    world = World()
    world.run(60)
    paused(world, scope)
    world.hang("green4")
    world.run(90)
    assert (world.actions == []) is held


def test_pause_runs_out() -> None:
    """A pause ends by itself, and survives a restart of the supervisor until then."""
    world = World()
    world.run(60)
    paused(world, seconds=200)
    world.hang("green4")
    world.run(100)
    world.restart_supervisor()
    world.run(90)
    assert world.actions == []
    world.run_until(lambda: bool(world.actions), at_most=120)


def ask(world: World, node: str, **more: object) -> None:
    asked = ActRequested("r1", node, "power_cycle", "ada", "stuck", **more)  # type: ignore[arg-type]
    world.feed(asked)


def test_power_cycle_by_hand() -> None:
    """A person may cycle a node, also under a pause, but not twice in a row without saying so."""
    world = World()
    world.run(60)
    paused(world)
    ask(world, "green4")
    assert [a.requested_by for a in world.actions] == ["ada (stuck)"]
    ask(world, "green4")
    assert [n.data["rail"] for n in world.notes(NoteKind.REFUSED)] == [Rail.COOL_DOWN]
    ask(world, "green4", skip=frozenset({Rail.COOL_DOWN}))
    assert len(world.actions) == 2


def test_what_never_happened_starts_no_cool_down() -> None:
    """A cycle by hand that never reached the switch may be asked for again at once."""
    world = World()
    world.run(60)
    world.power_result = Result.NOT_SENT
    ask(world, "green4")
    ask(world, "green4")
    assert not world.notes(NoteKind.REFUSED)
    assert len(world.actions) == 2


def test_a_silent_actuator_is_given_up_by_hand_too() -> None:
    """An order by hand whose actuator never reports holds its node for minutes, not for ever."""
    world = World()
    world.run(60)
    world.answer = False
    ask(world, "green4")
    world.run(200)
    assert [n.data["result"] for n in world.notes(NoteKind.ACTION_FINISHED)] == [Result.UNKNOWN]
    ask(world, "green4")
    assert not world.notes(NoteKind.REFUSED)


def test_protected_by_hand() -> None:
    """Skipping rails by name doesn't unprotect backup: only the explicit word does."""
    world = World()
    world.run(60)
    ask(world, "pi_backup", skip=frozenset(Rail))
    assert world.actions == []
    ask(world, "pi_backup", allow_protected=True)
    assert [a.allow_protected for a in world.actions] == [True]


def test_same_events_same_effects() -> None:
    """Two medics fed the same events at the same times say the same, word for word."""

    def trace() -> list[tuple[float, str]]:
        world = World(seed=7, loss=0.2)
        world.run(40)
        world.weekly_failure()
        world.run(120)
        return [(at, repr(effect)) for at, effect in world.effects]

    assert trace() == trace()


def test_a_node_that_somebody_restarts_is_left_to_boot() -> None:
    """Dark for two minutes, then a kernel that refuses ssh for another: no act, it is booting."""
    world = World(runbooks=SHIPPED)
    world.run(60)
    world.kill("green4")
    world.run(120)
    world.nodes["green4"].ssh, world.nodes["green4"].tcp = "refused", "refused"
    world.run(100)
    world.thaw("green4")
    world.run(300)
    assert world.actions == []


def test_a_login_that_somebody_restarts_is_left_to_boot() -> None:
    """Login refuses ssh while it boots; that is not the weekly failure."""
    world = World(runbooks=SHIPPED)
    world.run(60)
    world.kill("pi_login")
    world.hang(*NETBOOTED)
    world.run(90)
    world.nodes["pi_login"].ssh, world.nodes["pi_login"].tcp = "refused", "refused"
    world.run(60)
    world.thaw("pi_login", *NETBOOTED)
    world.run(300)
    assert world.actions == []


def test_a_port_that_a_person_switches_on_begins_anew() -> None:
    """A node whose port was off for long isn't cycled the moment somebody switches it on."""
    world = World(runbooks=SHIPPED)
    world.run(60)
    world.kill("green4", power="disabled")
    world.run(600)
    world.nodes["green4"].power = "off"
    world.run(5)
    world.nodes["green4"].power = "on"
    world.run(90)
    world.thaw("green4")
    world.run(300)
    assert world.actions == []


def test_shipped_patience_with_a_hung_node() -> None:
    """A hung worker is cycled once, no sooner than three minutes on: a netboot takes less."""
    world = World(runbooks=SHIPPED)
    world.run(60)
    world.hang("green4")
    world.run(175)
    assert world.actions == []
    world.run_until(lambda: bool(world.notes(NoteKind.RECOVERED)), at_most=120)
    assert [a.node for a in world.actions] == ["green4"]
