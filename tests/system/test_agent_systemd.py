"""The agent and real systemd: a Debian container, its bus, and what is said and done over it."""

import asyncio
import re
import shutil
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.bus import SilentError, connected
from agents.systemd_bus import MANAGER
from common.clock import boottime
from common.observations import Truth
from common.wire import Command, CommandResult, WireObservation
from tests.integration.agent_at_work import Node, at_work
from tests.integration.agent_peer import Peer
from tests.system.booted_container import Container, booted, needs_container

pytestmark = [*needs_container, pytest.mark.timeout(1000)]  # the first run builds the tree

REPOSITORY = Path(__file__).parents[2]
UNIT = REPOSITORY / "systemd/pimedic-agent.service"
VICTIM = "victim.service"


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """A container with a unit to be ill."""
    with booted(tmp_path_factory.mktemp("container") / "console.log") as container:
        yield container


@pytest.fixture
def victim(container: Container) -> str:
    """A service that runs."""
    container.unit(VICTIM, "ExecStart=/bin/sleep 100000")
    container.run("systemctl", "restart", VICTIM)
    return VICTIM


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    """An honest supervisor that wants a beat a second, as the real one does."""
    peer = Peer()
    peer.interval_s = 1.0
    await peer.start()
    yield peer
    await peer.stop()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """Trees for what isn't systemd's."""
    return Node(tmp_path)


def _settings(node: Node, container: Container, peer: Peer, **changes: Any) -> Any:
    units = changes.pop("units", (VICTIM, "not-here.service"))
    return node.settings(peer.url, interval_s=1.0, bus=container.bus, units=units, **changes)


def _seen(peer: Peer, unit: str = VICTIM) -> WireObservation | None:
    """What the newest beat says of a unit."""
    found = peer.beats[-1].observations if peer.beats else ()
    return next((o for o in found if o.kind == "unit_failed" and o.subject == unit), None)


def _is(peer: Peer, status: Truth, unit: str = VICTIM) -> bool:
    seen = _seen(peer, unit)
    return seen is not None and seen.status is status


async def _ordered(peer: Peer, name: str, within_s: float = 20, **arguments: str) -> CommandResult:
    """Order a treatment and wait for its result."""
    command_id = f"c{len(peer.commands)}"
    peer.commands[command_id] = Command(
        id=command_id, treatment=name, arguments=arguments, deadline_s=within_s
    )
    await peer.until(lambda: peer.result_of(command_id), within_s + 5)
    result = peer.result_of(command_id)
    assert result
    return result


async def _in_container(container: Container, *argv: str) -> str:
    return await asyncio.to_thread(container.run, *argv)


async def test_killed_unit_is_known_within_two_seconds(
    container: Container, victim: str, node: Node, peer: Peer
) -> None:
    """Systemd tells the agent at once, and news doesn't wait for the next beat: 3 times in 3."""
    async with at_work(_settings(node, container, peer)):
        for _ in range(3):  # a fourth start would be flapping
            await _in_container(container, "systemctl", "restart", victim)
            await peer.until(lambda: _is(peer, Truth.FALSE))
            pid = int(await _in_container(container, "systemctl", "show", "-PMainPID", victim))
            killed = boottime()
            await _in_container(container, "sh", "-c", f"kill -9 {pid}")
            await peer.until(lambda: _is(peer, Truth.TRUE), within_s=2)
            print(f"known to the supervisor after {boottime() - killed:.3f} s")  # noqa: T201
            assert _seen(peer).detail == "failed (failed), result signal"


@pytest.mark.usefixtures("victim")
async def test_unit_that_is_not_installed_is_no_data(
    container: Container, node: Node, peer: Peer
) -> None:
    """Nothing is said of a unit that systemd doesn't find."""
    async with at_work(_settings(node, container, peer)):
        await peer.until(lambda: _is(peer, Truth.FALSE))
    assert _seen(peer, "not-here.service") is None


async def test_restart_is_proven_by_the_job(
    container: Container, victim: str, node: Node, peer: Peer
) -> None:
    """The proof: systemd's job is done, and the unit is active with a new invocation."""
    await _in_container(container, "systemctl", "kill", "--signal=KILL", victim)
    async with at_work(_settings(node, container, peer)):
        await peer.until(lambda: _is(peer, Truth.TRUE))
        result = await _ordered(peer, "restart_unit", unit=victim)
        await peer.until(lambda: _is(peer, Truth.FALSE))
    invocation = await _in_container(container, "systemctl", "show", "-PInvocationID", victim)
    assert (result.status, result.detail) == (
        "succeeded",
        f"{victim} is active, invocation {invocation.strip()}, job done",
    )


async def test_failing_restart_is_told_with_the_jobs_result(
    container: Container, node: Node, peer: Peer
) -> None:
    """A unit that can't start: the job's result and the unit's state are the reason given."""
    container.unit(VICTIM, "Type=notify\nExecStart=/bin/false")
    async with at_work(_settings(node, container, peer)):
        result = await _ordered(peer, "restart_unit", unit=VICTIM)
    assert result.status == "failed"
    assert result.detail.startswith(f"restart of {VICTIM}: the job's result is failed; ")
    assert result.detail.endswith(f"{VICTIM} is failed (failed), result exit-code")


async def test_job_that_takes_too_long_is_cancelled(
    container: Container, node: Node, peer: Peer
) -> None:
    """A job that runs over the deadline doesn't run on."""
    container.unit(VICTIM, "Type=notify\nExecStart=/bin/sleep 100000\nTimeoutStartSec=600")
    async with at_work(_settings(node, container, peer)):
        result = await _ordered(peer, "restart_unit", within_s=4, unit=VICTIM)
        jobs = await _in_container(container, "systemctl", "list-jobs")
    await _in_container(container, "systemctl", "kill", "--signal=KILL", VICTIM)
    assert result.status == "failed"
    assert "cancelled" in result.detail
    assert "No jobs running" in jobs


async def test_start_limit_is_cleared(container: Container, node: Node, peer: Peer) -> None:
    """A unit that systemd refuses to start any more starts again by command."""
    container.unit(
        VICTIM,
        "ExecStart=/bin/sh -c 'test -e /run/cured && exec sleep 100000'\nRestart=always\n"
        "RestartSec=10ms",
        "StartLimitIntervalSec=1h\nStartLimitBurst=3",
    )
    await asyncio.to_thread(container.run, "systemctl", "start", VICTIM, check=False)
    async with at_work(_settings(node, container, peer)):
        await peer.until(lambda: _is(peer, Truth.TRUE) and "failed (failed)" in _seen(peer).detail)
        await _in_container(container, "touch", "/run/cured")
        refused = await asyncio.to_thread(container.run, "systemctl", "start", VICTIM, check=False)
        assert "failed" in refused, "its cause is gone, but its start limit isn't"
        result = await _ordered(peer, "restart_unit", unit=VICTIM)
        assert result.status == "succeeded", result.detail


async def test_flapping_is_noticed(container: Container, node: Node, peer: Peer) -> None:
    """A unit that is up at nearly every look, but starts again and again, is failing."""
    container.unit(
        VICTIM,
        "ExecStart=/bin/sleep 0.4\nRestart=always\nRestartSec=50ms",
        "StartLimitIntervalSec=0",
    )
    await _in_container(container, "systemctl", "restart", VICTIM)
    async with at_work(_settings(node, container, peer)):
        await peer.until(lambda: _is(peer, Truth.TRUE) and "flapping" in _seen(peer).detail, 20)
        said = _seen(peer).detail
    assert re.search(r"flapping: \d+ starts within \d+ s$", said), said
    await _in_container(container, "systemctl", "stop", VICTIM)


async def test_restart_of_the_bus_is_survived(
    container: Container, victim: str, node: Node, peer: Peer
) -> None:
    """While the bus is away the status is unknown; then all is as before, without a restart."""
    async with at_work(_settings(node, container, peer)):
        await peer.until(lambda: _is(peer, Truth.FALSE))
        await _in_container(container, "systemctl", "restart", "dbus.service")
        await peer.until(lambda: _is(peer, Truth.UNKNOWN))
        await peer.until(lambda: _is(peer, Truth.FALSE))
        await _in_container(container, "systemctl", "kill", "--signal=KILL", victim)
        await peer.until(lambda: _is(peer, Truth.TRUE), within_s=2)


async def test_pid_1_executed_anew_is_subscribed_to_again(
    container: Container, victim: str, node: Node, peer: Peer
) -> None:
    """After `daemon-reexec` a failure is still told at once."""
    async with at_work(_settings(node, container, peer)):
        await peer.until(lambda: _is(peer, Truth.FALSE))
        await _in_container(container, "systemctl", "daemon-reexec")
        await _in_container(container, "systemctl", "kill", "--signal=KILL", victim)
        await peer.until(lambda: _is(peer, Truth.TRUE), within_s=5)


async def test_hung_pid_1_is_unknown_and_asked_for_nothing(
    container: Container, victim: str, node: Node, peer: Peer
) -> None:
    """Beats go on, the status is unknown, restarts fail unasked, and after the thaw all is well."""
    before = container.show(victim, "InvocationID")
    async with at_work(_settings(node, container, peer)):
        await peer.until(lambda: _is(peer, Truth.FALSE))
        with container.hung():
            await peer.until(lambda: _is(peer, Truth.UNKNOWN), within_s=20)
            assert "answer" in _seen(peer).detail
            result = await _ordered(peer, "restart_unit", within_s=5, unit=victim)
            await peer.beats_more(2)
        assert result.status == "failed"
        assert "gave no answer" in result.detail
        await peer.until(lambda: _is(peer, Truth.FALSE), within_s=45)
    assert container.show(victim, "InvocationID") == before


@pytest.mark.parametrize("closed", [True, False])
async def test_what_a_hung_pid_1_was_asked_is_not_done_late(
    container: Container,
    victim: str,
    closed: bool,  # noqa: FBT001
) -> None:
    """A restart that PID 1 finds after its thaw is done, unless its caller closed the connection.

    This is why every order has a connection of its own.
    """
    before = container.show(victim, "InvocationID")
    async with connected(container.bus) as bus:
        with container.hung():
            with pytest.raises(SilentError):
                await bus.call(MANAGER, "RestartUnit", "ss", victim, "replace", deadline_s=0.5)
            if closed:
                await bus.close()
        async with asyncio.timeout(10), connected(container.bus) as other:
            await other.call(MANAGER, "ListJobs", "", deadline_s=9)  # PID 1 serves in order
        if not closed:
            async with asyncio.timeout(10):
                while container.show(victim, "InvocationID") == before:  # noqa: ASYNC110 - polls
                    await asyncio.sleep(0.05)
    assert (container.show(victim, "InvocationID") == before) is closed


async def test_time_zone_and_ntp_are_set_and_read_back(
    container: Container, node: Node, peer: Peer
) -> None:
    """The real timedated sets the zone and starts the NTP unit; asked again it says so."""
    # The container may not set this machine's clock: what stands for NTP there only runs.
    container.unit("stand-in-ntp.service", "ExecStart=/bin/sleep 100000")
    units = container.root / "etc/systemd/ntp-units.d"
    units.mkdir(parents=True, exist_ok=True)
    (units / "10-stand-in.list").write_text("stand-in-ntp.service\n")
    async with at_work(_settings(node, container, peer)):
        first = await _ordered(peer, "set_time_sync")
        again = await _ordered(peer, "set_time_sync", timezone="Europe/Athens")
        bad = await _ordered(peer, "set_time_sync", timezone="Europe/Atlantis")
        worse = await _ordered(peer, "set_time_sync", timezone="../../etc/shadow")
    assert first.detail == "read back: time zone Europe/Athens, NTP on"
    assert (first.status, again.status, bad.status) == ("succeeded", "succeeded", "failed")
    assert worse.status == "refused"
    link = await _in_container(container, "readlink", "/etc/localtime")
    assert link.strip().endswith("zoneinfo/Europe/Athens")
    assert container.show("stand-in-ntp.service", "ActiveState") == "active"


async def test_gentle_reboot_is_accepted_and_happens(
    node: Node, peer: Peer, tmp_path: Path
) -> None:
    """Logind accepts, the result is told before the end, and every service is stopped first."""
    log = tmp_path / "console.log"
    with booted(log) as container:
        async with at_work(_settings(node, container, peer, units=())):
            result = await _ordered(peer, "agent_reboot")
        assert (result.status, result.detail) == ("succeeded", "accepted by logind")
        await asyncio.to_thread(_wait_for, log, "Rebooting.")
    assert "reboot.target" in _wait_for(log, "Rebooting.")


def _wait_for(log: Path, text: str) -> str:
    """Wait until a container's console said `text`; return all that it said."""
    until = boottime() + 30
    while text not in (said := log.read_text(errors="replace")):
        assert boottime() < until, said[-2000:]
        time.sleep(0.05)
    return said


OWN_PYTHON = Path(sys.base_prefix) != Path("/usr")


@pytest.mark.skipif(not OWN_PYTHON, reason="needs an interpreter that isn't in /usr, to lend it")
def test_hardened_unit_runs_and_acts_alone(tmp_path: Path) -> None:
    """Under its own unit file the agent gets ready, and can do what it may do.

    Its supervisor is silent and it may restart units: it sees the failure and mends it, through
    the bus, with all that the unit forbids forbidden.
    """
    prefixes = (REPOSITORY, Path(sys.prefix), Path(sys.base_prefix))
    with booted(tmp_path / "console.log", *dict.fromkeys(prefixes)) as container:
        _configure(container)
        container.unit(VICTIM, "ExecStart=/bin/sleep 100000")
        container.run("systemctl", "start", VICTIM)
        container.run("systemctl", "start", UNIT.name)
        pid = int(container.show(UNIT.name, "MainPID"))
        assert _only_from_memory(container, pid), container.run("cat", f"/proc/{pid}/maps")
        before = container.show(VICTIM, "InvocationID")
        container.run("systemctl", "kill", "--signal=KILL", VICTIM)
        until = boottime() + 30
        while container.show(VICTIM, "ActiveState") != "active" and boottime() < until:
            time.sleep(0.1)
        log = container.run("journalctl", "--no-pager", f"--unit={UNIT.name}")
        assert container.show(VICTIM, "InvocationID") != before, log
        assert "acting_alone" in log
        assert '"detector": "units"' not in log, "the one that matters here never failed"
        assert container.show(UNIT.name, "NRestarts") == "0"
        container.run("systemctl", "stop", UNIT.name)
        assert container.show(UNIT.name, "Result") == "success"


def _only_from_memory(container: Container, pid: int) -> bool:
    """Tell whether every file that a process has mapped lies in its own tmpfs."""
    maps = container.run("cat", f"/proc/{pid}/maps").splitlines()
    # /dev/zero is what shared memory of no file is called.
    files = {
        (line.split()[3], line.split()[5])
        for line in maps
        if "/" in line and "/dev/zero" not in line
    }
    (memory,) = container.run("stat", "-Lc", "%Hd:%Ld", f"/proc/{pid}/root").split()
    major, minor = (int(part) for part in memory.split(":"))
    return {device for device, _ in files} == {f"{major:02x}:{minor:02x}"}


def _configure(container: Container) -> None:
    """Install this very agent, with a key and flags."""
    opt, etc = container.root / "opt", container.root / "etc/pimedic"
    opt.mkdir(exist_ok=True)
    (opt / "pimedic").symlink_to(sys.prefix)
    etc.mkdir()
    key = etc / "node.key"
    key.write_text("00" * 32)
    key.chmod(0o600)
    flags = "--node yellow1 --role worker --supervisor http://127.0.0.1:1 --units victim"
    alone = "--autonomy restart-units --autonomy-after 1"
    (etc / "agent.env").write_text(f"PIMEDIC_AGENT_FLAGS={flags} {alone}\n")
    shutil.copy(UNIT, container.root / "etc/systemd/system" / UNIT.name)
    container.run("systemctl", "daemon-reload")


def _install(container: Container) -> str:
    """Put the agent's unit, and a program to stand at its path, into the container."""
    for path, program in (("opt/pimedic/bin", "pimedic-agent"),):
        folder = container.root / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / program).write_text("#!/bin/sh\n")
        (folder / program).chmod(0o755)
    shutil.copy(UNIT, container.root / "etc/systemd/system" / UNIT.name)
    return f"/etc/systemd/system/{UNIT.name}"


def test_units_file_is_without_fault(container: Container) -> None:
    """`systemd-analyze verify` has nothing to say of the agent's unit."""
    assert container.run("systemd-analyze", "verify", "--man=no", _install(container)) == ""


def test_units_exposure_is_as_documented(container: Container) -> None:
    """The score of `systemd-analyze security` is no worse than docs/agent.md says."""
    said = container.run("systemd-analyze", "security", "--offline=yes", _install(container))
    score = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    page = (REPOSITORY / "docs/agent.md").read_text()
    written = re.search(r"exposure level is (\d+\.\d)", page)
    assert score
    assert written
    assert float(score[1]) <= float(written[1]), said
