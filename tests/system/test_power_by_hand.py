"""`pimedic power` with a real supervisor and the lab's switch; its transition log is the judge."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest

from lab.lab import Lab
from lab.settings import LabSettings
from tests.system.by_hand import Hand, at_transition
from tests.system.test_lab import few, somewhere, until
from tests.system.test_operator import until_healthy

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]
SKIP = ("--skip-rail", "cool_down")


@pytest.fixture
async def hand(tmp_path: Path) -> AsyncIterator[Hand]:
    """Five nodes and a supervisor, all well."""
    settings = LabSettings(
        tmp_path / "lab", somewhere(), few(tmp_path), boot_s=0.5, off_s=1, stagger_s=0.5
    )
    async with Lab(settings) as lab:
        await until_healthy(lab)
        yield Hand(lab)


async def test_all_of_eighteen_nodes(tmp_path: Path) -> None:
    """`all` cycles 18 ports once each, backup never, login last, never too many or too fast."""
    stagger_s, most, boot_s = 2.0, 2, 5.0
    settings = LabSettings(
        tmp_path / "lab", somewhere(), boot_s=boot_s, off_s=1, stagger_s=stagger_s, max_booting=most
    )
    async with Lab(settings) as lab:
        await until_healthy(lab, 120)
        hand = Hand(lab)
        done = await hand.run("power", "cycle", "all", "--reason", "x", "--confirm=all", "--json")
        assert done.code == 0, done
        assert set(done.summary.values()) == {"back"}
        everybody = {node.port for node in lab.rack.cluster}
        assert hand.touched == everybody - {hand.port("pi_backup")}
        assert all(hand.powers(port) == ["off", "on"] for port in hand.touched)
        starts = [one for one in lab.power_log if one.after == "on"]
        assert all(b.at - a.at >= stagger_s for a, b in pairwise(starts))
        for start in starts:
            booting = [one for one in starts if start.at - boot_s < one.at <= start.at]
            assert len(booting) <= most
        # Login is cut only when everybody who boots from it has booted.
        cut = next(one for one in lab.power_log if one.port == hand.port("pi_login"))
        assert [one for one in starts if one.at < cut.at] == starts[:17]
        assert cut.at - starts[16].at > boot_s
        await until_healthy(lab)


async def test_interrupted_at_any_moment(hand: Hand) -> None:
    """Ctrl-C at each transition of the first three nodes: what began is finished, nothing else."""
    for number in range(1, 7):
        before = len(hand.lab.power_log)
        run = hand.start("power", "cycle", "all", "--reason", "x", "--confirm=all", "--json", *SKIP)
        async with at_transition(hand.lab, number, None, lambda: run.signal(signal.SIGINT)) as wire:  # noqa: B023 - used within the turn
            done = await run.ended
        assert wire["done"], done
        assert done.code == 130, done
        assert hand.all_on()
        moved = hand.lab.power_log[before:]
        stages = done.summary
        for node, stage in stages.items():
            seen = [one.after for one in moved if one.port == hand.port(node)]
            assert seen == ([] if stage == "not started" else ["off", "on"]), (node, stage)
        assert "not started" in stages.values()
        await until_healthy(hand.lab)


async def test_killed_or_hung_up_on(hand: Hand) -> None:
    """A command that dies, or whose terminal goes, starts nothing more and leaves no port off."""
    for number in (signal.SIGKILL, signal.SIGHUP, signal.SIGTERM):
        before = len(hand.lab.power_log)
        run = hand.start("power", "cycle", "all", "--reason", "x", "--confirm=all", *SKIP)
        async with at_transition(hand.lab, 1, None, lambda: run.signal(number)):  # noqa: B023 - used within the turn
            await run.ended
        await hand.no_port_off()
        await until_healthy(hand.lab)
        moved = hand.lab.power_log[before:]
        assert [one.after for one in moved] == ["off", "on"]
        assert len({one.port for one in moved}) == 1


async def test_words_and_refusals(hand: Hand) -> None:
    """Wrong words, missing confirmation, rails and tokens each have their exit code and line."""
    cases = [
        (2, "did you mean green4", ("cycle", "gren4", "--reason", "x", "--yes")),
        (2, "--confirm=pi_login", ("cycle", "login", "--reason", "x", "--yes")),
        (2, "--confirm=all", ("cycle", "all", "--reason", "x", "--yes")),
        (2, "--yes", ("cycle", "green", "--reason", "x")),
        (2, "reason", ("cycle", "green4", "--yes")),
        (2, "expected a duration", ("off", "green4", "--reason", "x", "--for", "soon", "--yes")),
        (4, "token", ("cycle", "green4", "--reason", "x", "--yes", "--token-file", "/nowhere")),
        (5, "protected", ("cycle", "backup", "--reason", "x", "--confirm=backup")),
    ]
    for code, said, words in cases:
        done = await hand.run("power", *words)
        assert done.code == code, done
        assert said in done.out + done.err, done
        assert "Traceback" not in done.err
    dry = await hand.run("power", "cycle", "all", "--reason", "x", "--dry-run")
    assert dry.code == 0
    assert "pi_login" in dry.out.splitlines()[-2]
    assert "takes down with it 3 nodes: mlops_master green4 yellow8" in dry.out
    assert hand.touched == set()


async def test_old_names_and_the_old_script(hand: Hand) -> None:
    """`power_cycle.sh` takes what it took, and says what it does instead."""
    done = await hand.run("power_cycle.sh", "yellow8", "--config", str(hand.config))
    assert done.code == 0, done
    assert "pimedic power cycle yellow8" in done.err
    alias = await hand.run("pimedic", "power-cycle", "green_4", "--reason", "x", "--yes")
    assert alias.code == 0, alias
    assert hand.touched == {hand.port("yellow8"), hand.port("green4")}
    refused = await hand.run("power_cycle.sh", "login")
    assert refused.code == 2
    assert "--confirm=pi_login" in refused.err


async def test_off_has_an_owner_and_an_end(hand: Hand) -> None:
    """Off for a while is shown with who, why and how long, over a restart, and ends by itself."""
    port = hand.port("green4")
    done = await hand.run("power", "off", "green4", "--reason", "new card", "--for", "8s", "--yes")
    assert done.code == 0, done
    assert hand.powers(port) == ["off"]
    service = hand.lab.supervisor
    assert service
    service.kill()
    await until(lambda: service.pid)
    seen = await until_answered(hand, "status", "green4")
    assert "switched off by lab" in seen
    assert "new card" in seen
    await until(lambda: hand.powers(port) == ["off", "on"], 60)
    await until_healthy(hand.lab)
    assert "switched off" not in (await hand.run("power", "status", "green4")).out


async def test_on_by_hand(hand: Hand) -> None:
    """Off for ever stays off, a cycle of it is refused, and `on` brings it back."""
    port = hand.port("green4")
    off = ("power", "off", "green4", "--reason", "x", "--for", "forever", "--yes")
    assert (await hand.run(*off)).code == 0
    refused = await hand.run("power", "cycle", "green4", "--reason", "x", "--yes", *SKIP)
    assert refused.code == 5
    assert "takes an `on` by hand" in refused.out
    shown = json.loads((await hand.run("power", "status", "green4", "--json")).out)["ports"][0]
    assert (shown["power"], shown["off"]["author"]) == ("disabled", "lab")
    on = await hand.run("power", "on", "green4", "--json")
    assert (on.code, on.summary) == (0, {"green4": "back"})
    assert hand.powers(port) == ["off", "on"]


async def test_two_people_at_once(hand: Hand) -> None:
    """Two who start nodes at the same time keep the distance: the supervisor sees to it."""
    nodes = ("green4", "yellow8")
    runs = [hand.start("power", "cycle", node, "--reason", "x", "--yes") for node in nodes]
    done = [await run.ended for run in runs]
    assert [one.code for one in done] == [0, 0], done
    first, second = (one.at for one in hand.lab.power_log if one.after == "on")
    assert second - first >= hand.lab.settings.stagger_s


async def until_answered(hand: Hand, *words: str) -> str:
    """Ask `pimedic power` until the supervisor answers again."""
    async with asyncio.timeout(60):
        while (done := await hand.run("power", *words)).code:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.1)
    return done.out


async def test_validate(hand: Hand) -> None:
    """The survey is told as rows and as JSON, beside a running supervisor; a bad one exits 1."""
    good = await hand.run("power", "validate", "--exercise", "1")
    assert good.code == 0, good
    assert good.out.splitlines()[-1] == "usable"
    assert "seen off, then on" in good.out
    as_json = await hand.run("power", "validate", "--json")
    assert json.loads(as_json.out)["usable"] is True
    hosts = hand.lab.directory.path / "switch_known_hosts"
    hosts.write_text(hosts.with_name("nodes_known_hosts").read_text())
    bad = await hand.run("power", "validate")
    assert (bad.code, "NOT usable" in bad.out) == (1, True), bad
    assert hand.touched == set()
