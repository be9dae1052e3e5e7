"""`make demo`: the weekly failure, cured by the real supervisor, told and proven."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system
PIMEDIC = Path(sys.executable).with_name("pimedic")


def place(directory: Path) -> list[str]:
    """Return options for a lab that no other test is likely to meet."""
    net, port = 20 + secrets.randbelow(230), 20000 + secrets.randbelow(10000)
    return ["--net", str(net), "--port", str(port), "--dir", str(directory / "lab")]


def left_behind(directory: Path) -> list[str]:
    """Return the command lines of processes that work under `directory`, and itself if there."""
    found = [str(directory / "lab")] if (directory / "lab").exists() else []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                words = (entry / "cmdline").read_bytes().decode(errors="replace")
                found += [words] if str(directory) in words else []
    return found


async def until_clear(directory: Path) -> None:
    """Wait until nothing is left behind."""
    async with asyncio.timeout(30):
        while left_behind(directory):  # noqa: ASYNC110 - processes tell nobody that they end
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("agents", [[], ["--frozen-agents"]], ids=["in-memory", "frozen"])
async def test_the_weekly_failure_is_cured_by_one_power_cycle_of_login(
    tmp_path: Path, agents: list[str]
) -> None:
    """One incident, recovered; port 15 cycled once, by the switch's own log; nothing left.

    Whether the dependents' agents say that their root stalls, or freeze with it.
    """
    words = ["lab", "demo", "--exit-when-healed", "--json", *agents, *place(tmp_path)]
    done = await asyncio.to_thread(
        subprocess.run, [PIMEDIC, *words], capture_output=True, text=True, timeout=110, check=False
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    summary = lines[-1]
    assert (done.returncode, done.stderr) == (0, "")
    assert (summary["kind"], summary["recovered"]) == ("summary", True)
    assert [(one["node"], one["outcome"]) for one in summary["incidents"]] == [
        ("pi_login", "recovered")
    ]
    [cycle] = summary["power_cycles"]
    assert (cycle["port"], cycle["node"]) == (15, "pi_login")
    assert cycle["off_at"] < cycle["on_at"]
    kinds = [line["kind"] for line in lines]
    story = ("incident_opened", "explained", "action_started", "verifying", "recovered")
    assert [kinds.index(kind) for kind in story] == sorted(kinds.index(kind) for kind in story)
    assert all({"at", "kind", "node", "text"} <= line.keys() for line in lines[:-1])
    await until_clear(tmp_path)


@pytest.mark.parametrize("signals", [[signal.SIGINT] * 2, [signal.SIGKILL]], ids=["ctrl-c", "-9"])
async def test_it_stays_up_until_it_is_told_to_end(
    tmp_path: Path, signals: list[signal.Signals]
) -> None:
    """With nothing broken it says where to look and waits; ended, it leaves nothing behind."""
    words = [PIMEDIC, "lab", "demo", "--scenario", "none", *place(tmp_path)]
    process = await asyncio.create_subprocess_exec(*words, stdout=subprocess.PIPE)
    assert process.stdout
    seen = ""
    async with asyncio.timeout(90):
        while "stays up" not in seen:
            line = await process.stdout.readline()
            assert line, seen
            seen += line.decode()
    assert "all 19 nodes healthy" in seen
    assert "curl localhost:" in seen
    for number in signals:
        process.send_signal(number)
    await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == (130 if signal.SIGINT in signals else -9)
    await until_clear(tmp_path)


async def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    """Somebody else on the supervisor's port: exit code 1, the port named, nothing left."""
    options = place(tmp_path)
    with socket.create_server(("127.0.0.1", int(options[3]))):
        done = await asyncio.to_thread(
            subprocess.run,
            [PIMEDIC, "lab", "demo", *options],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"Address already in use: 127.0.0.1:{options[3]}; choose another --port" in done.stderr
    await until_clear(tmp_path)
