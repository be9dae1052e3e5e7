"""An incident's life at its edges: what it turns into, when it ends, when a person is called."""

import pytest

from supervisor.core.effects import NoteKind, Treatment
from supervisor.core.events import Override, OverrideKind, OverrideLifted, OverrideSet, Result
from tests.simulation.cluster_world import NETBOOTED, World

CYCLE, RESTART = Treatment.POWER_CYCLE, Treatment.RESTART_AGENT


@pytest.fixture
def world() -> World:
    """A cluster that has been well for a minute."""
    world = World(tick_s=1.0)
    world.run(60)
    return world


def opened(world: World) -> list[str | None]:
    return [n.node for n in world.notes(NoteKind.INCIDENT_OPENED)]


def acts(world: World) -> list[Treatment]:
    return [a.treatment for a in world.actions]


def test_agent_down_turns_into_hung(world: World) -> None:
    """A node whose agent dies first and that then hangs is one incident, closed by its cure."""
    world.nodes["green4"].beating = False
    world.run(30)
    world.hang("green4")
    world.run_until(lambda: bool(world.notes(NoteKind.RECOVERED)), at_most=300)
    assert opened(world) == ["green4"]
    assert acts(world) == [CYCLE]
    assert world.nodes["green4"].beating


def test_no_second_cycle_for_a_missing_agent(world: World) -> None:
    """A node that comes back from its cycle without its agent is not cycled again for that."""
    world.nodes_without_agent = {"green4"}
    world.hang("green4")
    world.run_until(lambda: bool(world.actions), at_most=120)
    world.run_until(lambda: RESTART in acts(world), at_most=600)
    world.nodes_without_agent.clear()
    world.run_until(lambda: bool(world.notes(NoteKind.RECOVERED)), at_most=300)
    assert acts(world).count(CYCLE) == 1
    assert opened(world) == ["green4"]


def test_silent_in_another_way_is_not_well(world: World) -> None:
    """A node given up as hung that then loses its power stays one incident, escalated once."""
    world.revives = lambda _node: False
    world.hang("green4")
    world.run_until(lambda: bool(world.notes(NoteKind.ESCALATED)), at_most=1500)
    for power in ("off", "on", "unknown", "off", "on"):
        world.nodes["green4"].power = power
        world.run(300)
    assert opened(world) == ["green4"]
    assert len(world.notes(NoteKind.ESCALATED)) == 1
    assert not world.notes(NoteKind.RECOVERED)


def test_given_up_turns_into_another_illness(world: World) -> None:
    """An agent given up keeps nobody from treating its node when that hangs one day."""
    world.nodes_without_agent = {"green4"}
    world.nodes["green4"].beating = False
    world.run_until(lambda: bool(world.notes(NoteKind.ESCALATED)), at_most=600)
    world.hang("green4")
    world.run_until(lambda: CYCLE in acts(world), at_most=200)


def test_port_switched_off_while_it_waits(world: World) -> None:
    """When somebody switches a hung node's port off, its incident closes and nothing is done."""
    world.hang("green4")
    world.run(30)
    world.kill("green4", power="disabled")
    world.run(1200)
    assert world.actions == []
    assert "switched off by somebody" in world.notes(NoteKind.RECOVERED)[0].text
    assert not world.notes(NoteKind.ESCALATED)


def test_switch_away_for_long(world: World) -> None:
    """After 15 min without a way to act a person is called, once; the cure follows all the same."""
    world.power_result = Result.NOT_SENT
    world.weekly_failure()
    world.run(3000)
    assert [n.node for n in world.notes(NoteKind.ESCALATED)] == ["pi_login"]
    world.power_result = Result.SUCCEEDED
    world.run_until(lambda: bool(world.notes(NoteKind.RECOVERED)), at_most=300)
    assert len(world.notes(NoteKind.ESCALATED)) == 1


def test_long_storm_calls_a_person(world: World) -> None:
    """A storm that lasts is no reason for silence: each incident in it calls a person once."""
    for name in NETBOOTED[:7]:
        world.kill(name)
    world.run(3600)
    assert world.actions == []
    assert sorted(str(n.node) for n in world.notes(NoteKind.ESCALATED)) == sorted(NETBOOTED[:7])


@pytest.mark.parametrize("node", ["pi_backup", "green4"])
def test_no_alarm_under_maintenance(world: World, node: str) -> None:
    """Under maintenance nobody is called, and afterwards whoever must be is."""
    world.feed(OverrideSet(Override("m", OverrideKind.MAINTENANCE, "all", "ada", "x", None)))
    world.revives = lambda _node: False
    world.hang(node)
    world.run(3000)
    assert not world.notes(NoteKind.ESCALATED)
    world.feed(OverrideLifted("m", "ada"))
    world.run_until(lambda: bool(world.notes(NoteKind.ESCALATED)), at_most=1500)


def test_userland_gone(world: World) -> None:
    """A worker that refuses ssh and sends no beats is cycled, but not while it may be booting."""
    world.kill("green4")
    world.run(30)
    world.nodes["green4"].ssh, world.nodes["green4"].tcp = "refused", "open"
    world.run(170)
    assert world.actions == []
    world.run_until(lambda: bool(world.notes(NoteKind.RECOVERED)), at_most=120)
    assert acts(world) == [CYCLE]


def test_refused_orders_are_not_treatment(world: World) -> None:
    """A cycle that the power service refuses was not tried: it is asked for until it is done."""
    world.power_result = Result.REFUSED
    world.hang("green4")
    world.run(300)
    assert not world.notes(NoteKind.ESCALATED)
    world.power_result = Result.SUCCEEDED
    world.run_until(lambda: bool(world.notes(NoteKind.RECOVERED)), at_most=120)


def test_refused_mild_step_leads_to_the_next(world: World) -> None:
    """An agent that refuses the mild step doesn't keep login from the drastic one."""
    world.results[Treatment.RESTART_UNIT] = Result.REFUSED
    world.nodes["pi_login"].ssh = "reset"
    world.run_until(lambda: bool(world.notes(NoteKind.RECOVERED)), at_most=300)
    assert acts(world) == [Treatment.RESTART_UNIT, CYCLE]


def test_old_trouble_downstream_proves_nothing(world: World) -> None:
    """A unit that failed on a worker last month doesn't keep login's incident open."""
    world.nodes["green7"].failed_units = ("snapd.service",)
    world.run(120)
    world.weekly_failure()
    world.run_until(lambda: bool(world.notes(NoteKind.RECOVERED)), at_most=120)
    assert "not all its dependents" not in world.notes(NoteKind.RECOVERED)[0].text
