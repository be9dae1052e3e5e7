"""Nodes whose root stalls and whose agents live to say so: worth more than silent ones."""

from collections.abc import Callable

import pytest

from supervisor.core.effects import NoteKind, Treatment
from tests.simulation.cluster_world import CLUSTER, NETBOOTED, SHIPPED, World


def well() -> World:
    world = World(tick_s=1.0)
    world.run(60)
    return world


def test_weekly_failure_told_by_its_victims() -> None:
    """One incident, one cycle of login, seventeen explained; over once every root answers."""
    world = well()
    world.nodes["pi_login"].read_only, world.nodes["pi_login"].ssh = True, "reset"
    world.stall(*NETBOOTED)
    world.run_until(lambda: bool(world.notes(NoteKind.RECOVERED)), at_most=200)
    assert [a.node for a in world.actions] == ["pi_login"]
    assert [n.node for n in world.notes(NoteKind.INCIDENT_OPENED)] == ["pi_login"]
    (recovered,) = world.notes(NoteKind.RECOVERED)
    assert "17 dependents back" in recovered.text
    world.run(10)
    assert world.medic.status(world.now).verdict == f"HEALTHY {len(CLUSTER.nodes)}/19"


def test_login_isnt_cured_while_a_root_still_stalls() -> None:
    """A dependent that says that its root stalls is a dependent that isn't back."""
    world = well()
    world.nodes["pi_login"].read_only = True
    world.stall(*NETBOOTED)
    world.run_until(lambda: world.nodes["pi_login"].boot > 1, at_most=200)
    world.stall("green4")
    world.run(30)
    assert world.notes(NoteKind.RECOVERED) == []
    world.thaw("green4")
    world.run_until(lambda: bool(world.notes(NoteKind.RECOVERED)), at_most=60)
    assert {a.node for a in world.actions} == {"pi_login"}


@pytest.mark.parametrize("befall", [World.kill, World.hang, World.stall])
def test_no_witness_is_ever_treated(befall: Callable[[World, str], None]) -> None:
    """Login beyond cure, dark, silent or itself stalled: for all that time it alone is touched."""
    world = well()
    world.revives = lambda _node: False
    befall(world, "pi_login")
    world.stall(*NETBOOTED)
    world.run(1200)
    assert {a.node for a in world.actions} == {"pi_login"}
    assert {n.node for n in world.notes(NoteKind.INCIDENT_OPENED)} == {"pi_login"}


def test_a_root_that_stalls_alone_is_waited_for() -> None:
    """With login well, a worker's own stall is shown and left alone: it is alive."""
    world = well()
    world.stall("green4")
    world.run(1200)
    assert world.actions == []
    status = next(n for n in world.medic.status(world.now).nodes if n.name == "green4")
    assert any(c.kind == "root_stalled" for c in status.conditions)


@pytest.mark.parametrize(
    ("helps", "ladder"),
    [
        (True, [Treatment.RESTART_UNIT]),
        (False, [Treatment.RESTART_UNIT] * 2 + [Treatment.REBOOT]),
    ],
)
def test_a_silent_nfs_server_is_told_by_its_clients(
    helps: bool,  # noqa: FBT001 - a table
    ladder: list[Treatment],
) -> None:
    """Login seems well, its clients stall: one patient, mild means first, and nobody else's."""
    world = World(tick_s=1.0, runbooks=tuple(SHIPPED))
    world.run(60)
    world.nfs_restart_helps = helps
    world.stall(*NETBOOTED)
    world.run(100)
    assert world.actions == [], "a server that restarted keeps them waiting for 90 s"
    world.run_until(lambda: bool(world.notes(NoteKind.RECOVERED)), at_most=600)
    assert [(a.node, a.treatment) for a in world.actions] == [("pi_login", t) for t in ladder]
    assert {n.node for n in world.notes(NoteKind.INCIDENT_OPENED)} == {"pi_login"}


def test_a_few_stalled_clients_prove_nothing() -> None:
    """Half of the witnesses against the other half: the server is left alone."""
    world = well()
    world.stall(*NETBOOTED[:8])
    world.run(1200)
    assert world.actions == []


def test_login_alone_is_no_proof_against_itself() -> None:
    """Its agent says that its disk stalls, and no client does: a person is called instead."""
    world = well()
    world.stall("pi_login")
    world.run(1200)
    assert world.actions == []
    assert [n.node for n in world.notes(NoteKind.ESCALATED)] == ["pi_login"]


def test_logins_own_disk() -> None:
    """A minute's stall is a disk that resets itself; what lasts longer is cured by its power."""
    world = World(tick_s=1.0, runbooks=tuple(SHIPPED))
    world.run(60)
    world.stall("pi_login", *NETBOOTED)
    world.run(60)
    world.thaw("pi_login", *NETBOOTED)
    world.run(120)
    assert world.actions == []
    world.stall("pi_login", *NETBOOTED)
    world.run_until(lambda: len(world.notes(NoteKind.RECOVERED)) > 1, at_most=300)
    assert [(a.node, a.treatment) for a in world.actions] == [("pi_login", Treatment.POWER_CYCLE)]
