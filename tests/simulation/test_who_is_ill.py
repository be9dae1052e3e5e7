"""Diagnosis over time: late evidence, stragglers, a dead master, agents that were never there."""

from supervisor.core.effects import NoteKind, Treatment
from tests.simulation.cluster_world import CLUSTER, NETBOOTED, World


def well(seed: int = 1) -> World:
    world = World(seed, tick_s=1.0)
    world.run(60)
    return world


def test_slow_to_thaw() -> None:
    """When login recovers by itself, workers that thaw a minute later are left in peace."""
    world = well()
    world.hang("pi_login", *NETBOOTED)
    world.run(50)
    world.thaw("pi_login", *NETBOOTED[2:])
    world.run(60)
    world.thaw(*NETBOOTED[:2])
    world.run(60)
    assert world.actions == []
    assert {n.node for n in world.notes(NoteKind.INCIDENT_OPENED)} == {"pi_login"}


def test_dead_master_keeps_no_worker_from_its_cure() -> None:
    """A k3s server beyond cure explains no hung worker, and holds back no worker's cycle."""
    world = well()
    world.revives = lambda node: node.name != "mlops_master"
    world.kill("mlops_master")
    world.run(1500)
    assert [n.node for n in world.notes(NoteKind.ESCALATED)] == ["mlops_master"]
    world.hang("green4")
    world.run_until(lambda: world.nodes["green4"].beating, at_most=200)


def test_missing_agents_are_no_storm() -> None:
    """Agents that were never installed on half the cluster keep no hung node from its cure."""
    world = World(tick_s=1.0)
    for name in NETBOOTED[1:9]:
        world.nodes[name].beating = False
    world.nodes_without_agent = set(NETBOOTED[1:9])
    world.run(60)
    world.hang("yellow8")
    world.run_until(lambda: world.nodes["yellow8"].beating, at_most=200)
    cut = {a.node for a in world.actions if a.treatment is Treatment.POWER_CYCLE}
    assert cut == {"yellow8"}


def test_the_given_up_are_no_storm() -> None:
    """Nodes that were treated in vain, one after the other, keep no other from its cure."""
    world = well()
    dead = NETBOOTED[1:8]
    world.revives = lambda node: node.name not in dead
    for name in dead:
        world.kill(name)
        world.run(900)
    assert len(world.notes(NoteKind.ESCALATED)) == len(dead)
    world.hang("yellow8")
    world.run_until(lambda: world.nodes["yellow8"].beating, at_most=3700)


def test_moment_of_doubt_about_login() -> None:
    """A worker's incident outlives a few seconds in which login might have explained it."""
    world = well()
    world.hang("green4")
    world.run(40)
    world.frozen_until["pi_login"] = world.now + 6
    world.run_until(lambda: bool(world.notes(NoteKind.RECOVERED)), at_most=120)
    assert [n.node for n in world.notes(NoteKind.INCIDENT_OPENED)] == ["green4"]
    assert [a.node for a in world.actions] == ["green4"]


def test_restart_while_login_is_dead() -> None:
    """A worker heard once by a new supervisor is no patient while nobody has heard from login."""
    world = well()
    world.kill("pi_login")
    world.restart_supervisor()
    world.run(4)
    world.hang(*NETBOOTED)
    world.run(60)
    assert [n.node for n in world.notes(NoteKind.INCIDENT_OPENED)] == ["pi_login"]


def test_really_dead_among_the_frozen() -> None:
    """A worker that died while login was ill gets its own cure, once login is long well."""
    world = well()
    world.weekly_failure()
    world.kill("green4")
    world.revives = lambda node: node.name != "green4" or len(world.actions) > 1
    world.run_until(lambda: bool(world.actions), at_most=60)
    world.run(25)
    world.kill("green4")
    world.run_until(lambda: len(world.notes(NoteKind.RECOVERED)) == 2, at_most=900)
    assert [a.node for a in world.actions] == ["pi_login", "green4"]
    assert world.medic.status(world.now).verdict == f"HEALTHY {len(CLUSTER.nodes)}/19"
