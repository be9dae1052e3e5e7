"""Commands over the wire: at most once, also across restarts of the agent."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.wire import Command
from tests.integration.agent_at_work import Node, at_work
from tests.integration.agent_peer import Peer


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    """An honest supervisor."""
    peer = Peer()
    await peer.start()
    yield peer
    await peer.stop()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A healthy node."""
    return Node(tmp_path)


def _restart(command_id: str, unit: str = "ssh", deadline_s: float = 5.0) -> Command:
    return Command(
        id=command_id, treatment="restart_unit", arguments={"unit": unit}, deadline_s=deadline_s
    )


async def test_restart_is_carried_out_and_proven(peer: Peer, node: Node) -> None:
    """A failed unit is restarted once, and the result carries its new invocation."""
    node.unit("ssh.service", "failed")
    peer.commands["c1"] = _restart("c1")
    async with at_work(node.settings(peer.url)):
        await peer.until(lambda: peer.result_of("c1"))
    result = peer.result_of("c1")
    assert result.status == "succeeded"
    assert "ssh.service is active, invocation" in result.detail
    assert node.restarts() == 1


async def test_result_is_repeated_until_acknowledged(peer: Peer, node: Node) -> None:
    """A result rides on every beat until the supervisor says it has it, then on none."""
    peer.acknowledges = False
    peer.commands["c1"] = _restart("c1")
    async with at_work(node.settings(peer.url)):
        await peer.until(lambda: len(peer.results) >= 3)
        peer.acknowledges = True
        await peer.beats_more(2)
        told = len(peer.results)
        await peer.beats_more(3)
        assert len(peer.results) == told
    assert node.restarts() == 1


async def test_finished_command_never_runs_again(peer: Peer, node: Node) -> None:
    """An agent restarted within the boot repeats the old result instead of the command."""
    peer.acknowledges = False
    peer.commands["c1"] = _restart("c1")
    async with at_work(node.settings(peer.url)):
        await peer.until(lambda: peer.result_of("c1"))
    first = peer.result_of("c1")
    peer.results.clear()
    async with at_work(node.settings(peer.url)):
        await peer.until(lambda: peer.result_of("c1"))
        await peer.beats_more(3)
    assert peer.result_of("c1") == first
    assert node.restarts() == 1


async def test_interrupted_command_is_told_and_not_repeated(peer: Peer, node: Node) -> None:
    """A command cut off by the agent's end is reported as such, however often it is ordered."""
    (node.units / "slow").touch()
    peer.commands["c1"] = _restart("c1", deadline_s=8)
    async with at_work(node.settings(peer.url)):
        await peer.until(lambda: node.restarts() == 1)
    (node.units / "slow").unlink()
    async with at_work(node.settings(peer.url)):
        await peer.until(lambda: peer.result_of("c1"))
        await peer.beats_more(3)
    result = peer.result_of("c1")
    assert (result.status, result.detail) == ("failed", "interrupted by a restart of the agent")
    assert node.restarts() == 1


async def test_next_boot_is_a_new_life(peer: Peer, node: Node) -> None:
    """The same id in another boot is another command."""
    peer.commands["c1"] = _restart("c1")
    async with at_work(node.settings(peer.url)):
        await peer.until(lambda: peer.result_of("c1"))
    peer.results.clear()
    (node.procfs / "sys/kernel/random/boot_id").write_text("another-boot\n")
    async with at_work(node.settings(peer.url)):
        await peer.until(lambda: peer.result_of("c1"))
    assert node.restarts() == 2


async def test_beats_go_on_while_a_treatment_runs(peer: Peer, node: Node) -> None:
    """A slow treatment never delays the heartbeat, and ends at its deadline."""
    (node.units / "slow").touch()
    peer.commands["c1"] = _restart("c1", deadline_s=1.5)
    async with at_work(node.settings(peer.url)):
        await peer.until(lambda: node.restarts() == 1)
        await peer.beats_more(10)
        assert peer.result_of("c1") is None
        await peer.until(lambda: peer.result_of("c1"))
    assert peer.result_of("c1").status == "failed"


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (_restart("c1", unit="sshd-backdoor"), "refused"),
        (_restart("c1", unit="ssh.service --now"), "refused"),
        (_restart("c1", deadline_s=0), "expired"),
        (Command(id="c1", treatment="reboot", deadline_s=5), "refused"),
        (Command(id="c1", treatment="restart_unit", deadline_s=5), "refused"),
    ],
)
async def test_what_is_not_allowed_is_refused(
    peer: Peer, node: Node, command: Command, status: str
) -> None:
    """Unknown treatments, foreign units and late commands get their answer, and nothing runs."""
    peer.commands["c1"] = command
    async with at_work(node.settings(peer.url)):
        await peer.until(lambda: peer.result_of("c1"))
    assert peer.result_of("c1").status == status
    assert node.restarts() == 0


async def test_failed_restart_is_told_in_systemds_words(peer: Peer, node: Node) -> None:
    """The detail is what systemctl complained of."""
    (node.units / "broken").touch()
    peer.commands["c1"] = _restart("c1")
    async with at_work(node.settings(peer.url)):
        await peer.until(lambda: peer.result_of("c1"))
    result = peer.result_of("c1")
    assert result.status == "failed"
    assert "Job for ssh.service failed." in result.detail
