"""The mild runbooks, each from its symptom to proof of cure, and who carries a treatment out."""

from collections.abc import Iterable

import pytest

from supervisor.core.effects import Action, Actuator, NoteKind, Treatment
from supervisor.core.events import Result
from tests.simulation.cluster_world import CLUSTER, NETBOOTED, World

NFS, DHCP = "nfs-server.service", "isc-dhcp-server.service"
AGENT, SSH, POWER = Actuator.AGENT, Actuator.SSH, Actuator.POWER


@pytest.fixture
def world() -> World:
    """A cluster that has been well for a minute."""
    world = World(tick_s=1.0)
    world.run(60)
    return world


def until_recovered(world: World, at_most: float = 600, times: int = 1) -> None:
    world.run_until(lambda: len(world.notes(NoteKind.RECOVERED)) >= times, at_most)


def told(actions: Iterable[Action]) -> list[tuple[str, Treatment, Actuator]]:
    return [(action.node, action.treatment, action.actuator) for action in actions]


def restarts(world: World) -> list[tuple[str, Actuator]]:
    return [(action.arguments["unit"], action.actuator) for action in world.actions]


@pytest.mark.parametrize(
    ("kind", "treatment"),
    [
        ("name_unresolvable", Treatment.FIX_HOSTS),
        ("timezone_wrong", Treatment.SET_TIME_SYNC),
        ("clock_unsynced", Treatment.SET_TIME_SYNC),
        ("kernel_image_unreadable", Treatment.FIX_KERNEL_IMAGE),
    ],
)
def test_each_mild_illness_has_its_cure(world: World, kind: str, treatment: Treatment) -> None:
    """One act by the agent, once, and the node is well; nobody is called."""
    world.nodes["green4"].tells = {"timezone_wrong": False, "clock_unsynced": False, kind: True}
    until_recovered(world)
    assert told(world.actions) == [("green4", treatment, AGENT)]
    assert world.medic.status(world.now).healthy
    assert not world.notes(NoteKind.ESCALATED)


def test_a_time_server_that_fails_is_nobody_s_illness(world: World) -> None:
    """Clocks that nothing keeps on half the cluster are shown, and no node is treated for it."""
    for name in NETBOOTED[:9]:
        world.nodes[name].tells = {"clock_unsynced": True}
    world.run(2000)
    assert world.actions == []
    assert not world.notes(NoteKind.INCIDENT_OPENED)
    assert not world.medic.status(world.now).healthy


def test_netboot_service_down(world: World) -> None:
    """A failed NFS server on login is restarted by its agent; the 17 that hang are explained."""
    world.nodes["pi_login"].failed_units = (NFS,)
    world.hang(*NETBOOTED)
    world.run_until(lambda: bool(world.actions), at_most=60)
    world.thaw(*NETBOOTED)
    until_recovered(world)
    assert restarts(world) == [(NFS, AGENT)]
    assert [n.node for n in world.notes(NoteKind.INCIDENT_OPENED)] == ["pi_login"]
    assert "dependents" in world.notes(NoteKind.RECOVERED)[0].text
    world.run(600)
    assert len(world.actions) == 1


def test_each_failed_service_is_restarted(world: World) -> None:
    """Two failed services are restarted one after the other, and the third is left alone."""
    world.nodes["pi_login"].failed_units = (DHCP, NFS)
    until_recovered(world)
    assert restarts(world) == [(NFS, AGENT), (DHCP, AGENT)]


def test_another_failed_unit_is_no_reason(world: World) -> None:
    """A unit that serves nobody's boot is no reason to restart those that do."""
    world.nodes["pi_login"].failed_units = ("snapd.service",)
    world.run(900)
    assert world.actions == []


def test_another_failed_unit_hinders_no_cure(world: World) -> None:
    """A unit of no concern that failed long ago keeps the incident neither open nor unproven."""
    world.nodes["pi_login"].failed_units = ("snapd.service",)
    world.run(60)
    world.nodes["pi_login"].failed_units = ("snapd.service", NFS)
    until_recovered(world, at_most=120)
    assert restarts(world) == [(NFS, AGENT)]


@pytest.mark.parametrize("result", [Result.REFUSED, Result.FAILED, Result.UNKNOWN])
def test_ssh_does_what_the_agent_does_not(world: World, result: Result) -> None:
    """When the agent refuses, fails, or can't say, the second attempt is made over ssh."""
    world.results[AGENT] = result
    world.nodes["pi_login"].failed_units = (NFS,)
    until_recovered(world)
    assert restarts(world) == [(NFS, AGENT), (NFS, SSH)]
    texts = [note.text for note in world.notes(NoteKind.ACTION_STARTED)]
    assert "by its agent 1/2" in texts[0]
    assert "over ssh 2/2" in texts[1]


def test_without_ssh_the_agent_tries_again(world: World) -> None:
    """A door that is shut is not tried: both attempts are the agent's."""
    world.results[AGENT] = Result.FAILED
    world.nodes["pi_login"].failed_units = (NFS,)
    world.nodes["pi_login"].ssh = "silent"
    world.run(200)
    assert restarts(world) == [(NFS, AGENT), (NFS, AGENT)]


def test_the_ladder_from_agent_to_ssh_to_power(world: World) -> None:
    """A worker whose root stays read-only climbs from remount to reboot to its port."""
    node = world.nodes["green4"]
    world.heals = False
    node.read_only = True
    world.run_until(lambda: len(world.actions) == 4, at_most=3000)
    assert told(world.actions) == [
        ("green4", Treatment.REMOUNT_RW, AGENT),
        ("green4", Treatment.AGENT_REBOOT, AGENT),
        ("green4", Treatment.REBOOT, SSH),
        ("green4", Treatment.POWER_CYCLE, POWER),
    ]
    until_recovered(world)


def test_a_rung_that_nobody_can_carry_out_is_passed_over(world: World) -> None:
    """With ssh shut the reboot over ssh is passed over, and the timeline says why, once."""
    node = world.nodes["green4"]
    world.heals = False
    node.read_only, node.ssh = True, "silent"
    world.run_until(lambda: any(a.actuator is POWER for a in world.actions), at_most=3000)
    assert Treatment.REBOOT not in [action.treatment for action in world.actions]
    passed = [n.text for n in world.notes(NoteKind.REFUSED) if "passed over" in n.text]
    assert passed == ["reboot of green4 passed over: its ssh gives no banner"]


def test_boot_loop_is_broken_once(world: World) -> None:
    """A node that boots in a loop is power-cycled once; still looping, a person is called."""
    world.revives = lambda _node: False
    node = world.nodes["green4"]
    world.kill("green4")
    for number in range(300):
        node.power, node.link = ("off", "down") if number % 6 == 0 else ("on", "up")
        world.run(5)
    assert told(world.actions) == [("green4", Treatment.POWER_CYCLE, POWER)]
    assert [n.node for n in world.notes(NoteKind.ESCALATED)] == ["green4"]
    assert "boot loop" in world.notes(NoteKind.ESCALATED)[0].text


def test_a_node_that_booted_often_but_is_up_is_left_alone(world: World) -> None:
    """What an agent tells of many boots lately is shown, and no power is cut for it."""
    world.nodes["green4"].tells = {"boot_loop": True}
    world.run(900)
    assert world.actions == []
    assert world.node_state("green4") == "sick"


def test_mild_cures_touch_nobody_else(world: World) -> None:
    """Four mild illnesses at once on four nodes are each cured where they are."""
    for name, kind in zip(NETBOOTED[:2], ("name_unresolvable", "timezone_wrong"), strict=True):
        world.nodes[name].tells = {"clock_unsynced": False, kind: True}
    until_recovered(world, at_most=900, times=2)
    assert {action.node for action in world.actions} == set(NETBOOTED[:2])
    assert not any(action.treatment.takes_node_down for action in world.actions)
    assert len(world.medic.status(world.now).nodes) == len(CLUSTER.nodes)
