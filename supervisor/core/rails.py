"""The rails: small rules that every action passes, in one list. A refusal says which and why.

Each rule looks at the proposed action and the situation and returns a reason to hold it back,
or None. A rule never acts and never remembers. Rules marked automatic bind pimedic alone;
the others bind people too, unless they skip them by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from common.observations import Truth
from common.topology import Node
from supervisor.core.conditions import NEVER, SWITCH, phrase
from supervisor.core.diagnosis import doubtful_upstream, suspects
from supervisor.core.effects import Actuator, Treatment
from supervisor.core.incidents import Incident
from supervisor.core.ports import Power
from supervisor.core.runbooks import Runbook
from supervisor.core.situation import Situation
from supervisor.core.ways import open_ways, why_closed

_MUST_BOOT = frozenset({"heartbeat_lost"})
"""What a node will show that is taken down while its provider can't let it boot."""


class Rail(StrEnum):
    """Why an action is held back."""

    PROTECTED = "protected"
    OVERRIDE = "override"
    WARM_UP = "warm_up"
    SELF_DOUBT = "self_doubt"
    EXPLAINED = "explained"
    UPSTREAM_IN_DOUBT = "upstream_in_doubt"
    SWITCH_IN_DOUBT = "switch_in_doubt"
    PORT_MISMATCH = "port_mismatch"
    NO_WAY = "no_way"
    STORM = "storm"
    MAX_UNAVAILABLE = "max_unavailable"
    BUSY = "busy"
    COOL_DOWN = "cool_down"
    STARTS = "starts"
    BOOT_GRACE = "boot_grace"
    BUDGET = "budget"
    CLUSTER_BUDGET = "cluster_budget"


@dataclass(frozen=True, slots=True)
class Proposal:
    """An action somebody wants. `incident` and `runbook` are None when a person asks."""

    node: Node
    treatment: Treatment
    incident: Incident | None = None
    runbook: Runbook | None = None
    allow_protected: bool = False
    ways: tuple[Actuator, ...] = ()
    """By whom it may be done; empty: whoever can."""
    skip: frozenset[str] = frozenset()

    @property
    def symptoms(self) -> frozenset[str]:
        """What it is meant to cure; nothing in particular when a person asks."""
        return frozenset(self.incident.symptoms if self.incident else ())

    @property
    def automatic(self) -> bool:
        """Tell whether pimedic itself proposes it."""
        return self.runbook is not None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Which rail holds the action back, and why, in words."""

    rail: Rail
    text: str


def protected(want: Proposal, _: Situation) -> str | None:
    """Promise 1: a protected port is switched off for nobody who doesn't say so."""
    if want.treatment.cuts_power and want.node.protected and not want.allow_protected:
        return f"{want.node.name} is protected: its port {want.node.port} is never switched off"
    return None


def override(want: Proposal, given: Situation) -> str | None:
    """Promise 4: under a pause or maintenance nothing automatic happens in its scope."""
    for held in given.covering(want.node.name, want.runbook.name if want.runbook else None):
        return f"{held.kind} of {held.scope} by {held.author}: {held.reason}"
    return None


def warm_up(_: Proposal, given: Situation) -> str | None:
    """A supervisor that just started has seen too little to act."""
    left = given.started_at + given.policy.warm_up_s - given.now
    return f"started just now; watching {left:.0f} s more" if left > 0 else None


def self_doubt(_: Proposal, given: Situation) -> str | None:
    """Promise 8: if we ourselves slept or stumbled, silence proves nothing."""
    left = given.doubt_until - given.now
    return f"{given.doubt}; watching {left:.0f} s more" if left > 0 else None


def explained(want: Proposal, given: Situation) -> str | None:
    """Promise 5: symptoms of an upstream illness are not treated."""
    explanation = given.explanations.get(want.node.name)
    true = want.symptoms & given.ward[want.node.name].true_kinds
    if explanation and true and true <= explanation.kinds:
        return f"explained by {explanation.root}"
    return None


def upstream_in_doubt(want: Proposal, given: Situation) -> str | None:
    """Don't cut a node's power while what it depends on may be the real patient."""
    if not want.treatment.takes_node_down:
        return None
    kinds = want.symptoms | _MUST_BOOT
    provider = doubtful_upstream(given.cluster, given.ward, want.node.name, kinds)
    return f"{provider}, which it depends on, is not certainly well" if provider else None


def switch_in_doubt(want: Proposal, given: Situation) -> str | None:
    """Promise 3: don't cut power blind; a switch out of reach may mean that we are cut off."""
    if not want.treatment.cuts_power:
        return None
    away = given.ward[SWITCH].conditions.get("switch_unreachable")
    if away and away.status is Truth.TRUE:
        return f"the switch can't be reached ({away.reason}), so silence proves nothing"
    left = away.since + given.policy.doubt_s - given.now if away else 0.0
    if left > 0:
        return f"the switch could be reached again only just now; watching {left:.0f} s more"
    if given.ward[want.node.name].signs.power is Power.UNKNOWN:
        return f"the switch hasn't told of port {want.node.port} lately"
    return None


def port_mismatch(want: Proposal, given: Situation) -> str | None:
    """Don't cut a port behind which another machine hangs: the inventory is out of date."""
    found = given.ward[want.node.name].conditions.get("port_mismatch")
    if not want.treatment.cuts_power or found is None or found.status is not Truth.TRUE:
        return None
    return f"{found.reason}: correct the inventory, or the cable, first"


def no_way(want: Proposal, given: Situation) -> str | None:
    """Nobody is ordered whose door is shut: it would only cost the deadline."""
    ways = want.ways or want.treatment.ways
    return None if open_ways(ways, given.ward[want.node.name]) else why_closed(ways)


def storm(want: Proposal, given: Situation) -> str | None:
    """Promise 3: many independent nodes sick at once means that the fault is ours.

    Those that were treated in vain have been sick for long and on their own: they don't count.
    """
    if not want.treatment.takes_node_down:
        return None
    dependent = (given.explanations.keys() - given.sick) | given.given_up
    independent = len(given.cluster.nodes) - len(dependent)
    limit = max(given.policy.storm_minimum, given.policy.storm_fraction * independent)
    if len(given.sick) >= limit:
        return f"{len(given.sick)} of {independent} independent nodes are sick at once"
    return None


def max_unavailable(want: Proposal, given: Situation) -> str | None:
    """Promise 3: treatments never hold more than so many nodes down at once."""
    if not want.treatment.takes_node_down:
        return None
    disruptive = {p.id for p in given.past if p.disruptive}
    treated = [i for i in given.incidents if i.under_treatment and i.action_id in disruptive]
    down = {i.node for i in treated} - {want.node.name}
    if len(down) >= given.policy.max_unavailable:
        return f"already under treatment: {', '.join(sorted(down))}"
    return None


def busy(want: Proposal, given: Situation) -> str | None:
    """One action at a time on a node."""
    if want.node.name in given.acting_on:
        return f"another action on {want.node.name} is under way"
    return None


def cool_down(want: Proposal, given: Situation) -> str | None:
    """Two disruptive acts on one node keep their distance."""
    if not want.treatment.takes_node_down:
        return None
    acts = [p.at for p in given.past if p.node == want.node.name and p.disruptive]
    left = max(acts, default=NEVER) + given.policy.cool_down_s - given.now
    return f"last disruptive action too recent; {left:.0f} s more" if left > 0 else None


def starts(want: Proposal, given: Situation) -> str | None:
    """Few nodes boot at once, and not in the same second: TFTP and inrush allow no more."""
    if not want.treatment.gives_power:
        return None
    others = [p.at for p in given.past if p.gave_power and p.node != want.node.name]
    latest = max(others, default=NEVER)
    left = latest + given.policy.stagger_s - given.now
    if left > 0:
        return f"another node was started just now; {left:.0f} s more"
    booting = given.booting() - {want.node.name}
    if len(booting) >= given.policy.max_booting:
        return f"already booting: {', '.join(sorted(booting))}"
    return None


def boot_grace(want: Proposal, given: Situation) -> str | None:
    """A node that just began to answer again, or whose provider was away, gets time to boot."""
    left = given.booting_left(want.node.name)
    if left > 0:
        return f"it was dark until lately and may be booting; {left:.0f} s more"
    if not want.treatment.takes_node_down:
        return None
    upstream = suspects(given.cluster, want.node.name, want.symptoms | _MUST_BOOT)
    acts = [p.at for p in given.past if p.node in upstream and p.disruptive]
    left = max(acts, default=NEVER) + given.policy.boot_grace_s - given.now
    if left > 0:
        return f"a node it depends on was restarted; {left:.0f} s more"
    left = given.thaw_left(want.node.name, want.symptoms)
    return f"a node it depends on was ill until now; {left:.0f} s more" if left > 0 else None


def budget(want: Proposal, given: Situation) -> str | None:
    """Promise 6: so many actions per node and runbook; then a person must look."""
    if want.runbook is None:
        return None
    since = given.now - want.runbook.window_s
    spent = [p for p in given.past if p.node == want.node.name and p.at > since]
    used = sum(p.runbook == want.runbook.name for p in spent)
    if used >= want.runbook.budget:
        return f"{used} actions by {want.runbook.name} within {want.runbook.window_s / 60:.0f} min"
    return None


def cluster_budget(want: Proposal, given: Situation) -> str | None:
    """Promise 6: so many disruptive acts in the whole cluster."""
    if not want.treatment.takes_node_down:
        return None
    since = given.now - given.policy.cluster_window_s
    used = sum(p.disruptive and p.at > since and p.runbook is not None for p in given.past)
    if used >= given.policy.cluster_budget:
        return f"{used} disruptive actions in the cluster within the window"
    return None


Rule = Callable[[Proposal, Situation], str | None]

RULES: Mapping[Rail, Rule] = {
    Rail.PROTECTED: protected,
    Rail.OVERRIDE: override,
    Rail.WARM_UP: warm_up,
    Rail.SELF_DOUBT: self_doubt,
    Rail.EXPLAINED: explained,
    Rail.UPSTREAM_IN_DOUBT: upstream_in_doubt,
    Rail.SWITCH_IN_DOUBT: switch_in_doubt,
    Rail.PORT_MISMATCH: port_mismatch,
    Rail.NO_WAY: no_way,
    Rail.STORM: storm,
    Rail.MAX_UNAVAILABLE: max_unavailable,
    Rail.BUSY: busy,
    Rail.COOL_DOWN: cool_down,
    Rail.STARTS: starts,
    Rail.BOOT_GRACE: boot_grace,
    Rail.BUDGET: budget,
    Rail.CLUSTER_BUDGET: cluster_budget,
}
BINDS_PEOPLE = frozenset(
    {Rail.PROTECTED, Rail.PORT_MISMATCH, Rail.BUSY, Rail.COOL_DOWN, Rail.STARTS}
)
NEVER_SKIPPED = frozenset({Rail.PROTECTED, Rail.BUSY})  # `protected` has its own, louder, word
ENDS_IN_ESCALATION = frozenset({Rail.BUDGET, Rail.PROTECTED})


def refusals(want: Proposal, given: Situation) -> list[Refusal]:
    """Return every rail that holds `want` back; empty means go."""
    asked = RULES if want.automatic else {r: RULES[r] for r in RULES if r in BINDS_PEOPLE}
    skipped = {r for r in asked if r in want.skip and r not in NEVER_SKIPPED}
    answers = ((rail, rule(want, given)) for rail, rule in asked.items() if rail not in skipped)
    return [Refusal(rail, text) for rail, text in answers if text]


def describe(node: str, kinds: tuple[str, ...]) -> str:
    """Say what ails a node: `pi_login: root read-only, ssh refused`."""
    return f"{node}: {', '.join(phrase(kind) for kind in kinds)}"
