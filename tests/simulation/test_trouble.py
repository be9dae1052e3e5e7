"""Trouble drawn from seeds: no promise breaks on the way, and everything is well in the end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.core.effects import Perform, Save
from tests.simulation.cluster_world import CLUSTER
from tests.simulation.troubled_world import CURABLE, LOGIN, LOGINS_OWN, TroubledWorld

CASES = [(LOGIN, fault) for fault in LOGINS_OWN] + [("green4", fault) for fault in CURABLE]


def live_through(seed: int) -> TroubledWorld:
    """Live through twenty minutes of trouble, every promise checked at every act."""
    world = TroubledWorld(seed)
    world.seconds(60)
    for _ in range(18):
        world.trouble()
        world.seconds(world.random.randint(5, 90))
    world.calm()
    return world


@pytest.mark.parametrize("seed", range(12))
def test_promises_hold_in_any_trouble(seed: int) -> None:
    """Whatever goes wrong, no act breaks a promise; then all is cured, or a person was called."""
    world = live_through(seed)
    world.until(lambda: not world.uncured(), at_most=3000)
    world.a_person_comes()
    healthy = f"HEALTHY {len(CLUSTER.nodes)}/{len(CLUSTER.nodes)}"
    world.until(lambda: world.medic.status(world.now).verdict == healthy, at_most=500)
    assert not world.open


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("node", "fault"), CASES)
def test_each_fault_is_cured(node: str, fault: str, seed: int) -> None:
    """With hands that work each fault is cured, by one power act at most, nobody called.

    The supervisor is killed up to three times on the way, at any instant.
    """
    world = TroubledWorld(seed)
    world.hands_work, world.loss = True, 0.1 * seed
    world.seconds(60)
    world.befall(node, fault)
    for _ in range(world.random.randint(0, 3)):
        world.seconds(world.random.randint(1, 60))
        world.crash_before = world.random.choice([Save, Perform])
    world.until(lambda: not any(world.fault_of(m) for m in world.machines.values()), at_most=900)
    world.until(lambda: not world.open, at_most=400)
    assert not world.escalated
    acts = [e.action for _, e in world.trace if isinstance(e, Perform)]
    assert {action.node for action in acts} == {node}
    assert world.boots == (fault != "agent")


def test_a_stammering_cluster_is_left_alone() -> None:
    """With a third of everything lost, agents stalling and supervisors dying, nobody is touched."""
    world = TroubledWorld(5)
    world.loss = 0.3
    for _ in range(25):
        world.random.choice([world.agents_stall, world.crash_soon, world.nap])()
        world.seconds(world.random.randint(1, 60))
    assert not [e for _, e in world.trace if isinstance(e, Perform)]
    assert not world.escalated


_TRACE = """
from tests.simulation.test_trouble import live_through
print(*live_through(3).trace, sep="\\n")
"""


def test_same_seed_same_trace_in_every_process() -> None:
    """Two processes, whose hashes differ, say the same about the same trouble, word for word."""

    def trace(hash_seed: str) -> bytes:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        root = Path(__file__).resolve().parents[2]
        command = [sys.executable, "-c", _TRACE]
        return subprocess.run(
            command, cwd=root, env=environment, capture_output=True, check=True
        ).stdout

    first = trace("1")
    assert first.count(b"\n") > 100
    assert first == trace("2")
