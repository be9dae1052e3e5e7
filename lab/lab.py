"""`Lab`: the whole virtual cluster, up inside `async with`, gone without a trace after it."""

import asyncio
import contextlib
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from common.clock import boottime
from lab import undertaker
from lab.addresses import write_inventory
from lab.control import Control
from lab.credentials import generate
from lab.directory import LabDirectory
from lab.errors import LabError
from lab.parts import Workshop, backup_of
from lab.rack import Rack
from lab.services import Service
from lab.settings import LabSettings, at_lab_pace, pimedic_toml
from lab.switch.ports import Transition
from lab.switch.server import FakeSwitch

_UNDERTAKER_S = 15.0


class Lab:
    """A running lab. Entering raises `LabError` or `ConfigError`, and then leaves nothing."""

    rack: Rack
    switch: FakeSwitch

    def __init__(self, settings: LabSettings | None = None) -> None:
        self.settings = settings or LabSettings()
        self.directory = LabDirectory(self.settings.directory.absolute())
        self._stack = AsyncExitStack()

    @property
    def supervisor(self) -> Service | None:
        """The supervisor's process: `pid`, `kill()`; None in a lab without one."""
        others = self.rack.pis[backup_of(self.rack.cluster).name].others
        return others[0] if others else None

    @property
    def url(self) -> str:
        """Where the supervisor answers."""
        return f"http://127.0.0.1:{self.settings.addresses.port}"

    @property
    def power_log(self) -> list[Transition]:
        """Every change of a port's power, from the switch itself."""
        return [one for one in self.switch.ports.log if one.what == "power"]

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        marker = self.directory.claim()
        self._stack.callback(os.close, marker)
        mark = secrets.token_hex(8)
        self._stack.push_async_callback(_dismiss, _hire(self.directory.path, mark))
        workshop = self._furnish(mark)
        self.switch = self._build_switch(workshop)
        with _said_plainly("the switch"):
            await self.switch.start()
        self._stack.push_async_callback(self.switch.aclose)
        with _said_plainly("a virtual Pi"):
            self.rack = Rack(
                workshop.cluster,
                self.switch.ports,
                workshop.assemble,
                self.settings.boot_s,
                agents_in_memory=self.settings.agents_in_memory,
            )
        self._stack.callback(self.rack.close)
        control = Control(self.rack, self.directory.control)
        await control.start()
        self._stack.push_async_callback(control.aclose)
        for number in range(self.settings.parallel_starts):
            starter = asyncio.get_running_loop().create_task(
                self.rack.start_agents(), name=f"start-agents-{number}"
            )
            self._stack.push_async_callback(_cancel, starter)
        self.rack.start()

    def _furnish(self, mark: str) -> Workshop:
        """Write the directory: inventory, settings, secrets."""
        path, settings = self.directory.path, self.settings
        cluster = write_inventory(settings.inventory, path / "cluster.toml", settings.addresses)
        backup = backup_of(cluster)
        text = pimedic_toml(settings, backup.ip)
        (path / "pimedic.toml").write_text(text, encoding="utf-8")
        _write_runbooks(settings.runbooks, path / "runbooks")
        with _said_plainly("the supervisor", "choose another --port"):
            for host in ("127.0.0.1", backup.ip) if settings.supervisor else ():
                _check_free(host, settings.addresses.port)
        return Workshop(settings, self.directory, cluster, generate(path, cluster), mark)

    def _build_switch(self, workshop: Workshop) -> FakeSwitch:
        switch = workshop.cluster.switch
        return FakeSwitch(
            host=switch.address,
            port=switch.ssh_port,
            user=switch.user,
            authorized_keys=[workshop.credentials.switch_client],
            host_key=workshop.credentials.switch_host_key,
            clock=boottime,
        )


def _write_runbooks(source: Path, target: Path) -> None:
    """Copy the runbooks at the lab's pace."""
    target.mkdir()
    for runbook in sorted(source.glob("*.toml")):
        text = at_lab_pace(runbook.read_text(encoding="utf-8"))
        (target / runbook.name).write_text(text, encoding="utf-8")


def _hire(directory: Path, mark: str) -> "subprocess.Popen[bytes]":
    """Start the undertaker; it goes to work when its pipe closes."""
    script = Path(undertaker.__file__)
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(script), str(directory), mark],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


async def _dismiss(process: "subprocess.Popen[bytes]") -> None:
    """Close the pipe and wait until the directory is gone."""
    if process.stdin:
        process.stdin.close()
    await asyncio.to_thread(process.wait, _UNDERTAKER_S)


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait([task], timeout=1)


def _check_free(host: str, port: int) -> None:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            code = error.errno or 0
            raise OSError(code, f"{os.strerror(code)}: {host}:{port}") from None


@contextlib.contextmanager
def _said_plainly(who: str, remedy: str = "choose another --net") -> Iterator[None]:
    """Turn a taken address into one line for the user."""
    try:
        yield
    except OSError as error:
        text = error.strerror or str(error)
        raise LabError(f"{who} can't have its address: {text}; {remedy}") from None
