"""The lab with real agents and a real switch: what it does to processes, and leaves behind."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import asyncssh
import pytest

from lab.addresses import Addresses
from lab.appearance import PiState
from lab.lab import Lab
from lab.ports import Mode
from lab.rack import Rack
from lab.settings import CONFIG, LabSettings

pytestmark = pytest.mark.system
START_S = 60


def somewhere() -> Addresses:
    """A place on loopback that no other test is likely to use at the same time."""
    return Addresses(20 + secrets.randbelow(230), 20000 + secrets.randbelow(10000))


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """Five nodes are enough to show how things work; one test takes all nineteen."""
    return few(tmp_path)


def few(directory: Path) -> Path:
    """Write the real inventory with two workers only, and return where."""
    kept = [
        line
        for line in (CONFIG / "cluster.toml").read_text().splitlines()
        if not line.startswith(("green", "yellow")) or line.startswith(("green4 ", "yellow8 "))
    ]
    path = directory / "few.toml"
    path.write_text("\n".join(kept))
    return path


@pytest.fixture
async def lab(tmp_path: Path, inventory: Path) -> AsyncIterator[Lab]:
    """All agents running, no supervisor; quick to boot."""
    settings = LabSettings(tmp_path / "lab", somewhere(), inventory, boot_s=0.5, supervisor=False)
    async with Lab(settings) as running:
        await until(lambda: all_agents_run(running.rack), START_S)
        yield running


def all_agents_run(rack: Rack) -> bool:
    """Tell whether every agent has a process."""
    return all(pi.agent.pid for pi in rack.pis.values())


async def until(wanted: Callable[[], object], within_s: float = 20) -> None:
    """Wait until `wanted` is true."""
    async with asyncio.timeout(within_s):
        while not wanted():  # noqa: ASYNC110 - the world tells nobody when it changes
            await asyncio.sleep(0.02)


async def answers(lab: Lab, node: str) -> bool:
    """Tell whether a node's agent serves its page."""
    pi = lab.rack.pis[node]
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with session.get(f"http://{pi.node.ip}:{pi.node.agent_port}/healthz"):
                return True
    return False


async def until_answers(lab: Lab, node: str, *, wanted: bool = True) -> None:
    """Wait until a node's agent serves its page, or doesn't."""
    async with asyncio.timeout(30):
        while await answers(lab, node) is not wanted:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)


def group(pid: int) -> list[int]:
    """Return every living process of a group."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if os.getpgid(int(entry.name)) == pid:
                found.append(int(entry.name))
    return found


def letters(pid: int) -> set[str]:
    """Return the kernel's letters for the processes of a group: T is stopped."""
    found = set()
    for member in group(pid):
        with contextlib.suppress(OSError):
            stat = Path(f"/proc/{member}/stat").read_text()
            found.add(stat.rpartition(")")[2].split()[0])
    return found


async def test_the_switch_cuts_power_and_gives_it_back(lab: Lab) -> None:
    """`swctrl` over ssh, as the supervisor does it: the agent's group dies, and boots anew."""
    pi = lab.rack.pis["green4"]
    pid, boot_id = pi.agent.pid, pi.tree.boot_id
    assert pid
    await until_answers(lab, "green4")
    async with asyncssh.connect(
        lab.switch.host,
        lab.switch.port,
        username="admin",
        client_keys=[str(lab.directory.path / "switch_key")],
        known_hosts=str(lab.directory.path / "switch_known_hosts"),
        config=None,
        agent_path=None,
    ) as switch:
        await switch.run(f"swctrl poe restart id {pi.node.port}", check=True)
    await until(lambda: pi.state is PiState.OFF)
    assert group(pid) == []
    assert not await answers(lab, "green4")
    await until_answers(lab, "green4")
    assert pi.tree.boot_id != boot_id
    assert [(t.port, t.after) for t in lab.power_log] == [(pi.node.port, a) for a in ("off", "on")]


@pytest.mark.parametrize("inventory", [CONFIG / "cluster.toml"], ids=["all-19"])
async def test_login_down_stalls_the_netbooted_and_no_others(lab: Lab) -> None:
    """Every worker and the master say that their root is stalled, and recover with login."""
    rack = lab.rack
    await until_answers(lab, "pi_backup")
    ids = {name: (pi.agent.pid, pi.tree.boot_id) for name, pi in rack.pis.items()}
    rack.suffer("pi_login", "read-only")
    netbooted = set(rack.pis) - {"pi_login", "pi_backup"}
    for name in rack.pis:
        await until_says(lab, name, "root_stalled", "true" if name in netbooted else "false")
    assert letters(rack.pis["mlops_master"].agent.pid or 0) == {"S"}
    rack.heal("pi_login")
    for name in netbooted:
        await until_says(lab, name, "root_stalled", "false")
    assert {name: (pi.agent.pid, pi.tree.boot_id) for name, pi in rack.pis.items()} == ids


async def until_says(lab: Lab, node: str, kind: str, status: str) -> None:
    """Wait until a node's agent holds a condition to be so."""
    address = lab.rack.pis[node].node.ip
    seen: dict[str, str] = {}
    async with aiohttp.ClientSession() as session, asyncio.timeout(30):
        while seen.get(kind) != status:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"http://{address}:8801/observations") as response:
                    page = await response.json()
                    seen = {one["kind"]: one["status"] for one in page["observations"]}
            await asyncio.sleep(0.1)


async def test_the_agent_says_what_was_broken(lab: Lab) -> None:
    """A read-only disk and a failed unit reach the agent's own page."""
    for fault in (("read-only",), ("unit-failed", "nfs-server")):
        lab.rack.suffer("pi_login", *fault)
    pi = lab.rack.pis["pi_login"]
    wanted = {"root_read_only", "unit_failed"}
    async with aiohttp.ClientSession() as session, asyncio.timeout(60):
        seen: set[str] = set()
        while not wanted <= seen:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"http://{pi.node.ip}:8801/observations") as response:
                    seen = true_kinds(await response.json())
            await asyncio.sleep(0.2)


def true_kinds(page: object) -> set[str]:
    """Return the kinds of what an agent's page says is true."""
    found = set[str]()
    if isinstance(page, dict):
        if page.get("status") == "true":
            found.add(str(page.get("kind")))
        page = list(page.values())
    if isinstance(page, list):
        for part in page:
            found |= true_kinds(part)
    return found


async def test_powering_backup_off_and_on_keeps_the_others_running(lab: Lab) -> None:
    """Backup is a Pi like the others to the switch; nobody netboots from it."""
    rack = lab.rack
    others = {name: pi.agent.pid for name, pi in rack.pis.items() if name != "pi_backup"}
    rack.suffer("pi_backup", "power-loss")
    await until(lambda: rack.pis["pi_backup"].state is PiState.OFF)
    rack.heal("pi_backup")
    await until(lambda: rack.pis["pi_backup"].ssh.mode is Mode.SERVING)
    assert {name: pi.agent.pid for name, pi in rack.pis.items() if name != "pi_backup"} == others


# --- leaving nothing behind: a lab in a process of its own ------------------------------------

KEEP_UP = """
import asyncio, sys
from pathlib import Path
from lab.addresses import Addresses
from lab.lab import Lab
from lab.plainly import run
from lab.settings import LabSettings

async def main():
    place = Addresses(int(sys.argv[2]), int(sys.argv[3]))
    settings = LabSettings(Path(sys.argv[1]), place, Path(sys.argv[4]), supervisor=False)
    async with Lab(settings) as lab:
        while not all(pi.agent.pid for pi in lab.rack.pis.values()):
            await asyncio.sleep(0.05)
        lab.rack.suffer("pi_login", "hang")
        print("up", flush=True)
        await asyncio.sleep(600)
    return 0

sys.exit(run(main()))
"""


@pytest.fixture
def own_process(tmp_path: Path, inventory: Path) -> Iterator["subprocess.Popen[str]"]:
    """A lab with frozen agents, in a process of its own, under `tmp_path`/lab."""
    place = somewhere()
    where = (tmp_path / "lab", place.net, place.port, inventory)
    words = [sys.executable, "-c", KEEP_UP, *map(str, where)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        yield process
        process.kill()


def ours(directory: Path) -> list[int]:
    """Return every process that works under `directory` or carries a lab's mark."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            if str(directory).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize(
    ("signals", "code"),
    [
        ([signal.SIGINT], 130),
        ([signal.SIGINT, signal.SIGINT], 130),
        ([signal.SIGTERM], 143),
        ([signal.SIGHUP], 129),
        ([signal.SIGKILL], -9),
    ],
)
async def test_nothing_is_left_behind_however_it_ends(
    own_process: "subprocess.Popen[str]", tmp_path: Path, signals: list[int], code: int
) -> None:
    """Ctrl-C once or twice, SIGTERM, a closed terminal, even kill -9: no process, no directory."""
    directory = tmp_path / "lab"
    assert len(ours(directory)) > 5
    for number in signals:
        own_process.send_signal(number)
    assert await asyncio.to_thread(own_process.wait, 30) == code
    await until(lambda: not ours(directory) and not directory.exists(), 30)


async def test_a_second_lab_in_the_same_place_is_told_so(
    own_process: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    """One line, exit code 1, and the first lab stays as it is."""
    assert own_process.poll() is None
    done = await asyncio.to_thread(pimedic, "lab", "up", "--dir", str(tmp_path / "lab"))
    assert done.returncode == 1
    assert "a lab already runs here" in done.stderr
    assert done.stderr.count("\n") == 1
    status = await asyncio.to_thread(
        pimedic, "lab", "status", "--json", "--dir", str(tmp_path / "lab")
    )
    faults = {node["node"]: node["faults"] for node in json.loads(status.stdout)}
    assert faults["pi_login"] == ["hang"]


async def test_the_running_lab_takes_orders(
    own_process: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    """`break` and `heal` accept any spelling of a name, and refuse nonsense with exit code 2."""
    assert own_process.poll() is None
    lab = ("--dir", str(tmp_path / "lab"))
    assert "healed" in (await asyncio.to_thread(pimedic, "lab", "heal", "login", *lab)).stdout
    done = await asyncio.to_thread(pimedic, "lab", "break", "Green_4", "ssh-reset", *lab)
    assert done.stdout.startswith("green4: ssh-reset - ")
    wrong = await asyncio.to_thread(pimedic, "lab", "break", "green99", "ssh-reset", *lab)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "unknown node 'green99'" in wrong.stderr


def pimedic(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run the command line."""
    program = Path(sys.executable).with_name("pimedic")
    return subprocess.run(
        [program, *words], capture_output=True, text=True, timeout=60, check=False
    )
