"""What a look at the switch costs: latency, CPU of both sides, and how it delays an order.

    .venv/bin/python bench/switch_looks.py [LOOKS]

The fake switch runs in a process of its own, so that each side's CPU is its own. A real
switch's CPU is slower, and unknown: that is why looks are frequent only while somebody is uneasy.
"""

import asyncio
import multiprocessing
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import asyncssh

from common.clock import boottime
from lab.switch.server import FakeSwitch
from supervisor.actuators.power.breaker import Breaker
from supervisor.actuators.power.guarded import GuardedDriver
from supervisor.actuators.power.settings import PowerSettings
from supervisor.actuators.power.swctrl import SwctrlDriver, SwctrlSettings

LOOKS = 200
PORTS = (9, 11, 15, *range(33, 49))


def serve(pipe: Connection, public: bytes) -> None:
    """Be the switch until told to stop; answer with the CPU time used since the start."""

    async def run() -> None:
        key = asyncssh.import_public_key(public)
        async with FakeSwitch(authorized_keys=[key]) as switch:
            for port in PORTS:
                switch.ports.plug(port, mac=f"02:00:00:00:00:{port:02x}")
            pipe.send((switch.port, switch.known_hosts_line()))
            loop = asyncio.get_running_loop()
            while await loop.run_in_executor(None, pipe.recv):
                pipe.send(time.process_time())

    asyncio.run(run())


async def measure(pipe: Connection, key: asyncssh.SSHKey, folder: Path, looks: int) -> None:
    """Look so often, and order meanwhile; print a table."""
    port, known_hosts = pipe.recv()
    (folder / "known_hosts").write_text(known_hosts)
    (folder / "key").write_bytes(key.export_private_key())
    driver = SwctrlDriver(
        SwctrlSettings(
            address="127.0.0.1",
            port=port,
            known_hosts=folder / "known_hosts",
            client_key=folder / "key",
        )
    )
    switch = GuardedDriver(driver, PowerSettings(), Breaker())
    await switch.look()

    def switch_cpu() -> float:
        pipe.send(True)
        return float(pipe.recv())

    theirs, ours, took = switch_cpu(), time.process_time(), []
    for _ in range(looks):
        began = boottime()
        await switch.look()
        took.append(boottime() - began)
    theirs, ours = switch_cpu() - theirs, time.process_time() - ours
    alone = [await timed(switch) for _ in range(looks // 2)]
    beside = []
    for _ in range(looks // 2):
        look = asyncio.get_running_loop().create_task(switch.look(), name="look")
        await asyncio.sleep(0)
        beside.append(await timed(switch))
        await look
    print(f"look at 48 ports, median        {statistics.median(took) * 1e3:6.1f} ms")
    print(f"our CPU a look                  {ours / looks * 1e3:6.1f} ms")
    print(f"the fake switch's CPU a look    {theirs / looks * 1e3:6.1f} ms")
    print(f"order's first answer, alone     {statistics.median(alone) * 1e3:6.1f} ms")
    print(f"the same, a look under way      {statistics.median(beside) * 1e3:6.1f} ms")
    await switch.aclose()


async def timed(switch: GuardedDriver) -> float:
    """Return how long an order's own first question takes."""
    began = boottime()
    await switch.status()
    return boottime() - began


def main() -> None:
    """Run both sides."""
    looks = int(sys.argv[1]) if len(sys.argv) > 1 else LOOKS
    key = asyncssh.generate_private_key("ssh-ed25519")
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    server = context.Process(target=serve, args=(there, key.export_public_key()), daemon=True)
    server.start()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(here, key, Path(folder), looks))
    here.send(False)
    server.join(5)


if __name__ == "__main__":
    main()
