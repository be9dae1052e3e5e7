"""A person at the command line, with a real supervisor, switch and agents: look, hold, act."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from lab.lab import Lab
from lab.settings import CONFIG, LabSettings
from lab.switch.ports import Transition
from tests.system.test_lab import few, somewhere

pytestmark = pytest.mark.system
BIN = Path(sys.executable).parent


async def run(*words: str | Path, lab: Lab | None = None) -> subprocess.CompletedProcess[str]:
    """Run one of our programs to its end."""
    program, *arguments = words
    options = ["--supervisor", lab.url] if lab else []
    return await asyncio.to_thread(
        subprocess.run,
        [BIN / str(program), *arguments, *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def act(lab: Lab, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `pimedic` with the lab's token."""
    token = ["--token-file", str(lab.directory.path / "token")]
    return await run("pimedic", *words, *token, lab=lab)


async def status(lab: Lab) -> dict[str, object]:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
        session.get(f"{lab.url}/status?format=json") as response,
    ):
        picture: dict[str, object] = await response.json()
        return picture


async def until_healthy(lab: Lab, within_s: float = 90) -> None:
    """Wait until the supervisor answers and finds everything well."""
    async with asyncio.timeout(within_s):
        while True:
            try:
                if (await status(lab))["healthy"]:
                    return
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(0.1)


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """Five nodes and a supervisor, all well."""
    settings = LabSettings(tmp_path / "lab", somewhere(), few(tmp_path), boot_s=0.5, off_s=1)
    async with Lab(settings) as running:
        await until_healthy(running)
        yield running


async def test_a_shift_at_the_command_line(lab: Lab) -> None:
    """Status, pause, resume, a cycle by hand: each does what it says, and says what it did."""
    seen = await run("pimedic", "status", lab=lab)
    assert (seen.returncode, seen.stdout.splitlines()[0]) == (0, "HEALTHY 5/5")

    refused = await run("pimedic", "pause", "--reason", "x", "--token-file", "/nowhere", lab=lab)
    assert refused.returncode == 4
    assert "acting needs a token" in refused.stderr

    paused = await act(lab, "pause", "--reason", "moving the rack", "--for", "2h")
    assert paused.returncode == 0
    shown = (await run("pimedic", "status", lab=lab)).stdout
    assert "PAUSED" in shown
    assert "moving the rack" in shown
    resumed = await act(lab, "resume")
    assert resumed.returncode == 0
    assert (await status(lab))["overrides"] == []

    cycled = await act(lab, "power-cycle", "green_4", "--reason", "trying", "--yes")
    assert (cycled.returncode, cycled.stderr) == (0, "")
    again = await act(lab, "power-cycle", "green4", "--reason", "again", "--yes")
    assert again.returncode == 5
    assert "cool_down" in again.stdout
    await power(lab, 40, ["off", "on"])
    await until_healthy(lab)

    login = await act(lab, "power-cycle", "login", "--reason", "x", "--yes")
    assert login.returncode == 2
    assert "--confirm=pi_login" in login.stderr
    backup = await act(lab, "power-cycle", "backup", "--reason", "x", "--confirm", "pi_backup")
    assert backup.returncode == 5
    assert "protected" in backup.stdout
    assert {one.port for one in lab.power_log} == {40}


async def power(lab: Lab, port: int, wanted: list[str]) -> None:
    """Wait until the switch's own log shows just these power transitions of a port."""
    async with asyncio.timeout(60):
        while [one.after for one in lab.power_log if one.port == port] != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


class Tripwire(list[Transition]):
    """The switch's transition log, telling of each new entry the moment it is made."""

    def __init__(self, log: list[Transition]) -> None:
        super().__init__(log)
        self.on_entry = lambda _number, _entry: None
        self.count = 0

    def append(self, entry: Transition) -> None:
        super().append(entry)
        self.count += 1
        self.on_entry(self.count, entry)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("atomic", [True, False], ids=["restart", "off-sleep-on"])
async def test_killed_at_every_transition_of_the_switch(tmp_path: Path, *, atomic: bool) -> None:
    """Whenever the switch changes a port during a cycle, the supervisor is killed -9 right then.

    First a cycle that nobody disturbs tells how many transitions there are; then each of them,
    on a node of its own, is the moment of death. The port is on again within 60 s of the
    successor's start, no other port moved, and the journal tells the story.
    """
    settings = LabSettings(tmp_path / "lab", somewhere(), boot_s=0.5, off_s=1)
    async with Lab(settings) as lab:
        await until_healthy(lab, 120)
        if not atomic:
            await reconfigure(lab, "[switch]\n", "[switch]\natomic = false\n")
        wire = lab.switch.ports.log = Tripwire(lab.switch.ports.log)
        transitions = await undisturbed(lab, wire, "yellow1")
        assert transitions >= 2
        victims = [f"green{number}" for number in range(1, transitions + 1)]
        for number, node in enumerate(victims, 1):
            await killed_at(lab, wire, number, node)
        for node in victims:
            await told(lab, node)
        await until_healthy(lab)


async def undisturbed(lab: Lab, wire: Tripwire, node: str) -> int:
    """Cycle a node in peace; return how many transitions the switch made."""
    before = wire.count
    port = lab.rack.cluster.nodes[node].port
    assert (await act(lab, "power-cycle", node, "--reason", "peace", "--yes")).returncode == 0
    await power(lab, port, ["off", "on"])
    await until_healthy(lab)
    return wire.count - before


async def killed_at(lab: Lab, wire: Tripwire, number: int, node: str) -> None:
    """Cycle a node, kill the supervisor at the `number`th transition, and see what becomes."""
    port, start = lab.rack.cluster.nodes[node].port, wire.count
    others = [one for one in lab.power_log if one.port != port]
    service = lab.supervisor
    assert service

    def trip(count: int, _entry: Transition) -> None:
        if count == start + number:
            service.kill()
            asyncio.get_running_loop().call_later(0.2, service.start)

    wire.on_entry = trip
    assert (await act(lab, "power-cycle", node, "--reason", "doom", "--yes")).returncode == 0
    async with asyncio.timeout(60):
        while not (wire.count >= start + number and is_on(lab, port)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await until_healthy(lab, 60)
    assert [one for one in lab.power_log if one.port != port] == others
    assert [one.after for one in lab.power_log if one.port == port] == ["off", "on"]


def is_on(lab: Lab, port: int) -> bool:
    """Tell whether the switch powers a port and means to go on."""
    return lab.switch.ports[port].powered and lab.switch.ports[port].admin == "auto"


async def told(lab: Lab, node: str) -> None:
    """Wait until the timeline says what became of the cut-short cycle.

    That takes as long as the switch might still act late on what it was told.
    """
    async with (
        asyncio.timeout(60),
        aiohttp.ClientSession() as session,
        session.get(f"{lab.url}/v1/events?since=0") as stream,
    ):
        async for line in stream.content:
            if line.startswith(b"data:"):
                entry = json.loads(line[5:])
                if entry["kind"] == "power" and entry["node"] == node:
                    return


async def reconfigure(lab: Lab, old: str, new: str) -> None:
    """Change the supervisor's settings and restart it."""
    path = lab.directory.path / "pimedic.toml"
    path.write_text(path.read_text().replace(old, new))
    service = lab.supervisor
    assert service
    service.kill()
    service.start()
    await until_healthy(lab)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("port = 36", "prot = 36"),
        ("port = 36", "port = 34"),
        ("e4:5f:01:f6:08:02", "e4:5f:01:f6:08"),
        ("[roles.login]\n", '[roles.login]\ndepends_on = { netboot = "mlops_master" }\n'),
    ],
    ids=["unknown-key", "duplicate-port", "bad-mac", "cycle"],
)
async def test_malformed_inventory(tmp_path: Path, right: str, wrong: str) -> None:
    """Every program that reads the inventory exits 2 with file and line, and no traceback."""
    shutil.copytree(CONFIG, tmp_path / "config")
    path = tmp_path / "config" / "cluster.toml"
    path.write_text(path.read_text().replace(right, wrong, 1))
    checks = [
        ("pimedic", "config", "check", path),
        ("pimedic-supervisor", "--config", tmp_path / "config" / "pimedic.toml", "--check"),
        ("pimedic-supervisor", "--config", tmp_path / "config" / "pimedic.toml"),
    ]
    for words in checks:
        done = await run(*words)
        assert done.returncode == 2, done
        assert re.search(rf"{re.escape(str(path))}:\d+: ", done.stderr), done.stderr
        assert "Traceback" not in done.stderr
