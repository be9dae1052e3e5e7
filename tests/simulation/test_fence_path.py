"""Power that can't be relied upon is told before the emergency, and a moved node isn't cut."""

import pytest

from common.observations import Observation, Sense, Truth
from supervisor.api.text import status_lines
from supervisor.core.effects import NoteKind
from supervisor.core.events import ActRequested, Observed
from supervisor.core.rails import Rail
from tests.simulation.cluster_world import World

WRONG = "green4 is seen behind port 7, and the inventory says 40"


@pytest.fixture
def world() -> World:
    """A cluster that has been well for a minute."""
    world = World(tick_s=1.0)
    world.run(60)
    return world


def told(world: World, node: str, kind: str, word: str, detail: str = "") -> None:
    world.feed(Observed((Observation(Sense.SWITCH, node, kind, word, detail=detail),)))
    world.run(5)


def checked(world: World, word: str, detail: str = "all good") -> None:
    told(world, "switch", "fence_path", word, detail)


def test_broken_twice_calls_a_person_once(world: World) -> None:
    """The second bad check calls a person, no further one does; the first good one ends it."""
    checked(world, "sure")
    checked(world, "broken", "login refused")
    assert not world.notes(NoteKind.ESCALATED)
    for _ in range(4):
        checked(world, "broken", "login refused")
    assert [n.text for n in world.notes(NoteKind.ESCALATED)] == [
        "power can't be relied upon: a person is needed: login refused"
    ]
    checked(world, "sure")
    assert [n.text for n in world.notes(NoteKind.RECOVERED)] == [
        "power can be relied upon again: all good"
    ]
    assert not any(world.medic.status(world.now).incidents_total.values())


def test_the_status_shows_it(world: World) -> None:
    """While it is broken the status has a line for it; the last good check is remembered."""
    assert world.medic.status(world.now).fence_path is None
    checked(world, "sure")
    checked(world, "broken", "login refused")
    checked(world, "broken", "login refused")
    status = world.medic.status(world.now)
    assert status.fence_path is not None
    assert (status.fence_path.ok, status.fence_path.age_s) == (Truth.FALSE, 5)
    assert status.fence_path.ok_age_s == 15
    assert any("POWER CAN'T BE RELIED UPON" in line for line in status_lines(status))


def test_a_check_that_is_too_old_is_unknown(world: World) -> None:
    """Two days without a check and nobody knows."""
    checked(world, "sure")
    world.tick_s = 60.0
    world.run(2 * 86400)
    status = world.medic.status(world.now)
    assert status.fence_path is not None
    assert status.fence_path.ok is Truth.UNKNOWN


def test_a_moved_node_is_told_and_never_cut(world: World) -> None:
    """Seen twice behind another port a node is shown, and no order of anybody cuts its port."""
    told(world, "green4", "address", "elsewhere", WRONG)
    assert world.node_state("green4") == "healthy"
    told(world, "green4", "address", "elsewhere", WRONG)
    assert world.node_state("green4") == "sick"
    assert any(WRONG in note.text for note in world.notes(NoteKind.CONDITION))
    world.hang("green4")
    world.run(400)
    world.feed(ActRequested("r1", "green4", "power_cycle", "ada", "stuck"))
    assert world.actions == []
    assert Rail.PORT_MISMATCH in {note.data["rail"] for note in world.notes(NoteKind.REFUSED)}
    told(world, "green4", "address", "here")
    world.run_until(lambda: bool(world.actions), at_most=60)


def test_old_addresses_say_nothing(world: World) -> None:
    """When the table hasn't been read for long, a node that was moved once isn't held moved."""
    for _ in range(2):
        told(world, "green4", "address", "elsewhere", WRONG)
    world.run(2400)
    assert world.node_state("green4") == "healthy"
