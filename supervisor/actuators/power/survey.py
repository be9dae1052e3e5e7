"""What works with this switch, found out before anyone relies on it.

`survey` asks everything that can be asked without changing anything, and goes on after a failure
as far as that makes sense. With `exercise` it also switches one unused port off and on, which is
the only proof that the driver really controls the switch.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from common import clock
from common.topology import Cluster
from supervisor.actuators.power.breaker import Breaker
from supervisor.actuators.power.driver import Capability, PortState, PowerDriver, PowerError, Stage
from supervisor.actuators.power.findings import Finding, Mark, TellsMore
from supervisor.actuators.power.guarded import GuardedDriver
from supervisor.actuators.power.ports import in_words, is_off, is_on
from supervisor.actuators.power.settings import PowerSettings

_WAYS: Mapping[Stage, str] = {
    Stage.CREDENTIALS: "the credential files can be used",
    Stage.REACH: "it answers",
    Stage.IDENTITY: "it is the switch that was pinned",
    Stage.LOGIN: "it lets us in",
    Stage.TOOL: "it has what this driver drives",
    Stage.TABLE: "its table of ports is understood",
}
_LIMITS: Mapping[Capability, str] = {
    Capability.OFF_AND_ON: "this driver can only cycle: `off` and `on` are refused",
    Capability.ENDS_ITSELF: (
        "a cycle is two commands: if the supervisor dies in between, the port stays off until it"
        " is back"
    ),
    Capability.DELIVERY: (
        "it tells what a port was told, and not whether power flows: a dead node and a hung one"
        " look the same"
    ),
    Capability.PER_PORT_WATTS: "no watts per port",
    Capability.MAC_LOOKUP: "it can't tell which node hangs on which port: label the cables",
}
_LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class Survey:
    """All of it, in the order in which it was looked at."""

    findings: tuple[Finding, ...]

    @property
    def is_usable(self) -> bool:
        """Whether nothing was found that keeps the driver from working."""
        return all(finding.mark is not Mark.BAD for finding in self.findings)


async def survey(
    driver: PowerDriver,
    cluster: Cluster,
    patience: PowerSettings | None = None,
    *,
    exercise: int | None = None,
) -> Survey:
    """Look at everything; raises nothing for what the switch does, and doesn't close `driver`.

    `exercise` is the number of a port that no node of the inventory uses: it is switched off and
    on, and refused if anything hangs on it. `patience` bounds each question, and is the power
    service's.
    """
    patience = patience or PowerSettings()
    switch = GuardedDriver(driver, patience, Breaker())
    found: list[Finding] = []
    try:
        await switch.validate()
        table = await switch.status()
    except PowerError as error:
        found += _way(error)
        return Survey(tuple(found))
    found += _way(None)
    found += _ports(table, cluster)
    macs: Mapping[str, int] = {}
    if Capability.MAC_LOOKUP in driver.capabilities:
        try:
            macs = await switch.macs()
        except PowerError as error:
            found.append(Finding("addresses", Mark.WARNING, f"can't be read: {error}"))
        else:
            found += _addresses(macs, table, cluster)
    found += _limits(driver.capabilities)
    if isinstance(driver, TellsMore):
        found += await _more(driver, patience)
    if exercise is not None:
        found.append(await _exercise(switch, driver, cluster, exercise, macs, patience))
    return Survey(tuple(found))


def _way(error: PowerError | None) -> Iterator[Finding]:
    """Yield how far we came: what lies before the failure is proven, what lies behind is not."""
    stages = list(Stage)
    failed = stages.index(error.stage) if error else len(stages)
    for index, (stage, text) in enumerate(_WAYS.items()):
        if error and index == failed:
            yield Finding(stage, Mark.BAD, str(error))
        elif index < failed and (error is None or error.stage is not Stage.COMMAND):
            yield Finding(stage, Mark.GOOD, text)
        else:
            yield Finding(stage, Mark.UNTESTED, "")
    if error and error.stage is Stage.COMMAND:
        yield Finding(Stage.COMMAND, Mark.BAD, str(error))


def _ports(table: Mapping[int, PortState], cluster: Cluster) -> Iterator[Finding]:
    missing = [f"{node.name} ({node.port})" for node in cluster if node.port not in table]
    if missing:
        text = f"the switch lists no PoE port for {', '.join(missing)}"
        yield Finding("ports", Mark.BAD, text)
    else:
        text = f"{len(table)} ports, every node's among them"
        yield Finding("ports", Mark.GOOD, text)
    ours = {node.name: table[node.port] for node in cluster if node.port in table}
    unknown = [name for name, port in ours.items() if port.admin == "unknown"]
    if unknown:
        text = f"what the port was told can't be read for {', '.join(unknown)}"
        yield Finding("port settings", Mark.WARNING, text)
    else:
        yield Finding("port settings", Mark.GOOD, "readable for every node's port")
    off = [name for name, port in ours.items() if is_off(port)]
    if off:
        text = f"switched off now: {', '.join(off)}"
        yield Finding("port settings", Mark.WARNING, text)
    idle = [name for name, port in ours.items() if port.delivering is False and not is_off(port)]
    if idle:
        text = f"on, and nothing takes power: {', '.join(idle)}"
        yield Finding("power", Mark.WARNING, text)
    drawing = [port for port in ours.values() if port.delivering]
    metered = sum(port.watts is not None for port in drawing)
    if drawing and metered < len(drawing):
        text = f"watts known for {metered} of {len(drawing)} nodes that take power"
        yield Finding("watts", Mark.WARNING, text)
    elif drawing:
        yield Finding("watts", Mark.GOOD, f"known for all {metered} nodes that take power")


def _addresses(
    macs: Mapping[str, int], table: Mapping[int, PortState], cluster: Cluster
) -> Iterator[Finding]:
    seen = {node.name: macs[node.mac] for node in cluster if node.mac in macs}
    wrong = [node for node in cluster if seen.get(node.name, node.port) != node.port]
    for node in wrong:
        text = f"{node.name} is seen behind port {seen[node.name]}, and not {node.port}"
        yield Finding("addresses", Mark.BAD, text)
    powered = {n.name for n in cluster if n.port in table and table[n.port].delivering}
    unseen = sorted(powered - seen.keys())
    if unseen:
        text = f"not seen on any port though powered: {', '.join(unseen)}"
        yield Finding("addresses", Mark.WARNING, text)
    if not wrong:
        text = f"{len(seen)} of {len(cluster.nodes)} nodes seen, each where the inventory says"
        yield Finding("addresses", Mark.GOOD if seen else Mark.WARNING, text)


def _limits(capabilities: frozenset[Capability]) -> Iterator[Finding]:
    for capability, text in _LIMITS.items():
        if capability not in capabilities:
            yield Finding("limit", Mark.WARNING, text)


async def _more(driver: TellsMore, patience: PowerSettings) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(patience.status_s):
            return await driver.findings()
    except (PowerError, TimeoutError) as error:
        text = str(error) or f"no answer in {patience.status_s:g} s"
        return [Finding("details", Mark.WARNING, text)]


async def _exercise(
    switch: GuardedDriver,
    driver: PowerDriver,
    cluster: Cluster,
    port: int,
    macs: Mapping[str, int],
    patience: PowerSettings,
) -> Finding:
    subject = f"exercise of port {port}"
    try:
        state = (await switch.status()).get(port)
        if reason := _objection(state, port, cluster, macs):
            return Finding(subject, Mark.UNTESTED, f"not done: {reason}")
        if Capability.OFF_AND_ON not in driver.capabilities:
            result = await switch.cycle(port, patience.default_off_s, "exercise")
            text = f"cycle {result.outcome}: {result.detail}; an unused port can't show its effect"
            return Finding(subject, Mark.WARNING, text)
        try:
            await switch.off(port, "exercise")
            went_off = await _until(switch, port, patience, off=True)
        finally:
            await asyncio.shield(switch.on(port, "exercise"))
        came_on = await _until(switch, port, patience, off=False)
    except PowerError as error:
        return Finding(subject, Mark.BAD, str(error))
    if went_off and came_on:
        return Finding(subject, Mark.GOOD, "seen off, then on: the driver controls the switch")
    text = f"seen off: {'yes' if went_off else 'no'}; on again: {'yes' if came_on else 'NO'}"
    return Finding(subject, Mark.BAD, text)


def _objection(
    state: PortState | None, port: int, cluster: Cluster, macs: Mapping[str, int]
) -> str:
    """Return what speaks against switching this port: it must be on, and nobody's."""
    user = next((node.name for node in cluster if node.port == port), None)
    behind = [mac for mac, where in macs.items() if where == port]
    if user:
        return f"it is {user}'s"
    if state is None:
        return "the switch doesn't list it"
    if not is_on(state):
        return f"it is {in_words(state)}: leave it to whoever switched it off"
    if state.delivering:
        return "something takes power there"
    if behind:
        return f"{', '.join(behind)} was seen there"
    return ""


async def _until(switch: GuardedDriver, port: int, patience: PowerSettings, *, off: bool) -> bool:
    deadline = clock.boottime() + patience.settle_s
    while True:
        state = (await switch.status()).get(port)
        if is_off(state) if off else is_on(state):
            return True
        if clock.boottime() >= deadline:
            return False
        await asyncio.sleep(_LOOK_S)
