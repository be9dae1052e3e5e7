"""A port that a person switched off: seen by everybody, and on again when its time is over."""

import pytest

from supervisor.core.effects import NoteKind, Treatment
from supervisor.core.events import ActRequested, OverrideKind, OverrideLifted, Result
from tests.simulation.cluster_world import World

OFF, ON = Treatment.POWER_OFF, Treatment.POWER_ON


def switched_off(seconds: float | None = 600) -> World:
    """A well cluster in which Anna has just switched green4 off."""
    world = World()
    world.run(60)
    until = None if seconds is None else world.now + seconds
    ask(world, OFF, until)
    return world


def ask(world: World, treatment: Treatment, until: float | None = None) -> None:
    world.feed(ActRequested("r1", "green4", treatment, "anna", "new card", until=until))


def given(world: World) -> list[Treatment]:
    return [action.treatment for action in world.actions]


def test_is_seen_and_left_alone() -> None:
    """Off for ten minutes: the status names owner, reason and rest; nobody treats, nobody calls."""
    world = switched_off()
    world.run(590)
    (override,) = world.medic.status(world.now).overrides
    assert (override.kind, override.scope) == (OverrideKind.OFF, "node:green4")
    assert (override.author, override.reason) == ("anna", "new card")
    assert override.remaining_s == pytest.approx(10, abs=1)
    assert given(world) == [OFF]
    assert not world.notes(NoteKind.ESCALATED)


def test_its_end_switches_on() -> None:
    """When the time is over the port is ordered on once, and the override is gone."""
    world = switched_off()
    world.run(660)
    assert given(world) == [OFF, ON]
    assert not world.medic.status(world.now).overrides
    assert world.node_state("green4") == "healthy"


def test_for_ever_is_for_ever() -> None:
    """Without an end it stays off."""
    world = switched_off(None)
    world.run(1800)
    assert given(world) == [OFF]


def test_an_end_outlives_a_restart() -> None:
    """A supervisor that starts after the end switches the port on."""
    world = switched_off()
    world.now += 3600
    world.restart_supervisor()
    world.run(10)
    assert given(world) == [OFF, ON]


def test_an_end_tries_until_the_port_is_on() -> None:
    """A switch that doesn't do it is asked again, not at every tick, until it is proven."""
    world = switched_off()
    world.results[ON] = Result.UNKNOWN
    world.run(660)
    tries = given(world).count(ON)
    assert 3 <= tries <= 5
    world.results[ON] = Result.SUCCEEDED
    world.run(60)
    assert given(world).count(ON) == tries + 1
    assert len({action.id for action in world.actions}) == len(world.actions)


def test_lifting_switches_on() -> None:
    """To lift it is to switch on."""
    world = switched_off(None)
    world.run(10)
    world.feed(OverrideLifted("off-green4", "bert"))
    world.run(5)
    assert given(world) == [OFF, ON]
    assert not world.medic.status(world.now).overrides


def test_on_by_hand_is_its_end() -> None:
    """Whoever switches the port on ends it; nothing more is done at the time it had."""
    world = switched_off()
    world.run(30)
    ask(world, ON)
    assert not world.medic.status(world.now).overrides
    world.run(900)
    assert given(world) == [OFF, ON]


@pytest.mark.parametrize(("result", "left"), [(Result.REFUSED, 0), (Result.UNKNOWN, 1)])
def test_an_off_that_never_was(result: Result, left: int) -> None:
    """An off that didn't happen leaves nothing behind; one that may have, is ended in time."""
    world = World()
    world.run(60)
    world.results[OFF] = result
    ask(world, OFF, world.now + 60)
    assert len(world.medic.status(world.now).overrides) == left
    world.run(90)
    assert given(world).count(ON) == left
