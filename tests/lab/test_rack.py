"""The rack as a whole: power, faults, and what login's failure does to the others.

Here `sleep` stands in for the agents, so that only the rack is looked at; `tests/system` runs
the real ones.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncssh
import pytest

from common.clock import boottime
from common.topology import Node, Role
from lab.addresses import Addresses, write_inventory
from lab.appearance import PiState
from lab.errors import LabError, MisuseError
from lab.pi import Parts, Pi
from lab.ports import Mode
from lab.rack import Rack
from lab.services import Service
from lab.settings import CONFIG
from lab.ssh_endpoint import SshEndpoint
from lab.switch.ports import Latencies, Ports
from lab.tree import Tree, netboot_server
from supervisor.actuators.ssh_commands import RESTARTS

KEY = asyncssh.generate_private_key("ssh-ed25519")
BOOT_S = 0.2


@pytest.fixture(params=[True])
async def rack(
    request: pytest.FixtureRequest, tmp_path: Path, addresses: Addresses
) -> AsyncIterator[Rack]:
    """All Pis up; what comes due on the switch is applied as time passes.

    The parameter says whether agents run from memory.
    """
    cluster = write_inventory(CONFIG / "cluster.toml", tmp_path / "cluster.toml", addresses)

    def assemble(node: Node) -> Parts:
        directory = tmp_path / node.name
        directory.mkdir()
        server = netboot_server(node, {other.name: other.ip for other in cluster})
        ssh = SshEndpoint(node.ip, node.ssh_port, node.ssh_user, KEY, KEY)
        agent = Service("agent", ["/bin/sleep", "1000"], directory / "log", {})
        return Parts(node, Tree(node, directory, server), ssh, agent)

    ports = Ports(boottime, Latencies(off=0.05, on=0.05, restart=0.2))
    made = Rack(cluster, ports, assemble, BOOT_S, agents_in_memory=request.param)

    async def turn() -> None:
        while True:
            ports.run_due()
            await asyncio.sleep(0.01)

    async def start_agents() -> None:
        """`sleep` answers no connection, so starts are not held back here."""
        while True:
            (await made._waiting.get()).start_agent()
            made._queued.clear()

    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(turn()), loop.create_task(start_agents())]
    made.start()
    await until(lambda: all(pi.agent.pid for pi in made.pis.values()))
    yield made
    made.close()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def until(wanted: Callable[[], object], within_s: float = 10) -> None:
    """Wait until `wanted` is true."""
    async with asyncio.timeout(within_s):
        while not wanted():  # noqa: ASYNC110 - the world tells nobody when it changes
            await asyncio.sleep(0.01)


def state_of(pid: int) -> str:
    """Return the kernel's letter for a process: S sleeping, T stopped, `-` gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "-"


def cycle(rack: Rack, pi: Pi) -> None:
    """Cycle a port as the switch's `restart` does."""
    rack.ports.restart([pi.node.port], "test", 0)


async def test_a_power_cycle_kills_what_ran_and_boots_anew(rack: Rack) -> None:
    """Off: the process group is dead, ssh dark, 0 W. On: a new boot id, agent and ssh are back."""
    pi = rack.pis["green4"]
    pid, boot_id = pi.agent.pid, pi.tree.boot_id
    assert pid
    cycle(rack, pi)
    await until(lambda: pi.state is PiState.OFF)
    assert (state_of(pid), pi.ssh.mode, rack.ports[pi.node.port].draw()) == ("-", Mode.DARK, 0)
    await until(lambda: pi.agent.pid)
    assert pi.tree.boot_id != boot_id
    assert pi.ssh.mode is Mode.SERVING
    assert 3 <= rack.ports[pi.node.port].draw() < 5


def probed_hangs(pi: Pi) -> bool:
    """Tell whether opening the file that agents probe would hang."""
    return pi.tree.probed.is_fifo()


async def test_login_read_only_stalls_everybody_elses_root_and_a_power_cycle_ends_it(
    rack: Rack,
) -> None:
    """Who reads a worker's root hangs and its ssh is silent; its agent lives, and so its boot."""
    login, worker, backup = (rack.pis[name] for name in ("pi_login", "yellow8", "pi_backup"))
    boot_id, pid = worker.tree.boot_id, worker.agent.pid
    assert pid
    rack.suffer("login", "read-only")
    assert (login.ssh.mode, worker.ssh.mode) == (Mode.RESETTING, Mode.MUTE)
    assert [probed_hangs(pi) for pi in (worker, login, backup)] == [True, False, False]
    reader = await asyncio.create_subprocess_exec(
        "cat", worker.tree.probed, stdout=asyncio.subprocess.PIPE
    )
    await until(lambda: wchan_of(reader.pid) == "wait_for_partner")
    assert state_of(pid) == "S"
    assert backup.ssh.mode is Mode.SERVING
    cycle(rack, login)
    await until(lambda: worker.ssh.mode is Mode.SERVING)
    assert (worker.agent.pid, worker.tree.boot_id) == (pid, boot_id)
    async with asyncio.timeout(10):
        await reader.communicate()
    assert worker.tree.probed.read_text() == "yellow8\n"


def wchan_of(pid: int) -> str:
    """Return the kernel's function that a process waits in."""
    return Path(f"/proc/{pid}/wchan").read_text()


async def test_a_worker_cycled_in_a_stall_boots_with_a_root_that_answers(rack: Rack) -> None:
    """What hung before it lost its power doesn't hang afterwards."""
    worker = rack.pis["green1"]
    rack.suffer("pi_login", "read-only")
    cycle(rack, worker)
    await until(lambda: worker.state is PiState.NETBOOTING)
    rack.heal("pi_login")
    await until(lambda: worker.state is PiState.UP and worker.agent.pid)
    assert not probed_hangs(worker)


@pytest.mark.parametrize("rack", [False], indirect=True, ids=["agents-on-the-root"])
async def test_login_read_only_freezes_agents_that_run_from_their_root(rack: Rack) -> None:
    """Workers stop in place and their ssh falls silent; they go on with the same boot id."""
    login, worker, backup = (rack.pis[name] for name in ("pi_login", "yellow8", "pi_backup"))
    boot_id, pid = worker.tree.boot_id, worker.agent.pid
    assert pid
    rack.suffer("login", "read-only")
    assert (login.ssh.mode, worker.ssh.mode) == (Mode.RESETTING, Mode.MUTE)
    await until(lambda: state_of(pid) == "T")
    assert backup.ssh.mode is Mode.SERVING
    cycle(rack, login)
    await until(lambda: worker.ssh.mode is Mode.SERVING)
    assert (worker.agent.pid, worker.tree.boot_id) == (pid, boot_id)
    await until(lambda: state_of(pid) == "S")
    assert not login.tree.is_read_only()


async def test_a_worker_can_only_boot_once_login_serves(rack: Rack) -> None:
    """Cycled while login is hung, a worker stays at netbooting until login is well."""
    worker = rack.pis["green1"]
    rack.suffer("pi_login", "hang")
    cycle(rack, worker)
    await until(lambda: worker.state is PiState.NETBOOTING)
    assert worker.ssh.mode is Mode.DARK
    rack.heal("pi_login")
    await until(lambda: worker.state is PiState.UP and worker.agent.pid)


async def test_a_dead_board_draws_nothing_until_it_is_cycled(rack: Rack) -> None:
    """`power-off`: the port is on, 0 W and no link; a cycle revives the board."""
    pi = rack.pis["green2"]
    rack.suffer("green2", "power-off")
    port = rack.ports[pi.node.port]
    assert (port.admin, port.draw(), port.is_linked(), pi.ssh.mode) == ("auto", 0, False, Mode.DARK)
    cycle(rack, pi)
    await until(lambda: pi.agent.pid)
    assert pi.faults == []


async def test_lost_power_is_seen_at_the_port_and_healing_restores_it(rack: Rack) -> None:
    """`power-loss` switches the port off; `heal` switches it on again."""
    pi = rack.pis["green2"]
    rack.suffer("green2", "power-loss")
    await until(lambda: pi.state is PiState.OFF)
    assert rack.ports[pi.node.port].admin == "off"
    rack.heal("green_2")
    await until(lambda: pi.agent.pid)


async def test_a_killed_agent_comes_back_by_a_restart_over_ssh(rack: Rack) -> None:
    """`kill-agent` leaves ssh alone; `systemctl restart pimedic-agent.service` cures it."""
    pi = rack.pis["green3"]
    before = pi.agent.pid
    rack.suffer("green3", "kill-agent")
    assert (pi.agent.pid, pi.ssh.mode) == (None, Mode.SERVING)
    answer = await pi.ssh.run("sudo systemctl restart pimedic-agent.service")
    assert answer.status == 0
    await until(lambda: pi.agent.pid)
    assert pi.agent.pid != before
    assert pi.faults == []


async def test_an_agent_that_dies_by_itself_is_started_again(rack: Rack) -> None:
    """As its unit's Restart= does: a new process a second later."""
    pi = rack.pis["green3"]
    before = pi.agent.pid
    pi.agent.kill()
    await until(lambda: pi.agent.pid != before)
    await until(lambda: pi.agent.pid)


async def test_a_reboot_over_ssh_keeps_the_power_on(rack: Rack) -> None:
    """A new boot id without a transition at the switch; ssh-reset would be cured by it."""
    pi = rack.pis["green5"]
    boot_id = pi.tree.boot_id
    await pi.ssh.run("sudo systemctl reboot")
    await until(lambda: pi.state is PiState.BOOTING)
    await until(lambda: pi.agent.pid)
    assert pi.tree.boot_id != boot_id
    assert rack.ports.log == []


async def test_restarting_sshd_cures_sshd_alone(rack: Rack) -> None:
    """`ssh-reset` goes with a restart of ssh.service; a read-only disk stays what it is."""
    for name, fault in (("green1", "ssh-reset"), ("green2", "read-only")):
        rack.suffer(name, fault)
        await rack.pis[name].ssh.run("sudo systemctl restart ssh.service")
    await until(lambda: rack.pis["green1"].ssh.mode is Mode.SERVING)
    assert rack.pis["green2"].ssh.mode is Mode.RESETTING


async def test_what_is_broken_in_the_trees_is_told_until_it_is_mended(rack: Rack) -> None:
    """`status` tells the truth: a unit that somebody restarted is no fault any more."""
    pi = rack.pis["pi_login"]
    rack.suffer("pi_login", "unit-failed", "nfs-server")
    rack.suffer("pi_login", "no-hosts-line")
    assert pi.faults == ["unit-failed nfs-server.service", "no-hosts-line"]
    await pi.ssh.run("sudo systemctl restart nfs-server.service")
    assert pi.faults == ["no-hosts-line"]
    rack.heal("all")
    assert pi.faults == []


async def test_a_dead_nfs_server_stalls_whom_it_serves_until_it_is_restarted(rack: Rack) -> None:
    """Its own node stays well; a restart of the unit alone lets the others go on."""
    rack.suffer("pi_login", "unit-failed", "tftpd-hpa")
    assert not rack.pis["green1"].stalled
    rack.suffer("pi_login", "unit-failed", "nfs-server")
    assert rack.pis["green1"].stalled
    assert rack.pis["pi_login"].ssh.mode is Mode.SERVING
    line = RESTARTS[Role.LOGIN]["nfs-server.service"]
    assert (await rack.pis["pi_login"].ssh.run(line)).status == 0
    await until(lambda: not rack.pis["green1"].stalled)


async def test_a_closed_kernel_image_is_told_and_mended(rack: Rack) -> None:
    """It is a matter of the image's mode, and a healed or booted Pi has it readable again."""
    pi = rack.pis["green1"]
    rack.suffer("green1", "closed-kernel")
    assert pi.faults == ["closed-kernel"]
    pi.tree.close_kernel_image(closed=False)
    assert pi.faults == []


async def test_nonsense_is_refused_in_words(rack: Rack) -> None:
    """Unknown nodes and units are named; what is not up can't be broken."""
    with pytest.raises(MisuseError, match="unknown node 'green99'"):
        rack.suffer("green99", "hang")
    with pytest.raises(MisuseError, match=r"green1 has no unit 'x'; it has k3s-agent\.service"):
        rack.suffer("green1", "unit-failed", "x")
    rack.pis["green1"].power(on=False)
    with pytest.raises(LabError, match="green1 is off"):
        rack.suffer("green1", "hang")
