"""`pimedic power` while the supervisor is down: the same safety, and never beside it."""

import os
import signal
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lab.lab import Lab
from lab.settings import LabSettings
from tests.system.by_hand import Hand, at_transition, supervisor_down, supervisor_up
from tests.system.test_lab import few, somewhere, until
from tests.system.test_operator import told, until_healthy

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]
CYCLE = ("power", "cycle", "green4", "yellow8", "--reason", "x", "--yes")


@pytest.fixture
async def hand(tmp_path: Path) -> AsyncIterator[Hand]:
    """Five nodes, all well, and a supervisor that stays down once it is."""
    settings = LabSettings(
        tmp_path / "lab",
        somewhere(),
        few(tmp_path),
        boot_s=0.5,
        off_s=1,
        stagger_s=0.5,
        restart_supervisor=False,
    )
    async with Lab(settings) as lab:
        await until_healthy(lab)
        yield Hand(lab)


async def test_in_the_supervisors_place(hand: Hand) -> None:
    """Two nodes are cycled and seen back; the supervisor then knows of it, cool-down and all."""
    hand.config.write_text(hand.config.read_text().replace("cool_down_s = 20", "cool_down_s = 999"))
    await supervisor_down(hand.lab)
    done = await hand.run(*CYCLE, "--json")
    assert done.code == 0, done
    assert "directly at the switch" in done.out
    assert done.summary == {"green4": "back", "yellow8": "back"}
    assert hand.touched == {hand.port("green4"), hand.port("yellow8")}
    assert all(hand.powers(port) == ["off", "on"] for port in hand.touched)
    await supervisor_up(hand.lab)
    refused = await hand.run(*CYCLE)
    assert refused.code == 5
    assert "cool_down" in refused.out


async def test_rails_hold_here_too(hand: Hand) -> None:
    """Protected ports and the cool-down are refused; what depends on a node is named."""
    await supervisor_down(hand.lab)
    backup = await hand.run("power", "cycle", "backup", "--reason", "x", "--confirm=backup")
    assert (backup.code, hand.touched) == (5, set())
    assert "protected" in backup.out
    once = await hand.run("power", "cycle", "green4", "--reason", "x", "--yes")
    twice = await hand.run("power", "cycle", "green4", "--reason", "x", "--yes")
    assert (once.code, twice.code) == (0, 5), (once, twice)
    assert hand.powers(hand.port("green4")) == ["off", "on"]


async def test_never_beside_a_supervisor(hand: Hand) -> None:
    """One that is frozen holds the journal: refused, with its number and what to do."""
    service = hand.lab.supervisor
    assert service
    service.freeze()
    try:
        done = await hand.run(*CYCLE)
    finally:
        service.thaw()
    assert done.code == 1
    assert f"process {service.pid}" in done.err
    assert "systemctl stop" in done.err
    assert hand.touched == set()


async def test_no_supervisor_beside_it(hand: Hand) -> None:
    """While a direct run acts, a supervisor that is started goes away again with a clear word."""
    await supervisor_down(hand.lab)
    service = hand.lab.supervisor
    assert service
    run = hand.start(*CYCLE)
    async with at_transition(hand.lab, 1, None, service.start):
        done = await run.ended
    assert done.code == 0, done
    await until(lambda: service.pid is None)
    assert "in use by another" in service.last_words(20)


async def test_only_with_the_credentials(hand: Hand) -> None:
    """Without the settings or the switch's key there is no direct way, and one line says so."""
    await supervisor_down(hand.lab)
    nowhere = await hand.run("pimedic", "power", "status", "--config", "/nowhere/pimedic.toml")
    assert (nowhere.code, "/nowhere/pimedic.toml can't be read" in nowhere.err) == (1, True)
    hand.lab.directory.path.joinpath("switch_key").unlink()
    keyless = await hand.run(*CYCLE)
    assert (keyless.code, "switch_key can't be read" in keyless.err) == (1, True)
    away = await hand.run("power", "status", "--supervisor", "http://192.0.2.1:8800")
    assert away.code == 1
    assert "only on that machine" in away.err
    assert hand.touched == set()


async def test_interrupted_directly(hand: Hand) -> None:
    """Ctrl-C at each transition of the first node: it is finished, the next is not begun."""
    await supervisor_down(hand.lab)
    for number in (1, 2):
        before = len(hand.lab.power_log)
        run = hand.start(*CYCLE, "--json", "--skip-rail", "cool_down")
        async with at_transition(hand.lab, number, None, lambda: run.signal(signal.SIGINT)) as wire:  # noqa: B023 - used within the turn
            done = await run.ended
        assert wire["done"]
        assert done.code == 130, done
        assert done.summary["yellow8"] == "not started"
        assert hand.all_on()
        moved = hand.lab.power_log[before:]
        assert [(one.port, one.after) for one in moved] == [(40, "off"), (40, "on")]


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("successor", ["supervisor", "direct"])
async def test_killed_directly(hand: Hand, number: int, successor: str) -> None:
    """Killed at each transition: whoever comes next finishes it, and the timeline tells."""
    await supervisor_down(hand.lab)
    run = hand.start("power", "cycle", "green4", "--reason", "doom", "--yes")
    async with at_transition(hand.lab, number, None, lambda: run.signal(signal.SIGKILL)) as wire:
        assert (await run.ended).code == -signal.SIGKILL
    assert wire["done"]
    if successor == "direct":
        assert (await hand.run("power", "status")).code == 0
    await hand.no_port_off()
    await supervisor_up(hand.lab)
    await told(hand.lab, "green4")
    assert hand.powers(40) == ["off", "on"]
    assert hand.touched == {40}


async def test_off_directly_has_its_end(hand: Hand) -> None:
    """A port switched off directly is switched on by the next supervisor, in its time."""
    await supervisor_down(hand.lab)
    off = ("power", "off", "green4", "--reason", "new card", "--for", "5s", "--yes")
    done = await hand.run(*off)
    assert done.code == 0, done
    assert hand.powers(40) == ["off"]
    await supervisor_up(hand.lab)
    await until(lambda: hand.powers(40) == ["off", "on"], 60)


@pytest.mark.root
async def test_files_stay_the_daemons(hand: Hand) -> None:
    """Root at the keyboard leaves nothing in the state directory that its owner can't open."""
    if os.geteuid() != 0:
        pytest.skip("not root: nobody else's directory to act in")
    await supervisor_down(hand.lab)
    state = hand.lab.directory.path / "state"
    for file in state.iterdir():
        file.unlink()
    os.chown(state, 12345, 12345)
    assert (await hand.run("power", "cycle", "green4", "--reason", "x", "--yes")).code == 0
    left = list(state.iterdir())
    assert left
    assert {file.stat().st_uid for file in left} == {12345}
    assert not [file for file in left if stat.S_IMODE(file.stat().st_mode) & 0o077]
