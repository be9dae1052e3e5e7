"""From the medic's decision to the command at the switch, beside a cold `ssh`, in one run.

The decision is real: a medic's effects, written down by the real engine, carried out by the real
power service over its kept connection, journal on disk. The switch is the lab's, in a process of
its own; what counts is the instant at which it hears the command, by the same boot clock. The
peer does what a script would: OpenSSH's client, from nothing to the same switch.

    python bench/power_decision.py [--rounds 50] [--json] [--state-dir DIR]
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import statistics
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
import structlog

from common.clock import boottime
from common.inventory import load_cluster
from common.topology import Cluster
from lab.crash import children
from lab.switch.ports import Latencies
from lab.switch.server import FakeSwitch
from supervisor.actuators.power.orders import outlets_of
from supervisor.actuators.power.service import PowerService
from supervisor.actuators.power.settings import PowerSettings
from supervisor.actuators.power.swctrl import SwctrlDriver, SwctrlSettings
from supervisor.core.effects import Treatment
from supervisor.core.events import ActRequested
from supervisor.core.medic import Medic
from supervisor.core.policy import Policy
from supervisor.daemon.acting import Hands
from supervisor.daemon.engine import Engine
from supervisor.daemon.memory import Memory
from supervisor.journal.journal import Journal

NODE, PORT = "green1", 34
COMMAND = f"swctrl poe restart id {PORT}"
LONGEST_S = 60.0
QUICK = Latencies(off=0.01, on=0.02, restart=0.15)
INVENTORY = Path(__file__).parents[1] / "config" / "cluster.toml"


@dataclass
class Switch:
    """The switch's process, and what it heard: (boot time, line)."""

    port: int
    known_hosts: Path
    key: Path
    heard: list[tuple[float, str]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    reading: asyncio.Task[None] | None = None

    async def command_after(self, begun: float) -> float:
        """Return when the command was heard."""
        async with asyncio.timeout(LONGEST_S):
            while True:
                for at, line in self.heard:
                    if at >= begun and line == COMMAND:
                        return at
                self.news.clear()
                await self.news.wait()

    def spans(self, begun: float, ended: float) -> dict[str, float]:
        """Return when each line was first heard in a span."""
        return {line: at for at, line in reversed(self.heard) if begun <= at <= ended}


class _TellingSwitch(FakeSwitch):
    """Writes each line that it is asked for into a pipe."""

    pipe = -1

    def note(self, line: str) -> int:
        os.write(self.pipe, f"{boottime()} {line}\n".encode())
        return super().note(line)


def _be_switch(pipe: int, key: asyncssh.SSHKey, cluster: Cluster) -> None:
    async def main() -> None:
        switch = _TellingSwitch(authorized_keys=[key], latencies=QUICK, clock=boottime)
        switch.pipe = pipe
        for node in cluster:
            switch.ports.plug(node.port, mac=node.mac)
        async with switch:
            os.write(pipe, f"{switch.port} {switch.known_hosts_line()}".encode())
            await asyncio.Event().wait()

    asyncio.run(main())


async def _listen(pipe: int, place: Path) -> Switch:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb")
    )
    port, _, pinned = (await reader.readline()).decode().partition(" ")
    (place / "known_hosts").write_text(pinned, encoding="utf-8")
    switch = Switch(int(port), place / "known_hosts", place / "key")

    async def read() -> None:
        async for line in reader:
            at, _, said = line.decode().rstrip().partition(" ")
            switch.heard.append((float(at), said))
            switch.news.set()

    switch.reading = asyncio.get_running_loop().create_task(read())
    return switch


class Bench:
    """A supervisor's engine and hands, without senses or API."""

    def __init__(self, switch: Switch, cluster: Cluster, journal: Journal) -> None:
        driver = SwctrlDriver(
            SwctrlSettings(
                address="127.0.0.1", port=switch.port, known_hosts=switch.known_hosts,
                client_key=switch.key, poll_s=0.02,
            )
        )  # fmt: skip
        settings = PowerSettings(cool_down_s=0, min_off_s=1, retry_first_s=0.05)
        self.power = PowerService(driver, journal, outlets_of(cluster), settings)
        hands = Hands(agents=None, ssh=None, power=self.power, off_s=1)
        medic = Medic(cluster, [], Policy(cool_down_s=0), boottime())
        self.ended = asyncio.Event()
        self.engine = Engine(medic, Memory(journal), hands.perform, self._heard)
        self._journal, self._switch = journal, switch

    def _heard(self, entry: object) -> None:
        if "action_finished" in str(entry):
            self.ended.set()

    async def decide(self, number: int) -> dict[str, float]:
        """Have a cycle decided and carried out; return its spans in seconds."""
        self.ended.clear()
        begun = boottime()
        asked = ActRequested(f"{number}", NODE, str(Treatment.POWER_CYCLE), "bench", "bench")
        self.engine.tell(asked)
        heard_at = await self._switch.command_after(begun)
        async with asyncio.timeout(LONGEST_S):
            await self.ended.wait()
        intent = self._journal.intents.recent(1)[0]
        steps = {step.state: step.at_boottime for step in self._journal.intents.steps(intent.op_id)}
        heard = self._switch.spans(begun, heard_at)
        marks = {
            "decision written down, intent begun": steps["planned"],
            "all ports asked for": heard["swctrl poe show"],
            "addresses asked for": heard["swctrl mac show"],
            "sending begun": steps["sending"],
            "the port asked for": heard.get(f"swctrl poe show id {PORT}", steps["sending"]),
            "command heard": heard_at,
        }
        spans, last = {"total": heard_at - begun}, begun
        for name, at in marks.items():
            spans[name], last = at - last, at
        return spans


async def _cold_ssh(switch: Switch) -> float:
    begun = boottime()
    process = await asyncio.create_subprocess_exec(
        "ssh", "-F", "none", "-i", str(switch.key), "-p", str(switch.port), "-o", "BatchMode=yes",
        "-o", f"UserKnownHostsFile={switch.known_hosts}", "-o", "StrictHostKeyChecking=yes",
        "admin@127.0.0.1", COMMAND, stdin=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    heard_at = await switch.command_after(begun)
    await process.wait()
    return heard_at - begun


@contextlib.asynccontextmanager
async def _engine_runs(bench: Bench) -> AsyncIterator[None]:
    scribe = asyncio.get_running_loop().create_task(bench.engine.write_down())
    yield
    scribe.cancel()
    await bench.power.aclose()


async def _measure(pipe: int, place: Path, state: Path, rounds: int) -> dict[str, list[float]]:
    switch = await _listen(pipe, place)
    found: dict[str, list[float]] = {}
    cluster = load_cluster(INVENTORY)
    with Journal(state) as journal:
        bench = Bench(switch, cluster, journal)
        async with _engine_runs(bench):
            await bench.power.validate()
            await bench.decide(0)
            for number in range(1, rounds + 1):
                for name, span in (await bench.decide(number)).items():
                    found.setdefault(name, []).append(span)
                found.setdefault("cold ssh", []).append(await _cold_ssh(switch))
                await asyncio.sleep(0.3)  # the switch ends the peer's restart
    return found


def _tell(found: dict[str, list[float]], *, as_json: bool) -> None:
    rows = {
        name: {
            "median_ms": statistics.median(spans) * 1e3,
            "p90_ms": statistics.quantiles(spans, n=10)[-1] * 1e3,
            "worst_ms": max(spans) * 1e3,
        }
        for name, spans in found.items()
    }
    if as_json:
        print(json.dumps({"rounds": len(found["total"]), "spans": rows}, indent=1))
        return
    print(f"{len(found['total'])} rounds\n")
    print("| span | median ms | 90 % ms | worst ms |\n| --- | ---: | ---: | ---: |")
    for name, row in rows.items():
        print(f"| {name} | {' | '.join(f'{figure:.1f}' for figure in row.values())} |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--state-dir", type=Path, help="where the journal lies; else a new one")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    key = asyncssh.generate_private_key("ssh-ed25519")
    cluster = load_cluster(INVENTORY)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "key").write_bytes(key.export_private_key())
        (place / "key").chmod(0o600)
        ours, theirs = os.pipe()
        pid = children.spawn(lambda: _be_switch(theirs, key, cluster), place / "switch.log")
        os.close(theirs)
        try:
            state = given.state_dir or place / "state"
            found = asyncio.run(_measure(ours, place, state, given.rounds))
        finally:
            os.kill(pid, signal.SIGKILL)
            children.wait(pid, 5)
    _tell(found, as_json=given.json)


if __name__ == "__main__":
    main()
