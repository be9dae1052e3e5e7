"""`make demo`: the whole cluster on loopback, its weekly failure, and the cure, as it happens."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from common.clock import boottime
from common.log import configure
from common.topology import Role
from lab.addresses import DEFAULT_NET, DEFAULT_PORT, Addresses
from lab.errors import LabError
from lab.lab import Lab
from lab.plainly import plainly, run
from lab.screen import Screen, choose
from lab.settings import LabSettings, default_directory
from lab.summary import Summary, incidents, power_cycles
from lab.watch import Watch

Scenario = Literal["weekly", "none"]
Directory = Annotated[Path | None, Parameter(name="--dir")]
Json = Annotated[bool, Parameter(name="--json", negative=())]
Flag = Annotated[bool, Parameter(negative=())]


@plainly
def demo(
    *,
    scenario: Scenario = "weekly",
    exit_when_healed: Flag = False,
    as_json: Json = False,
    frozen_agents: Flag = False,
    port: int = DEFAULT_PORT,
    net: int = DEFAULT_NET,
    directory: Directory = None,
    timeout: float = 240.0,
) -> int:
    """Run the lab, play a failure and show what is seen, concluded, done and proven.

    Parameters
    ----------
    scenario
        weekly: login's disk turns read-only; none: nothing breaks until you break it.
    exit_when_healed
        Exit once the cure is proven: 0 if the story was as it should be, else 1.
    as_json
        Tell the timeline as JSON lines, the last of which is the summary.
    frozen_agents
        Freeze agents with their node's root, as if they ran from it: the harshest case.
    port
        Where the supervisor listens, on 127.0.0.1 and on the backup node's address.
    net
        The virtual Pis live in 127.NET.2.*: several labs need several nets.
    directory
        Where the lab's files lie while it runs.
    timeout
        Seconds that the start, and then the cure, may take.
    """
    configure(pretty=True)
    settings = LabSettings(
        directory or default_directory(),
        Addresses(net, port),
        agents_in_memory=not frozen_agents,
    )
    screen = choose(as_json=as_json)
    return run(_Demo(settings, screen, scenario, timeout).play(exit_when_healed=exit_when_healed))


@plainly
def up(*, port: int = DEFAULT_PORT, net: int = DEFAULT_NET, directory: Directory = None) -> int:
    """Run the lab until Ctrl-C and show what the supervisor sees and does."""
    configure(pretty=True)
    settings = LabSettings(directory or default_directory(), Addresses(net, port))
    return run(_Demo(settings, choose(as_json=False), "none", 240.0).play(exit_when_healed=False))


class _Demo:
    """One demo, from the first process to the last."""

    def __init__(
        self, settings: LabSettings, screen: Screen, scenario: Scenario, timeout_s: float
    ) -> None:
        self._settings, self._screen = settings, screen
        self._scenario, self._timeout_s = scenario, timeout_s

    async def play(self, *, exit_when_healed: bool) -> int:
        """Return the exit code."""
        begun = boottime()
        with self._screen.on():
            self._screen.say("starting the switch, 19 Pis and the supervisor")
            async with Lab(self._settings) as lab:
                watch = Watch(lab.url, self._screen.entry, self._screen.status)
                watching = asyncio.get_running_loop().create_task(watch.run(), name="watch")
                try:
                    await self._until_healthy(lab, watch)
                    self._welcome(lab, boottime() - begun)
                    summary = await self._tell(lab, watch)
                    self._screen.summary(summary.as_json(), summary.shortcomings())
                    if not exit_when_healed:
                        await self._stay(lab)
                    return 1 if list(summary.shortcomings()) else 0
                finally:
                    watching.cancel()
                    await asyncio.wait([watching])

    async def _until_healthy(self, lab: Lab, watch: Watch) -> None:
        """Wait for the supervisor's word that all is well. Raises `LabError`."""
        give_up = boottime() + self._timeout_s
        if not await _or_failed(lab, watch.until(lambda: watch.healthy, give_up)):
            verdict = watch.status.get("verdict", "the supervisor does not answer")
            raise LabError(f"not healthy within {self._timeout_s:.0f} s: {verdict}")

    def _welcome(self, lab: Lab, took_s: float) -> None:
        port, option = self._settings.addresses.port, ""
        if self._settings.directory != default_directory():
            option = f" --dir {self._settings.directory}"
        self._screen.say(f"all {len(lab.rack.pis)} nodes healthy after {took_s:.0f} s")
        self._screen.say(f"look:    curl localhost:{port}/status  (or open it in a browser)")
        self._screen.say(f"break:   pimedic lab break green4 hang{option}")
        self._screen.say(f"more:    pimedic lab faults; pimedic lab status{option}")
        self._screen.say(f"token:   {lab.directory.path / 'token'}  (for pimedic pause and such)")

    async def _tell(self, lab: Lab, watch: Watch) -> Summary:
        """Play the scenario and return what came of it."""
        self._screen.start_clock()
        begun, patient = boottime(), None
        if self._scenario == "weekly":
            patient = next(node.name for node in lab.rack.cluster if node.role is Role.LOGIN)
            self._screen.say(f"breaking {lab.rack.suffer(patient, 'read-only')}", patient)
        healed = await _or_failed(
            lab, watch.until(lambda: _is_told(watch, patient), begun + self._timeout_s)
        )
        cycles = power_cycles(lab.power_log, lab.rack.cluster)
        took_s = boottime() - begun
        return Summary(incidents(watch.entries), cycles, took_s, healed, patient)

    async def _stay(self, lab: Lab) -> None:
        """Stay up, showing what happens, until a signal ends it."""
        self._screen.say("the lab stays up; Ctrl-C ends it")
        await lab.rack.failed
        raise _failure(lab)


def _is_told(watch: Watch, patient: str | None) -> bool:
    """Tell whether the scenario has come to its end, good or bad."""
    told = incidents(watch.entries)
    if any(one.outcome == "escalated" for one in told):
        return True
    closed = all(one.outcome == "recovered" for one in told)
    return closed and watch.healthy and (patient is None or bool(told))


async def _or_failed(lab: Lab, work: Coroutine[Any, Any, bool]) -> bool:
    """Await `work`, unless a part of the lab fails for good. Raises `LabError`."""
    task = asyncio.get_running_loop().create_task(work, name="demo-wait")
    try:
        either: list[asyncio.Future[Any]] = [task, lab.rack.failed]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if lab.rack.failed.done():
            raise _failure(lab)
        return task.result()
    finally:
        task.cancel()


def _failure(lab: Lab) -> LabError:
    service = lab.rack.failed.result()
    return LabError(f"the {service.name} keeps ending; it last said:\n{service.last_words()}")
