"""A world where everything goes wrong at random, and the promises are checked at every act.

What is true of a node is its `fault`; what the senses see follows from it, and from login: while
login is ill its netbooted nodes freeze, and they thaw one by one some time after it is well.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from common.observations import Observation, Sense, Truth
from supervisor.core.effects import (
    Action,
    Effect,
    Forget,
    Kept,
    Note,
    NoteKind,
    Perform,
    Save,
    Treatment,
)
from supervisor.core.events import (
    ActionEnded,
    ActRequested,
    Beat,
    Event,
    Observed,
    Override,
    OverrideKind,
    OverrideLifted,
    OverrideSet,
    Result,
    Tick,
)
from supervisor.core.medic import Medic, Restored
from supervisor.core.policy import Policy
from tests.simulation.cluster_world import CLUSTER, NETBOOTED, RUNBOOKS

LOGIN = "pi_login"
SURELY_WELL_S = 15.0
PATIENTS = {name: node for name, node in CLUSTER.nodes.items() if not node.protected}
BUDGETS = {runbook.name: (runbook.budget, runbook.window_s) for runbook in RUNBOOKS}

# fault -> what the senses see of it: beats, ssh, tcp, port
WELL = (True, "banner", "open", "on")
SEEN = {
    "": WELL,
    "hang": (False, "silent", "open", "on"),
    "frozen": (False, "silent", "open", "on"),
    "kill": (False, "nothing", "nothing", "on"),
    "boot": (False, "nothing", "nothing", "on"),
    "late boot": (False, "refused", "open", "on"),
    "unpowered": (False, "nothing", "nothing", "off"),
    "disabled": (False, "nothing", "nothing", "disabled"),
    "agent": (False, "banner", "open", "on"),
    "userland": (False, "refused", "open", "on"),
    "reset": (True, "reset", "open", "on"),  # a disk that turned read-only
}
CURABLE = ("hang", "kill", "unpowered", "agent", "userland")
LOGINS_OWN = ("reset", "hang", "kill")


@dataclass
class Machine:
    """What is true of one node."""

    name: str
    fault: str = ""
    boot: int = 1
    booted_at: float = -1000.0
    up_at: float | None = None
    thaws_at: float = 0.0
    stalled_until: float = 0.0
    has_agent: bool = True


@dataclass
class TroubledWorld:
    """Draws trouble from `seed`; `check` raises on the first broken promise."""

    seed: int
    policy: Policy = field(default_factory=Policy)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)  # noqa: S311 - a seeded world, not a secret
        self.now = 1000.0
        self.machines = {name: Machine(name) for name in CLUSTER.nodes}
        self.well_since = dict.fromkeys(CLUSTER.nodes, self.now)
        self.loss = self.random.choice([0.0, 0.0, 0.1, 0.3])
        self.link_out_until = 0.0  # the supervisor's own way to everything
        self.switch_out_until = 0.0
        self.hands_work = False
        self.boots = 0
        self.store: dict[tuple[str, str], dict[str, object]] = {}
        self.overrides: dict[str, Override] = {}
        self.pending: list[tuple[float, Action, Result, bool]] = []
        self.crash_before: type[Save | Perform] | None = None
        self.trace: list[tuple[float, object]] = []
        self.open: dict[str, str] = {}  # node -> incident
        self.escalated: set[str] = set()
        self.medic = Medic(CLUSTER, RUNBOOKS, self.policy, self.now)

    # --- what is true -------------------------------------------------------------------------

    def fault_of(self, machine: Machine) -> str:
        if machine.fault or machine.name not in NETBOOTED:
            return machine.fault
        login = self.machines[LOGIN].fault
        if login in {"reset", "hang", "kill", "boot", "late boot", "unpowered"}:
            machine.thaws_at = self.now + self.random.uniform(0, 45)
        return "frozen" if machine.thaws_at > self.now else ""

    def time_passes(self) -> None:
        self.now = round(self.now + 1.0, 6)
        for machine in self.machines.values():
            if machine.up_at is not None and self.now >= machine.up_at - 8:
                machine.fault = "late boot"
            if machine.up_at is not None and self.now >= machine.up_at:
                self.boots += 1
                machine.boot, machine.booted_at = machine.boot + 1, self.now
                machine.fault, machine.up_at = ("" if machine.has_agent else "agent"), None
            if self.fault_of(machine):
                self.well_since[machine.name] = self.now

    def seconds(self, count: int) -> None:
        for _ in range(count):
            self.second()

    def until(self, true: Callable[[], bool], at_most: int) -> None:
        """Let time pass until `true()`; fail after `at_most` seconds."""
        end = self.now + at_most
        while not true():
            assert self.now < end, f"{self.uncured()}: {self.medic.status(self.now).verdict}"
            self.second()

    # --- what the medic is told ---------------------------------------------------------------

    def second(self) -> None:
        self.time_passes()
        for machine in self.machines.values():
            self._beat(machine)
        if self.now % 3 == 0:
            self._probe()
        due = [one for one in self.pending if one[0] <= self.now]
        self.pending = [one for one in self.pending if one[0] > self.now]
        for _, action, result, effective in due:
            self._carry_out(action, result, effective)
        self.tell(Tick())

    def _beat(self, machine: Machine) -> None:
        fault = self.fault_of(machine)
        beating = SEEN[fault][0] and machine.has_agent and machine.stalled_until <= self.now
        if beating and self.link and self.random.random() >= self.loss:
            outcome = Truth.TRUE if fault == "reset" else Truth.FALSE
            report = Observation(Sense.AGENT, machine.name, "root_read_only", outcome, "/")
            boot, uptime = f"{machine.name}-{machine.boot}", self.now - machine.booted_at
            self.tell(Beat(machine.name, boot, uptime, 1.0, (report,)))

    def _probe(self) -> None:
        seen = [
            Observation(Sense.SWITCH, "switch", "switch_unreachable", str(not self.switch).lower())
        ]
        for machine in self.machines.values():
            _, ssh, tcp, port = SEEN[self.fault_of(machine)]
            lost = not self.link or self.random.random() < self.loss
            looks = {"ssh_banner": "nothing" if lost else ssh, "tcp": "nothing" if lost else tcp}
            for kind, outcome in looks.items():
                seen.append(Observation(Sense.PROBE, machine.name, kind, outcome))
            if self.switch:
                seen.append(Observation(Sense.SWITCH, machine.name, "port", port))
        self.tell(Observed(tuple(seen)))

    def tell(self, event: Event) -> None:
        """Do what the medic wants, as the daemon does: keep all records, then begin to act.

        A crash may come before the records are kept, or between them and the first act.
        """
        effects = self.medic.handle(event, self.now)
        crash = self.crash_before if effects else None
        if crash is not Save:
            for effect in effects:
                self._keep(effect)
            for effect in effects if crash is None else ():
                if isinstance(effect, Perform):
                    self._check_act(effect.action)
                    self._begin(effect.action)
        if crash is not None:
            self.restart()

    def _keep(self, effect: Effect) -> None:
        self.trace.append((self.now, effect))
        match effect:
            case Save(kept, key, record):
                self.store[kept, key] = json.loads(json.dumps(record))
            case Forget(kept, key):
                self.store.pop((kept, key), None)
            case Note():
                self._check_note(effect)
            case Perform():
                pass

    # --- hands --------------------------------------------------------------------------------

    def _begin(self, action: Action) -> None:
        power = action.treatment.cuts_power
        if power and not self.switch:
            result, effective = Result.NOT_SENT, False
        elif self.hands_work:
            result, effective = Result.SUCCEEDED, True
        else:
            result = self.random.choice([Result.SUCCEEDED] * 4 + list(Result))
            effective = result in {Result.SUCCEEDED, Result.UNKNOWN} and self.random.random() < 0.7
        self.pending.append((self.now + self.random.randint(1, 20), action, result, effective))

    def _carry_out(self, action: Action, result: Result, effective: bool) -> None:  # noqa: FBT001
        machine = self.machines[action.node]
        if effective and action.treatment is Treatment.POWER_CYCLE:
            machine.fault, machine.up_at = "boot", self.now + self.random.randint(15, 60)
        if effective and action.treatment is Treatment.RESTART_AGENT and machine.fault == "agent":
            machine.fault = "" if machine.has_agent else "agent"
        if self.hands_work or self.random.random() < 0.8:
            self.tell(ActionEnded(action.id, result, "told by the world"))

    # --- the supervisor itself ----------------------------------------------------------------

    def restart(self) -> None:
        """A new medic, knowing only what was saved; whoever reported to the old one is unheard."""
        self.crash_before = None
        kept = {
            kind: [r for (k, _), r in self.store.items() if k == kind and not _closed(r)]
            for kind in Kept
        }
        self.open = {str(r["node"]): str(r["id"]) for r in kept[Kept.INCIDENT]}
        numbers = [int(key[4:]) for kind, key in self.store if kind == Kept.INCIDENT]
        self.pending = [replace_result(one) for one in self.pending if self.random.random() < 0.7]
        restored = Restored(
            kept[Kept.INCIDENT],
            kept[Kept.ACTION],
            kept[Kept.OVERRIDE],
            max(numbers, default=0) + 1,
        )
        self.medic = Medic(CLUSTER, RUNBOOKS, self.policy, self.now, restored)

    # --- trouble ------------------------------------------------------------------------------

    def trouble(self) -> None:
        """Something happens."""
        self.random.choice(
            [
                *[self.one_node_falls_ill] * 4,
                self.login_falls_ill,
                self.several_fall_ill,
                self.a_port_is_disabled,
                *[self.crash_soon] * 2,
                self.nap,
                self.pause,
                self.a_person_cycles,
                self.agents_stall,
                self.switch_goes,
                self.link_goes,
            ]
        )()

    def one_node_falls_ill(self) -> None:
        self.befall(self.random.choice(list(PATIENTS)), self.random.choice(CURABLE))

    def login_falls_ill(self) -> None:
        self.befall(LOGIN, self.random.choice(LOGINS_OWN))

    def several_fall_ill(self) -> None:
        for name in self.random.sample(list(PATIENTS), self.random.randint(2, 4)):
            self.befall(name, self.random.choice(CURABLE))

    def a_port_is_disabled(self) -> None:
        self.befall(self.random.choice(NETBOOTED), "disabled")

    def crash_soon(self) -> None:
        self.crash_before = self.random.choice([Save, Perform])

    def nap(self) -> None:
        """The supervisor's machine stands still; the world does not."""
        for _ in range(self.random.randint(2, 120)):
            self.time_passes()

    def agents_stall(self) -> None:
        for name in self.random.sample(list(CLUSTER.nodes), 5):
            self.machines[name].stalled_until = self.now + 10

    def a_person_cycles(self) -> None:
        number, node = len(self.trace), self.random.choice(list(PATIENTS))
        self.tell(ActRequested(f"r{number}", node, "power_cycle", "ada", "stuck"))

    def switch_goes(self) -> None:
        self.switch_out_until = self.now + self.random.randint(5, 200)

    def link_goes(self) -> None:
        self.link_out_until = self.now + self.random.randint(5, 200)

    @property
    def link(self) -> bool:
        return self.now >= self.link_out_until

    @property
    def switch(self) -> bool:
        return self.link and self.now >= self.switch_out_until

    def befall(self, name: str, fault: str) -> None:
        machine = self.machines[name]
        if not machine.fault and not (name == LOGIN and fault == "disabled"):
            machine.fault = fault
            self.well_since[name] = self.now

    def pause(self) -> None:
        number, dice = len(self.trace), self.random
        scope = dice.choice(["all", f"node:{LOGIN}", "group:green", "runbook:node-hung"])
        kind = dice.choice([OverrideKind.PAUSE, OverrideKind.MAINTENANCE])
        override = Override(f"o{number}", kind, scope, "ada", "x", self.now + dice.randint(30, 400))
        self.tell(OverrideSet(override))
        if (Kept.OVERRIDE, override.id) in self.store:  # else the crash came first
            self.overrides[override.id] = override

    def calm(self) -> None:
        """From now on nothing new goes wrong, and hands do what they are told."""
        self.hands_work = True
        self.link_out_until = self.switch_out_until = 0.0
        self.crash_before, self.loss = None, 0.0
        for override_id in list(self.overrides):
            self.tell(OverrideLifted(override_id, "ada"))
        self.overrides.clear()

    def a_person_comes(self) -> None:
        """Mends by hand whatever is left."""
        for machine in self.machines.values():
            if machine.fault and machine.up_at is None:
                machine.fault, machine.boot, machine.booted_at = "", machine.boot + 1, self.now

    def uncured(self) -> dict[str, str]:
        """Return the ill that are neither cured nor given into a person's hands."""
        called = {r["node"] for r in self._saved(Kept.INCIDENT) if r["called"] and not _closed(r)}
        faults = {m.name: self.fault_of(m) for m in self.machines.values()}
        excused = called | (set(NETBOOTED) if LOGIN in called else set())
        return {n: f for n, f in faults.items() if f not in {"", "disabled"} and n not in excused}

    # --- promises -----------------------------------------------------------------------------

    def _check_act(self, action: Action) -> None:
        """A person's order is bound by little; what pimedic does by itself, by every promise."""
        node, machine = CLUSTER.nodes[action.node], self.machines[action.node]
        for override in self.overrides.values():
            in_force = override.until is None or override.until > self.now
            covered = action.runbook and override.covers(node.name, node.groups, action.runbook)
            assert not (in_force and covered), f"{action} under {override}"
        if action.runbook:
            self._check_budget(action)
        if not action.treatment.takes_node_down:
            return
        assert not node.protected, action
        if not action.runbook:
            return  # people know what they do
        well_s = self.now - self.well_since[node.name]
        assert well_s < SURELY_WELL_S, f"{action}: well for {well_s:.0f} s"
        assert self.fault_of(machine) not in {"frozen", "disabled"}, (action, machine)
        status = self.medic.status(self.now)
        named = next(n for n in status.nodes if n.name == node.name)
        own = {"unpowered"} & {c.kind for c in named.conditions if c.status is Truth.TRUE}
        assert named.explained_by is None or own, f"{action}: explained by {named.explained_by}"
        self._check_unavailable()

    def _check_unavailable(self) -> None:
        down = {r["node"] for r in self._saved(Kept.INCIDENT) if self._held_down(r)}
        assert len(down) <= self.policy.max_unavailable, f"{down} at once"

    def _held_down(self, record: dict[str, object]) -> bool:
        action = self.store.get((Kept.ACTION, str(record["action_id"])))
        treated = record["state"] in {"treating", "verifying"}
        return treated and bool(action and action["disruptive"])

    def _check_budget(self, action: Action) -> None:
        budget, window = BUDGETS[action.runbook or ""]
        spent = [
            past
            for past in self._saved(Kept.ACTION)
            if (past["node"], past["runbook"]) == (action.node, action.runbook)
            and self.now - float(str(past["at"])) < window
        ]
        assert len(spent) <= budget, spent

    def _saved(self, kept: Kept) -> list[dict[str, object]]:
        return [record for (kind, _), record in self.store.items() if kind == kept]

    def _check_note(self, note: Note) -> None:
        node, incident = str(note.node), str(note.incident)
        match note.kind:
            case NoteKind.INCIDENT_OPENED:
                assert node not in self.open, f"{note}: {self.open[node]} is open"
                self.open[node] = incident
            case NoteKind.RECOVERED:
                self.open.pop(node, None)
            case NoteKind.ESCALATED:
                assert incident not in self.escalated, f"{note}: again"
                self.escalated.add(incident)
            case _:
                pass


def _closed(record: dict[str, object]) -> bool:
    return record.get("state") == "recovered"


def replace_result(
    one: tuple[float, Action, Result, bool],
) -> tuple[float, Action, Result, bool]:
    """Reconciliation can say of an old supervisor's act only that it may have happened."""
    at, action, _, effective = one
    return at, action, Result.UNKNOWN, effective
