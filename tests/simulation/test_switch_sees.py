"""The switch as a witness: silent nodes that look alike to everybody else are told apart by it."""

from typing import Any

import pytest

from supervisor.core.effects import NoteKind
from supervisor.core.liveness import Verdict
from supervisor.core.status import NodeStatus
from tests.simulation.cluster_world import CLUSTER, World

NODE = "green4"


def well(**other: Any) -> World:
    """A cluster that has been well for a minute, on a switch that tells all it knows."""
    world = World(tick_s=0.25, **other)
    for node in world.nodes.values():
        node.link, node.watts = "up", 2.6
    world.run(60)
    assert world.medic.status(world.now).healthy
    return world


@pytest.fixture
def world() -> World:
    """The same, with the shipped runbooks."""
    return well()


def seen(world: World, name: str = NODE) -> NodeStatus:
    return next(node for node in world.medic.status(world.now).nodes if node.name == name)


def is_true(world: World, kind: str, name: str = NODE) -> bool:
    return any(c.kind == kind and c.status == "true" for c in seen(world, name).conditions)


def port(world: World, power: str, link: str, watts: float | None, name: str = NODE) -> None:
    node = world.nodes[name]
    node.power, node.link, node.watts = power, link, watts


def test_dead_hung_and_looping_differ() -> None:
    """Three nodes that answer nobody get three verdicts, and each evidence says why."""
    world = well(runbooks=())
    for name in ("green1", "green2", "green3"):
        world.kill(name)
    port(world, "off", "down", 0.0, "green1")
    for number in range(110):
        phase = number % 10
        port(world, "on", "down" if phase < 3 else "up", 2.2 if phase < 3 else 5.1, "green3")
        world.run(3)
    assert {name: seen(world, name).verdict for name in ("green1", "green2", "green3")} == {
        "green1": Verdict.UNPOWERED,
        "green2": Verdict.HUNG,
        "green3": Verdict.BOOT_LOOP,
    }
    dead, hung, looping = (
        seen(world, name).evidence[-1] for name in ("green1", "green2", "green3")
    )
    assert dead.startswith(
        "port 34: link down, gives no power, class 4: the port is on and nothing"
    )
    assert hung == (
        "port 36: link up, 2.6 W, class 4: the board has power; its kernel answers no ping: hung"
    )
    assert "began anew 10 times in 5 min" in looping
    assert looping.endswith("boots in a loop")
    assert is_true(world, "boot_loop", "green3")
    assert not is_true(world, "hung", "green3")


def test_power_lost_is_told_with_the_first_missing_beat(world: World) -> None:
    """A port seen without power and link makes its node unpowered 1.5 s after the cut."""
    world.run(0.25 - world.now % 0.25)
    world.run_until(lambda: world.now % 1.0 == 0, at_most=2)
    cut = world.now
    world.kill(NODE)
    port(world, "off", "down", 0.0)
    while not is_true(world, "unpowered"):
        if world.medic.is_uneasy(world.now):
            world.look_at_switch()
        world.tick()
        assert world.now <= cut + 1.5
    assert is_true(world, "heartbeat_lost")


def test_powered_from_elsewhere(world: World) -> None:
    """A node that beats is alive on a port that gives no power, and nothing is done about it."""
    port(world, "off", "down", 0.0)
    world.run(600)
    assert seen(world).verdict is Verdict.ALIVE
    assert seen(world).evidence[-1].endswith("powered from elsewhere")
    assert world.actions == []
    assert world.medic.status(world.now).healthy


@pytest.mark.parametrize("watts", [0.0, None])
def test_a_meter_that_shows_nothing_takes_no_power_away(world: World, watts: float | None) -> None:
    """With zero watts, or none, on every port nobody is called unpowered: the hung are hung."""
    for name in CLUSTER.nodes:
        port(world, "on", "up", watts, name)
    world.kill(NODE)
    world.run(30)
    assert seen(world).verdict is Verdict.HUNG
    assert "gives power" in seen(world).evidence[-1]
    assert not any(is_true(world, "unpowered", name) for name in CLUSTER.nodes)


def test_a_quiet_node_that_works_is_left_alone(world: World) -> None:
    """A healthy node whose draw jumps up and down, with beats lost now and then, is well."""
    world.loss = 0.3
    for number in range(150):
        port(world, "on", "up", 5.2 if number % 2 else 2.4)
        world.run(4)
    assert world.actions == []
    assert not world.notes(NoteKind.INCIDENT_OPENED)


def test_a_switch_that_reboots_blames_nobody(world: World) -> None:
    """While it is away nothing is claimed; when all its ports come back at once, nobody is cut."""
    world.switch = False
    for name in CLUSTER.nodes:
        world.kill(name)
        port(world, "off", "down", 0.0, name)
    world.run(90)
    world.switch = True
    world.run(20)
    for name in CLUSTER.nodes:
        port(world, "on", "up", 5.0, name)
    world.run(40)
    world.thaw(*CLUSTER.nodes)
    for node in world.nodes.values():
        node.boot += 1
    world.run(300)
    assert world.actions == []
    assert world.medic.status(world.now).healthy


def test_off_by_hand_is_no_illness_of_the_board(world: World) -> None:
    """A port that somebody switched off makes its node neither hung nor unpowered."""
    world.kill(NODE)
    port(world, "disabled", "down", 0.0)
    world.run(900)
    assert seen(world).verdict is Verdict.OFF_BY_HAND
    assert not is_true(world, "unpowered")
    assert "somebody switched the port off" in seen(world).evidence[-1]
    assert world.actions == []


def test_never_there() -> None:
    """A port that found nothing to power ever since we watch is told from one that lost it."""
    world = well(runbooks=())
    world.kill(NODE)
    port(world, "off", "down", 0.0)
    world.restart_supervisor()
    world.run(120)
    assert seen(world).verdict is Verdict.UNDETECTED
    assert "never classified" in seen(world).evidence[-1]


def test_our_own_cycles_are_no_loop(world: World) -> None:
    """A node that no cycle revives is hung after both of them, and not booting in a loop."""
    world.revives = lambda _node: False
    world.hang(NODE)
    acted: list[float] = []
    verdicts = set()
    for _ in range(1500):
        world.run(1)
        acted += [world.now] * (len(world.actions) - len(acted))
        since = world.now - acted[-1] if acted else 1e9
        port(world, *("off", "down", 0.0) if since < 10 else ("on", "up", 2.6))
        verdicts.add(seen(world).verdict)
    assert len(acted) == 2
    assert Verdict.BOOT_LOOP not in verdicts
