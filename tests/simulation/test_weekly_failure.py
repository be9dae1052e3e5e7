"""The weekly failure in virtual time: 17 silent workers and a dead login are one patient."""

import pytest

from supervisor.core.effects import NoteKind, Treatment
from supervisor.core.events import Result
from tests.simulation.cluster_world import NETBOOTED, World


@pytest.fixture
def world() -> World:
    """A cluster that has been well for a minute."""
    world = World()
    world.run(60)
    assert world.medic.status(world.now).verdict == "HEALTHY 19/19"
    return world


def recovered(world: World) -> bool:
    return bool(world.notes(NoteKind.RECOVERED))


def test_one_incident_one_cycle(world: World) -> None:
    """A read-only, resetting login is power-cycled once, and nobody else is touched."""
    world.weekly_failure()
    world.run_until(lambda: recovered(world), at_most=300)
    assert [(a.node, a.treatment) for a in world.actions] == [("pi_login", Treatment.POWER_CYCLE)]
    assert [n.node for n in world.notes(NoteKind.INCIDENT_OPENED)] == ["pi_login"]
    world.run(600)
    assert len(world.actions) == 1
    assert world.medic.status(world.now).verdict == "HEALTHY 19/19"


def test_workers_are_explained(world: World) -> None:
    """While login is sick its 17 dependents are shown as explained by it, never as sick."""
    world.weekly_failure()
    world.run(14)
    states = {n.name: (n.state, n.explained_by) for n in world.medic.status(world.now).nodes}
    assert {states[name] for name in NETBOOTED} == {("explained", "pi_login")}
    assert states["pi_backup"] == ("healthy", None)
    assert len(world.notes(NoteKind.EXPLAINED)[-1].data["nodes"]) == 17


def test_silent_login_is_still_the_patient(world: World) -> None:
    """If login dies without a word, the 17 that fall silent with it are explained all the same."""
    world.kill("pi_login")
    world.hang(*NETBOOTED)
    world.run_until(lambda: recovered(world), at_most=300)
    assert [a.node for a in world.actions] == ["pi_login"]
    assert [n.node for n in world.notes(NoteKind.INCIDENT_OPENED)] == ["pi_login"]


@pytest.mark.parametrize("missing", ["new_boot", "ssh", "writable", "dependents"])
def test_each_proof_is_needed(world: World, missing: str) -> None:
    """The incident stays open while any one proof is missing, and closes when it comes."""
    world.boot_s = 1e9  # the test plays the boot itself
    world.weekly_failure()
    world.run_until(lambda: bool(world.actions), at_most=60)
    login = world.nodes["pi_login"]
    login.boot += missing != "new_boot"
    login.read_only = missing == "writable"
    login.power = "on"
    world.thaw("pi_login", *(name for name in NETBOOTED if name != "green4"))
    login.ssh = "reset" if missing == "ssh" else "banner"
    if missing != "dependents":
        world.thaw("green4")
    world.run(60)
    assert not recovered(world)
    login.boot += 1
    login.read_only, login.ssh = False, "banner"
    world.thaw("green4")
    world.run_until(lambda: recovered(world), at_most=30)
    assert len(world.actions) == 1


def test_a_straggler_becomes_its_own_patient(world: World) -> None:
    """A worker that stays hung long after login is well again is treated in its own right."""
    world.weekly_failure()
    world.run_until(lambda: bool(world.actions), at_most=60)
    world.run(25)  # login is back, and so are the others
    world.hang("green4")
    world.run_until(lambda: len(world.actions) > 1, at_most=900)
    assert [a.node for a in world.actions] == ["pi_login", "green4"]


def test_second_cycle_then_escalation(world: World) -> None:
    """A login that no cycle revives is cycled twice, then escalated once, and left alone."""
    world.revives = lambda _node: False
    world.weekly_failure()
    world.run(3600)
    assert [a.treatment for a in world.actions] == [Treatment.POWER_CYCLE] * 2
    assert len(world.notes(NoteKind.ESCALATED)) == 1
    assert world.medic.status(world.now).verdict.startswith("ESCALATED pi_login")


def test_switch_away_costs_no_budget(world: World) -> None:
    """While the switch can't be spoken to nothing is spent, and the cure follows its return."""
    world.power_result = Result.NOT_SENT
    world.weekly_failure()
    world.run(600)
    assert len(world.actions) > 3
    world.power_result = Result.SUCCEEDED
    world.run_until(lambda: recovered(world), at_most=300)
    assert not world.notes(NoteKind.ESCALATED)


@pytest.mark.parametrize("after_s", range(0, 60, 3))
def test_supervisor_restarts_midway(world: World, after_s: int) -> None:
    """Whenever the supervisor dies, its successor brings login back with no second cycle."""
    world.weekly_failure()
    world.run(after_s)
    world.restart_supervisor()
    world.run_until(lambda: recovered(world), at_most=400)
    assert [a.node for a in world.actions] == ["pi_login"]
    assert len(world.notes(NoteKind.INCIDENT_OPENED)) == 1


def test_lost_report(world: World) -> None:
    """An actuator that never reports is given up, and what it did is found by looking."""
    world.answer = False
    world.weekly_failure()
    world.run_until(lambda: recovered(world), at_most=400)
    assert len(world.actions) == 1
