"""The `fence` driver: with `fence_dummy` of the real fence-agents, and with agents from hell.

The oracle is the file in which the agent keeps its outlet, and the process table.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.actuators.power import fence_agent
from supervisor.actuators.power.driver import (
    CycleOutcome,
    Phase,
    PowerDriver,
    PowerError,
    Stage,
)
from supervisor.actuators.power.fence import FenceDriver, FenceSettings
from supervisor.actuators.power.findings import Mark

DUMMY = shutil.which("fence_dummy", path=f"{os.environ['PATH']}:/usr/sbin")
needs_dummy = pytest.mark.skipif(DUMMY is None, reason="needs Debian's fence-agents")
PORT, OTHER = 15, 33


@pytest.fixture
def dummy(tmp_path: Path) -> FenceSettings:
    """Return settings for fence_dummy, with an outlet a file, both on."""
    for port in (PORT, OTHER):
        (tmp_path / f"outlet-{port}").write_text("on")
    return FenceSettings(
        agent=Path(DUMMY or ""),
        ports=(PORT, OTHER),
        options={"status_file": f"{tmp_path}/outlet-{{port}}"},
        poll_s=0.05,
        parallel=2,
    )


def _is_the_protocol(driver: FenceDriver) -> PowerDriver:
    return driver


@needs_dummy
async def test_a_real_agent_tells_each_outlet(dummy: FenceSettings, tmp_path: Path) -> None:
    """Status 0 is on, 2 is off; of watts and of power that flows it says nothing."""
    (tmp_path / f"outlet-{OTHER}").write_text("off")
    states = await _is_the_protocol(FenceDriver(dummy)).status()
    assert {port: state.admin for port, state in states.items()} == {PORT: "auto", OTHER: "off"}
    assert (states[PORT].delivering, states[PORT].watts) == (None, None)


@needs_dummy
async def test_a_real_agent_switches_one_outlet(dummy: FenceSettings, tmp_path: Path) -> None:
    """Off, on and a cycle are confirmed by status, and the other outlet stays as it was."""
    driver, outlet = FenceDriver(dummy), tmp_path / f"outlet-{PORT}"
    await driver.off(PORT, op_id="a")
    assert outlet.read_text() == "off"
    await driver.on(PORT, op_id="b")
    assert outlet.read_text() == "on"
    result = await driver.cycle(PORT, off_s=0.1, op_id="c")
    assert result.outcome is CycleOutcome.VERIFIED, result.detail
    assert [state.admin for state in result.seen] == ["auto", "off", "auto"]
    assert outlet.read_text() == "on"
    assert (tmp_path / f"outlet-{OTHER}").read_text() == "on"


@needs_dummy
async def test_a_real_agents_metadata_is_understood(dummy: FenceSettings) -> None:
    """fence_dummy offers what is needed."""
    (finding,) = await FenceDriver(dummy).findings()
    assert finding.mark is Mark.GOOD, finding.text


@needs_dummy
async def test_a_real_agent_that_fails_is_quoted(dummy: FenceSettings) -> None:
    """fence_dummy's own way to fail: `off` without effect. Unknown, and no state is claimed."""
    failing = FenceDriver(
        replace(dummy, options={"type": "fail", "power_timeout": "1"}, confirm_s=0.0)
    )
    with pytest.raises(PowerError) as caught:
        await failing.off(PORT, op_id="a")
    assert caught.value.phase is Phase.UNKNOWN
    assert "fence_dummy" in str(caught.value)


# Agents of our own, which keep their outlet in a file, write down what they are told, and misbehave

AGENT = """#!{python}
import os, signal, subprocess, sys, time
FOLDER = {folder!r}
given = dict(line.rstrip("\\n").split("=", 1) for line in sys.stdin)
with open(FOLDER + "/told", "a") as told:
    told.write(repr((sys.argv[1:], given)) + "\\n")
def outlet():
    return open(FOLDER + "/outlet").read()
def put(state):
    open(FOLDER + "/outlet", "w").write(state)
def status():
    print("Status:", outlet().upper())
    sys.exit(0 if outlet() == "on" else 2)
action = given["action"]
{body}
if action == "status":
    status()
if action in ("on", "off"):
    put(action)
    print("Success")
"""


@pytest.fixture
def hostile(tmp_path: Path) -> Callable[..., FenceSettings]:
    """Return a maker of agents: `body` runs before the usual behaviour."""

    def make(body: str = "", **changes: object) -> FenceSettings:
        agent = tmp_path / "fence_hostile"
        text = AGENT.format(python=sys.executable, folder=str(tmp_path), body=body)
        agent.write_text(text)
        agent.chmod(0o755)
        (tmp_path / "outlet").write_text("on")
        settings = FenceSettings(agent=agent, ports=(PORT,), poll_s=0.05, confirm_s=0.0)
        return replace(settings, **changes)  # type: ignore[arg-type]  # the caller's fields

    return make


def _told(tmp_path: Path) -> list[tuple[list[str], dict[str, str]]]:
    return [eval(line) for line in (tmp_path / "told").read_text().splitlines()]  # noqa: S307 -- repr of our own


async def _gone(pid: int) -> None:
    async with asyncio.timeout(5):
        while Path(f"/proc/{pid}/stat").exists():  # noqa: ASYNC240 -- the kernel's, not a disk's
            if Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] == "Z":  # noqa: ASYNC240
                return
            await asyncio.sleep(0.01)


async def test_every_run_says_its_action_and_none_reboots(
    hostile: Callable[..., FenceSettings], tmp_path: Path
) -> None:
    """Off, status 2, on, status 0, all on stdin; nothing on the command line."""
    (tmp_path / "login").write_text("username=apc\npassword=s3cret=with=equals\n")
    (tmp_path / "login").chmod(0o600)
    driver = FenceDriver(
        hostile(credentials=tmp_path / "login", plug="outlet{port}", options={"ip": "192.0.2.1"})
    )
    result = await driver.cycle(PORT, off_s=0.05, op_id="a")
    assert result.outcome is CycleOutcome.VERIFIED, result.detail
    told = _told(tmp_path)
    assert [given["action"] for _, given in told] == ["status", "off", "status", "on", "status"]
    for arguments, given in told:
        assert arguments == []
        assert (given["plug"], given["ip"]) == (f"outlet{PORT}", "192.0.2.1")
        assert given["password"] == "s3cret=with=equals"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("sys.exit(1)", "exit status 1"),
        ("sys.exit(7)", "exit status 7"),
        ("print('usage: fence [-h]', file=sys.stderr); sys.exit(2)", "exit status 2"),
        ("os.kill(os.getpid(), 9)", "exit status -9"),
        ("sys.stdout.buffer.write(bytes(range(256)) * 9); sys.exit(3)", "exit status 3"),
        ("print('Unable to connect/login to fencing device'); sys.exit(1)", "Unable to connect"),
    ],
)
async def test_a_status_that_says_nothing_is_no_state(
    hostile: Callable[..., FenceSettings], body: str, why: str
) -> None:
    """Neither on nor off is read into a failure, or into a usage error's status 2."""
    with pytest.raises(PowerError, match=why) as caught:
        await FenceDriver(hostile(body)).status()
    assert caught.value.phase is Phase.NOT_SENT


async def test_a_yes_without_effect_is_never_believed(
    hostile: Callable[..., FenceSettings],
) -> None:
    """The agent exits with 0 and the outlet stays on: unknown; then it is ordered on again."""
    driver = FenceDriver(hostile("if action == 'off': sys.exit(0)"))
    with pytest.raises(PowerError, match="says done, but port 15 shows") as caught:
        await driver.off(PORT, op_id="a")
    assert caught.value.phase is Phase.UNKNOWN
    result = await driver.cycle(PORT, off_s=0.05, op_id="b")
    assert result.outcome is CycleOutcome.UNKNOWN


async def test_a_failure_with_effect_is_found_by_looking(
    hostile: Callable[..., FenceSettings], tmp_path: Path
) -> None:
    """An agent that switches and then fails has switched."""
    driver = FenceDriver(hostile("if action == 'off': put('off'); sys.exit(1)"))
    await driver.off(PORT, op_id="a")
    assert (tmp_path / "outlet").read_text() == "off"


HANGS = {
    "hangs": "time.sleep(60)",
    "ignores SIGTERM": "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)",
    "stops itself": "os.kill(os.getpid(), signal.SIGSTOP)",
}


@pytest.mark.parametrize("name", HANGS)
async def test_a_hanging_agent_is_killed_at_its_deadline(
    hostile: Callable[..., FenceSettings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """Whatever it does, it is gone; an `off` of unknown fate is unknown."""
    monkeypatch.setattr(fence_agent, "_GRACE_S", 0.2)
    body = f"open(FOLDER + '/pid', 'w').write(str(os.getpid()))\n{HANGS[name]}"
    driver = FenceDriver(hostile(body, switch_s=0.5, status_s=0.5))
    with pytest.raises(PowerError) as caught:
        await driver.off(PORT, op_id="a")
    assert caught.value.phase is Phase.UNKNOWN
    with pytest.raises(PowerError, match="not done in") as caught:
        await driver.status()
    assert caught.value.phase is Phase.NOT_SENT
    await _gone(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("ends", [True, False])
async def test_grandchildren_do_not_outlive_the_run(
    hostile: Callable[..., FenceSettings], tmp_path: Path, *, ends: bool
) -> None:
    """An agent's own children are in its group, and end with it, also if it ends well."""
    spawn = "child = subprocess.Popen(['sleep', '60'])\n"
    note = "open(FOLDER + '/child', 'w').write(str(child.pid))\n"
    driver = FenceDriver(hostile(spawn + note + ("" if ends else "time.sleep(60)"), status_s=0.5))
    with suppress(PowerError):
        assert (await driver.status())[PORT].admin == "auto"
        assert ends
    await _gone(int((tmp_path / "child").read_text()))


async def test_a_grandchild_that_leaves_the_group_keeps_nobody_waiting(
    hostile: Callable[..., FenceSettings], tmp_path: Path
) -> None:
    """It holds the pipe open in a session of its own, where no kill of ours reaches."""
    driver = FenceDriver(
        hostile(
            "child = subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
            "open(FOLDER + '/child', 'w').write(str(child.pid))"
        )
    )
    async with asyncio.timeout(10):
        assert (await driver.status())[PORT].admin == "auto"
    os.kill(int((tmp_path / "child").read_text()), 9)


async def test_a_flood_of_output_costs_bounded_memory(
    hostile: Callable[..., FenceSettings],
) -> None:
    """All of it is read, so that the agent can end, and only the beginning is kept."""
    body = "for _ in range(400): sys.stdout.write('x' * 100_000)\nsys.exit(1)"
    settings = hostile(body, status_s=30.0)
    ended = await fence_agent.run(settings.agent, {"action": "status"}, 30.0, lost=Phase.NOT_SENT)
    assert ended.status == 1
    assert len(ended.text) == 64 * 1024
    with pytest.raises(PowerError) as caught:
        await FenceDriver(settings).status()
    assert len(str(caught.value)) < 400


async def test_an_agent_that_reads_nothing_is_no_obstacle(
    hostile: Callable[..., FenceSettings], tmp_path: Path
) -> None:
    """It closes its stdin before we wrote: its answer counts all the same."""
    settings = hostile()
    settings.agent.write_text("#!/bin/sh\nexec <&-\necho Status: ON\nexit 0\n")
    many = {f"option{number}": "x" * 1000 for number in range(500)}
    driver = FenceDriver(replace(settings, options=many))
    assert (await driver.status())[PORT].admin == "auto"
    assert not (tmp_path / "told").exists()


async def test_a_cancelled_look_leaves_no_process(
    hostile: Callable[..., FenceSettings], tmp_path: Path
) -> None:
    """Whoever gives up waiting leaves nothing behind."""
    body = "open(FOLDER + '/pid', 'w').write(str(os.getpid())); time.sleep(60)"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await FenceDriver(hostile(body)).status()
    await _gone(int((tmp_path / "pid").read_text()))


async def test_secrets_stay_out_of_messages(
    hostile: Callable[..., FenceSettings], tmp_path: Path
) -> None:
    """An agent that repeats its password is quoted without it."""
    (tmp_path / "login").write_text("password=tr0ub4dor\n")
    (tmp_path / "login").chmod(0o600)
    body = "print('login failed with', given['password']); sys.exit(1)"
    with pytest.raises(PowerError, match="login failed with") as caught:
        await FenceDriver(hostile(body, credentials=tmp_path / "login")).status()
    assert "tr0ub4dor" not in str(caught.value)
    assert caught.value.stage is Stage.LOGIN


@pytest.mark.parametrize("line", ["action=reboot", "plug=3", "port=3"])
async def test_credentials_can_not_name_an_action_or_an_outlet(
    hostile: Callable[..., FenceSettings], tmp_path: Path, line: str
) -> None:
    """What is switched, and how, is never a file's to say."""
    (tmp_path / "login").write_text(line + "\n")
    (tmp_path / "login").chmod(0o600)
    with pytest.raises(PowerError, match="ours to say"):
        await FenceDriver(hostile(credentials=tmp_path / "login")).status()
    assert not (tmp_path / "told").exists()


async def test_a_missing_agent_is_told(hostile: Callable[..., FenceSettings]) -> None:
    """By its path, before anything is sent."""
    driver = FenceDriver(replace(hostile(), agent=Path("/usr/sbin/fence_nowhere")))
    with pytest.raises(PowerError, match="fence_nowhere: can't be started") as caught:
        await driver.off(PORT, op_id="a")
    assert (caught.value.phase, caught.value.stage) == (Phase.NOT_SENT, Stage.TOOL)


async def test_only_outlets_of_the_inventory_are_named(
    hostile: Callable[..., FenceSettings], tmp_path: Path
) -> None:
    """Any other port is refused before the agent starts."""
    with pytest.raises(PowerError, match="no outlet") as caught:
        await FenceDriver(hostile()).off(16, op_id="a")
    assert caught.value.phase is Phase.REJECTED
    assert not (tmp_path / "told").exists()


async def test_an_agent_that_cannot_do_it_is_found_out(
    hostile: Callable[..., FenceSettings],
) -> None:
    """Its own metadata says what it lacks."""
    body = "if action == 'metadata': print('<action name=\"off\" /><action name=\"status\"/>')"
    (finding,) = await FenceDriver(hostile(body)).findings()
    assert (finding.mark, finding.text) == (Mark.BAD, "it doesn't offer on")
