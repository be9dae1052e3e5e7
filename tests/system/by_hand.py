"""A person's hands in a lab: our programs as real processes, and what the switch says of it."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.lab import Lab
from lab.switch.ports import Transition
from tests.system.test_lab import until
from tests.system.test_operator import Tripwire, until_healthy

BIN = Path(sys.executable).parent
END_S = 200


@dataclass(frozen=True)
class Done:
    """How a program ended."""

    code: int
    out: str
    err: str

    @property
    def summary(self) -> dict[str, str]:
        """The last line of --json, as node -> stage."""
        last = json.loads(self.out.splitlines()[-1])
        return {one["node"]: one["stage"] for one in last["nodes"]}


class Hand:
    """Runs programs of ours against one lab, with its token and its settings."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.config = lab.directory.path / "pimedic.toml"
        self.environment = os.environ | {
            "PIMEDIC_SUPERVISOR": lab.url,
            "PIMEDIC_TOKEN_FILE": str(lab.directory.path / "token"),
        }

    def start(self, *words: str, stdin: str | None = None) -> "Running":
        """Start a program; `power` is short for `pimedic power`, with the lab's settings."""
        program, *arguments = words
        if program == "power":
            program, arguments = "pimedic", ["power", *arguments, "--config", str(self.config)]
        process = subprocess.Popen(
            [BIN / program, *arguments],
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            start_new_session=True,
        )
        return Running(process, asyncio.create_task(asyncio.to_thread(_end, process, stdin)))  # noqa: TID251 - a test's own

    async def run(self, *words: str, stdin: str | None = None) -> Done:
        """Run a program to its end."""
        return await self.start(*words, stdin=stdin).ended

    def powers(self, port: int) -> list[str]:
        """What the switch did to a port's power."""
        return [one.after for one in self.lab.power_log if one.port == port]

    @property
    def touched(self) -> set[int]:
        """Every port whose power changed."""
        return {one.port for one in self.lab.power_log}

    def port(self, node: str) -> int:
        """The port of a node."""
        return self.lab.rack.cluster.nodes[node].port

    def all_on(self) -> bool:
        """Whether every node's port is powered, and meant to be."""
        ports = [self.lab.switch.ports[node.port] for node in self.lab.rack.cluster]
        return all(port.powered and port.admin == "auto" for port in ports)

    async def no_port_off(self, within_s: float = 60) -> None:
        """Wait until every port is on."""
        await until(self.all_on, within_s)


@dataclass(frozen=True)
class Running:
    """A program under way."""

    process: "subprocess.Popen[str]"
    ended: "asyncio.Task[Done]"

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)


def _end(process: "subprocess.Popen[str]", stdin: str | None) -> Done:
    try:
        out, err = process.communicate(stdin, END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    return Done(process.returncode, out, err)


@asynccontextmanager
async def at_transition(
    lab: Lab, number: int, port: int | None, act: Callable[[], object]
) -> AsyncIterator[Mapping[str, bool]]:
    """Within the block, do `act` once at the `number`th transition (of `port`, or of any)."""
    wire = Tripwire(lab.switch.ports.log)
    lab.switch.ports.log = wire
    state = {"count": 0, "done": False}

    def trip(_count: int, entry: Transition) -> None:
        state["count"] += port is None or entry.port == port
        if state["count"] == number and not state["done"]:
            state["done"] = True
            act()

    wire.on_entry = trip
    try:
        yield state
    finally:
        wire.on_entry = lambda _number, _entry: None


async def supervisor_down(lab: Lab) -> None:
    """Kill the supervisor, in a lab that doesn't start it again."""
    service = lab.supervisor
    assert service
    service.kill()
    await until(lambda: service.pid is None)


async def supervisor_up(lab: Lab) -> None:
    """Start it again, and wait until all is well."""
    service = lab.supervisor
    assert service
    service.start()
    await until_healthy(lab)
