"""One virtual Raspberry Pi: a state, its faults, and what follows for its processes and ports.

Every cause (power, a fault, a stalled root) only changes the state and then calls `_settle`,
which makes processes and ports match `lab.appearance`. All of it happens at once, without
awaiting, so no two causes can interleave.
"""

import asyncio
import contextlib
import os
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from common.topology import Node
from lab.appearance import Appearance, PiState, appearance
from lab.errors import LabError
from lab.faults import FAULTS, Activity, Fault
from lab.hanging import HangingFile
from lab.ports import Mode, Port
from lab.services import Service
from lab.ssh_endpoint import Answer, SshEndpoint
from lab.systemctl import AGENT_UNIT, SSH_UNIT
from lab.tree import Tree

_RESTART_S = 1.0  # RestartSec= of our units
_COMMAND_S = 5.0


class Surroundings(Protocol):
    """What a Pi tells the rack it stands in."""

    def changed(self, pi: "Pi") -> None:
        """Something about `pi` may be different now."""

    def start_agent(self, pi: "Pi") -> None:
        """Call `pi.start_agent()` when it is its turn."""

    def gave_up(self, service: Service) -> None:
        """`service` ended too often to be started again."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a Pi is made of. `others` are its services besides the agent."""

    node: Node
    tree: Tree
    ssh: SshEndpoint
    agent: Service
    others: Sequence[Service] = ()


class Pi:
    """A virtual Pi: without power until `power(on=True)`.

    A stalled root is one file of it that hangs whoever opens it: the first that agents probe. An
    agent that isn't `agent_in_memory` freezes besides, as its own program lies there.
    """

    def __init__(
        self, parts: Parts, boot_s: float, rack: Surroundings, *, agent_in_memory: bool = True
    ) -> None:
        self.node, self.tree, self.ssh = parts.node, parts.tree, parts.ssh
        self.agent, self.others = parts.agent, tuple(parts.others)
        self.state = PiState.OFF
        self.stalled = False
        self._agent_port = Port(self.node.ip, self.node.agent_port)
        self._remembered: dict[str, Fault] = {}
        self._agent_in_memory = agent_in_memory
        self._probed = HangingFile(self.tree.probed)
        self._boot_s, self._rack = boot_s, rack
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._usual_watts = 3.0 + self.node.port * 7 % 20 / 10  # each board differs a little
        self.ssh.run = self._run
        for service in (self.agent, *self.others):
            service.on_end = self._ended
        self.tree.units.install()
        self._requests = os.open(self.tree.units.requests, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        asyncio.get_running_loop().add_reader(self._requests, self._obey)
        self._settle()

    @property
    def looks(self) -> Appearance:
        """How it meets the world right now."""
        faults = list(self._remembered.values())
        looks = appearance(
            self.state,
            faults,
            stalled=self.stalled,
            usual_watts=self._usual_watts,
            agent_in_memory=self._agent_in_memory,
        )
        return replace(looks, serves=looks.serves and self.tree.serves_disks())

    @property
    def faults(self) -> list[str]:
        """Return what is broken, as one would say it to `pimedic lab break`."""
        found = list(self._remembered)
        for fault in FAULTS.values() if self.state is PiState.UP else ():
            arguments = fault.present(self.tree) if fault.present else []
            found += [f"{fault.name} {argument}".strip() for argument in arguments]
        return found

    def power(self, *, on: bool, boot_s: float | None = None) -> None:
        """Give power, or take it; taking it cures every fault, as after any power cycle."""
        if on == (self.state is not PiState.OFF):
            return
        self._remembered.clear()
        self._begin_boot(boot_s) if on else self._go(PiState.OFF)

    def reboot(self) -> None:
        """Boot anew with the power on."""
        if self.state is PiState.UP:
            self._remembered.clear()
            self._begin_boot()

    def stall(self, *, stalled: bool) -> None:
        """Say whether the node that serves this one's root has stopped doing so."""
        if stalled == self.stalled:
            return
        self.stalled = stalled
        if self.state is PiState.NETBOOTING and not stalled:
            self._come_up()
        else:
            self._settle()

    def suffer(self, fault: Fault, argument: str = "") -> None:
        """Break in the way of `fault`. Raises `LabError` when there is nothing to break."""
        if self.state is not PiState.UP:
            raise LabError(f"{self.node.name} is {self.state}: it can only be broken when up")
        fault.breaks(self.tree, argument)
        if not fault.present:
            self._remembered[fault.name] = fault
        self._settle()

    def heal(self) -> None:
        """Be well again, by magic: without a reboot, unless the board was dead."""
        if self.state is not PiState.UP:
            return
        was_dead = any(not fault.draws for fault in self._remembered.values())
        self._remembered.clear()
        if was_dead:
            self._begin_boot()
            return
        for fault in FAULTS.values():
            fault.mends(self.tree, "")
        self._settle()

    def start_agent(self) -> None:
        """Start the agent if it should run and doesn't."""
        if self.looks.agent is Activity.RUNNING:
            self.agent.start()

    def close(self) -> None:
        """End every process and free every port."""
        self._cancel_timers()
        for service in (self.agent, *self.others):
            service.end()
        self._probed.thaw()
        self.ssh.become(Mode.CLOSED)
        self._agent_port.become(Mode.CLOSED)
        asyncio.get_running_loop().remove_reader(self._requests)
        os.close(self._requests)

    def _begin_boot(self, boot_s: float | None = None) -> None:
        self._go(PiState.BOOTING)
        self._later("boot", self._boot_s if boot_s is None else boot_s, self._booted)

    def _booted(self) -> None:
        if self.stalled:
            self._go(PiState.NETBOOTING)
        else:
            self._come_up()

    def _come_up(self) -> None:
        self.tree.boot()
        self._go(PiState.UP)

    def _go(self, state: PiState) -> None:
        self._cancel_timers()
        self.state = state
        self._settle()

    def _settle(self) -> None:
        """Make root, ports and processes match the appearance."""
        looks = self.looks
        if self.stalled and self.state is PiState.UP:
            self._probed.hang()
        else:
            self._probed.thaw()
        for service, activity in (
            (self.agent, looks.agent),
            *((other, looks.others) for other in self.others),
        ):
            self._make(service, activity)
        self.ssh.become(looks.ssh)
        # A host that is off drops what comes for its agent too; else the port is the agent's.
        self._agent_port.become(Mode.DARK if looks.ssh is Mode.DARK else Mode.CLOSED)
        self._rack.changed(self)

    def _make(self, service: Service, activity: Activity) -> None:
        match activity:
            case Activity.DEAD:
                service.end()
            case Activity.FROZEN:
                service.freeze()
            case Activity.RUNNING:
                service.thaw()
                if service.pid is None and "restart " + service.name not in self._timers:
                    self._rack.start_agent(self) if service is self.agent else service.start()

    def _ended(self, service: Service, code: int) -> None:
        """Start a service again some time after it ended, as systemd does."""
        if service.restarts and service.may_restart(code):
            self._later(f"restart {service.name}", _RESTART_S, self._settle)
        else:
            self._rack.gave_up(service)

    def _later(self, name: str, seconds: float, work: Callable[[], None]) -> None:
        def due() -> None:
            self._timers.pop(name, None)
            work()

        self._timers[name] = asyncio.get_running_loop().call_later(seconds, due)

    def _cancel_timers(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _obey(self) -> None:
        """Do what this Pi's `systemctl` asked for."""
        with contextlib.suppress(BlockingIOError):
            for line in os.read(self._requests, 4096).decode().splitlines():
                match line.split():
                    case ["reboot"]:
                        self.reboot()
                    case ["restart", unit] if unit == AGENT_UNIT:
                        self._restart_agent()
                    case ["restart", unit] if unit == SSH_UNIT:
                        self._forget("ssh-reset")
                    case ["restart", _]:
                        self._settle()
                    case _:
                        pass

    def _restart_agent(self) -> None:
        if timer := self._timers.pop(f"restart {self.agent.name}", None):
            timer.cancel()
        self.agent.end()
        self._forget("kill-agent")

    def _forget(self, fault: str) -> None:
        self._remembered.pop(fault, None)
        self._settle()

    async def _run(self, command: str) -> Answer:
        """Run what came over ssh: commands joined by `;` or `&&`, as far as we know them."""
        answer = Answer(0)
        for joint, part in re.findall(r"(;|&&|^)([^;&]*)", command):
            if joint != "&&" or answer.status == 0:
                told = await self._run_one(part)
                answer = Answer(told.status, answer.out + told.out, answer.err + told.err)
        return answer

    async def _run_one(self, command: str) -> Answer:
        """Run one command: a few are known, of which `systemctl` really does something."""
        try:
            words = shlex.split(command)
        except ValueError as error:
            return Answer(2, err=f"bash: {error}\n")
        while words and words[0] in ("sudo", "-n"):
            words.pop(0)
        words[:1] = [Path(word).name for word in words[:1]]
        match words:
            case ["true"]:
                return Answer(0)
            case ["hostname"]:
                return Answer(0, f"{self.node.name.replace('_', '-')}\n")
            case ["cat", "/proc/sys/kernel/random/boot_id"]:
                return Answer(0, f"{self.tree.boot_id}\n")
            case ["systemctl", *arguments]:
                return await _capture(str(self.tree.units.program), *arguments)
            case ["reboot"]:
                return await _capture(str(self.tree.units.program), "reboot")
            case _:
                name = words[0] if words else command
                return Answer(127, err=f"bash: line 1: {name}: command not found\n")


async def _capture(*command: str) -> Answer:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), _COMMAND_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        return Answer(124, err="timed out\n")
    return Answer(process.returncode or 0, out.decode(), err.decode())
