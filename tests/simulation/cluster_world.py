"""A small deterministic world for the core: the real inventory, virtual time, no I/O.

Each node is alive or not, each tick lets due beats and probes reach the medic, and
power cycles that the medic orders really revive what can be revived.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from common.inventory import load_cluster
from common.observations import Observation, Sense, Truth
from supervisor.core.effects import (
    Action,
    Actuator,
    Effect,
    Kept,
    Note,
    NoteKind,
    Perform,
    Save,
    Treatment,
)
from supervisor.core.events import ActionEnded, Beat, Event, Observed, Result, Tick
from supervisor.core.medic import Medic, Restored
from supervisor.core.policy import Policy
from supervisor.core.runbooks import Runbook
from supervisor.runbook_files import load_runbooks

CONFIG = Path(__file__).resolve().parents[2] / "config"
CLUSTER = load_cluster(CONFIG / "cluster.toml")
SHIPPED = load_runbooks(CONFIG / "runbooks")
# Virtual time costs real time: what waits longer than a minute waits a minute here.
RUNBOOKS = [replace(runbook, hold_s=min(runbook.hold_s, 60.0)) for runbook in SHIPPED]
CURES = {
    Treatment.FIX_HOSTS: ("name_unresolvable",),
    Treatment.SET_TIME_SYNC: ("timezone_wrong", "clock_unsynced"),
    Treatment.FIX_KERNEL_IMAGE: ("kernel_image_unreadable",),
}
NETBOOTED = CLUSTER.dependents("pi_login")


@dataclass
class VirtualNode:
    """What is true of one node."""

    name: str
    boot: int = 1
    booted_at: float = -1000.0
    beating: bool = True
    ssh: str = "banner"
    tcp: str = "open"
    power: str = "on"
    link: str = ""  # empty: the switch doesn't tell
    watts: float | None = None
    read_only: bool = False
    stalled: bool = False
    """Its root doesn't answer, and its agent, which runs from memory, says so."""
    back_at: float | None = None
    failed_units: tuple[str, ...] = ()
    mended_units: tuple[str, ...] = ()
    tells: dict[str, bool] = field(default_factory=dict)
    """What else its agent reports: condition -> whether it is true."""

    def report(self) -> tuple[Observation, ...]:
        outcome = "true" if self.read_only else "false"
        detail = "superblock emergency_ro" if self.read_only else "rw"
        read_only = Observation(Sense.AGENT, self.name, "root_read_only", outcome, "/", detail)
        units = dict.fromkeys(self.mended_units, "false")
        units |= dict.fromkeys(self.failed_units, "true")
        told = (
            *(("unit_failed", outcome, unit) for unit, outcome in units.items()),
            *((kind, str(true).lower(), "") for kind, true in self.tells.items()),
        )
        others = (Observation(Sense.AGENT, self.name, *one) for one in told)
        said = "/ hasn't answered for 43 s" if self.stalled else "/ answers"
        outcome = "true" if self.stalled else "false"
        stalled = Observation(Sense.AGENT, self.name, "root_stalled", outcome, "", said)
        return (read_only, stalled, *others)


@dataclass
class World:
    """The cluster, the medic that watches it, and everything the medic said."""

    seed: int = 1
    policy: Policy = field(default_factory=Policy)
    runbooks: Sequence[Runbook] = tuple(RUNBOOKS)
    loss: float = 0.0
    boot_s: float = 20.0
    tick_s: float = 0.25  # as the daemon; long stories may go by the second
    revives: Callable[[VirtualNode], bool] = lambda _node: True
    power_result: Result = Result.SUCCEEDED

    def __post_init__(self) -> None:
        self.now = 1000.0
        self.random = Random(self.seed)  # noqa: S311 - a seeded world, not a secret
        self.nodes = {name: VirtualNode(name) for name in CLUSTER.nodes}
        self.store: dict[tuple[str, str], dict[str, object]] = {}
        self.effects: list[tuple[float, Effect]] = []
        self.frozen_until: dict[str, float] = {}
        self.link = True  # the supervisor's own way to everything
        self.switch = True  # whether the switch answers
        self.results: dict[Treatment | Actuator, Result] = {}
        self.nodes_without_agent: set[str] = set()
        self.heals = True  # whether mild treatments work
        self.nfs_restart_helps = True
        self.answer = True  # whether actuators report back
        self.medic = Medic(CLUSTER, self.runbooks, self.policy, self.now)
        self.probe()

    # --- reading what happened ----------------------------------------------------------------

    @property
    def actions(self) -> list[Action]:
        return [e.action for _, e in self.effects if isinstance(e, Perform)]

    def notes(self, kind: NoteKind) -> list[Note]:
        return [e for _, e in self.effects if isinstance(e, Note) and e.kind is kind]

    def node_state(self, name: str) -> str:
        return next(n.state for n in self.medic.status(self.now).nodes if n.name == name)

    # --- time -----------------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.tick()

    def run_until(self, true: Callable[[], bool], at_most: float) -> None:
        """Let virtual time pass until `true()`; fail after `at_most` seconds of it."""
        end = self.now + at_most
        while not true():
            assert self.now < end, f"not within {at_most} virtual seconds"
            self.tick()

    def tick(self) -> None:
        self.now = round(self.now + self.tick_s, 6)
        for node in self.nodes.values():
            if node.back_at is not None and self.now >= node.back_at:
                self._boot(node)
        if self.now % 1.0 == 0:
            for node in self.nodes.values():
                self._beat(node)
        if self.now % 3.0 == 0:
            self.probe()
        self.feed(Tick())

    def _beat(self, node: VirtualNode) -> None:
        frozen = self.frozen_until.get(node.name, 0) > self.now
        if not self.link or not node.beating or frozen or self.random.random() < self.loss:
            return
        uptime = self.now - node.booted_at
        self.feed(Beat(node.name, f"{node.name}-{node.boot}", uptime, 1.0, node.report()))

    def probe(self) -> None:
        """Every probe looks at every node once."""
        away = Truth.FALSE if self.link and self.switch else Truth.TRUE
        self.feed(Observed((Observation(Sense.SWITCH, "switch", "switch_unreachable", away),)))
        for node in self.nodes.values():
            looks = {"ssh_banner": node.ssh, "tcp": node.tcp}
            if not self.link:
                looks = dict.fromkeys(looks, "nothing")
            seen = [Observation(Sense.PROBE, node.name, kind, what) for kind, what in looks.items()]
            self.feed(Observed((*seen, *self._port(node))))

    def look_at_switch(self) -> None:
        """The switch's sense alone looks, as it does every second while somebody is uneasy."""
        for node in self.nodes.values():
            self.feed(Observed(tuple(self._port(node))))

    def _port(self, node: VirtualNode) -> Iterator[Observation]:
        if not self.link or not self.switch:
            return
        if node.link:
            yield Observation(Sense.SWITCH, node.name, "link", node.link)
        yield Observation(
            Sense.SWITCH, node.name, "port", node.power, detail="class 4", value=node.watts
        )

    def feed(self, event: Event) -> None:
        """Hand an event to the medic and carry out what it wants, as the daemon would."""
        for effect in self.medic.handle(event, self.now):
            self.effects.append((self.now, effect))
            match effect:
                case Save(kept, key, record):
                    self.store[kept, key] = json.loads(json.dumps(record))
                case Perform(action):
                    self._perform(action)
                case _:
                    pass

    def _perform(self, action: Action) -> None:
        node = self.nodes[action.node]
        if action.treatment is Treatment.POWER_CYCLE and self.power_result is Result.SUCCEEDED:
            self.kill(node.name)
            if self.revives(node):
                node.back_at = self.now + self.boot_s
        succeeds = self.results.get(action.treatment, self.power_result) is Result.SUCCEEDED
        if action.treatment is Treatment.POWER_OFF and succeeds:
            self.kill(node.name, power="disabled")
        if action.treatment is Treatment.POWER_ON and succeeds:
            node.power, node.back_at = "on", self.now + self.boot_s
        installed = node.name not in self.nodes_without_agent
        if action.treatment is Treatment.RESTART_AGENT and node.ssh == "banner" and installed:
            node.beating = True
        result = self.results.get(
            action.actuator, self.results.get(action.treatment, self.power_result)
        )
        if result is Result.SUCCEEDED and self.heals:
            self._heal(node, action)
        if self.answer:
            self.feed(ActionEnded(action.id, result, "told by the world"))

    def _heal(self, node: VirtualNode, action: Action) -> None:
        """Do what a mild treatment does when it works."""
        match action.treatment:
            case Treatment.RESTART_UNIT:
                unit = action.arguments["unit"]
                node.failed_units = tuple(one for one in node.failed_units if one != unit)
                node.mended_units = (*node.mended_units, unit)
                if unit == "nfs-server.service" and self.nfs_restart_helps:
                    self.thaw(*(name for name in NETBOOTED if self.nodes[name].stalled))
            case Treatment.REMOUNT_RW:
                node.read_only = False
            case Treatment.AGENT_REBOOT | Treatment.REBOOT:
                self.kill(node.name)
                node.back_at = self.now + self.boot_s
            case treatment:
                for kind in CURES.get(treatment, ()):
                    node.tells[kind] = False

    # --- what befalls nodes -------------------------------------------------------------------

    def kill(self, name: str, *, power: str = "on") -> None:
        node = self.nodes[name]
        node.beating, node.ssh, node.tcp, node.power = False, "nothing", "nothing", power

    def hang(self, *names: str) -> None:
        """Userland stops: TCP is accepted, nothing is said."""
        for name in names:
            node = self.nodes[name]
            node.beating, node.ssh = False, "silent"

    def stall(self, *names: str) -> None:
        """Roots hang: sshd hangs with them, agents beat on."""
        for name in names:
            node = self.nodes[name]
            node.stalled, node.ssh = True, "silent"

    def thaw(self, *names: str) -> None:
        for name in names:
            node = self.nodes[name]
            node.stalled = False
            node.beating, node.ssh, node.tcp = True, "banner", "open"

    def weekly_failure(self) -> None:
        """Login's disk turns read-only, its ssh resets, and every NFS root hangs."""
        self.nodes["pi_login"].read_only = True
        self.nodes["pi_login"].ssh = "reset"
        self.hang(*NETBOOTED)

    def _boot(self, node: VirtualNode) -> None:
        node.boot, node.booted_at, node.back_at = node.boot + 1, self.now, None
        node.read_only, node.power = False, "on"
        self.thaw(node.name)
        node.beating = node.name not in self.nodes_without_agent
        if node.name == "pi_login":
            self.thaw(*NETBOOTED)

    # --- the supervisor itself ------------------------------------------------------------------

    def restart_supervisor(self) -> None:
        """A new medic, knowing only what was saved."""
        kept: dict[Kept, list[dict[str, object]]] = {kind: [] for kind in Kept}
        for (kind, _), record in self.store.items():
            if record.get("state") != "recovered":
                kept[Kept(kind)].append(record)
        numbers = [int(key[4:]) for kind, key in self.store if kind == Kept.INCIDENT]
        restored = Restored(
            kept[Kept.INCIDENT],
            kept[Kept.ACTION],
            kept[Kept.OVERRIDE],
            max(numbers, default=0) + 1,
        )
        self.medic = Medic(CLUSTER, self.runbooks, self.policy, self.now, restored)
