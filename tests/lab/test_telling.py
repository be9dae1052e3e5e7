"""How the timeline is told to people, and what counts as proof."""

from collections.abc import Callable
from typing import Any

import pytest

from common.inventory import load_cluster
from lab.gather import Gatherer, ranges
from lab.settings import CONFIG
from lab.summary import Summary, incidents, power_cycles
from lab.switch.ports import Ports, Transition

CLUSTER = load_cluster(CONFIG / "cluster.toml")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["green1", "green2", "green3"], "green1-3"),
        (["green1", "green3", "yellow8", "mlops_master"], "mlops_master, green1, green3, yellow8"),
        (["green8", "green8", "green7"], "green7-8"),
        ([], ""),
    ],
)
def test_names_in_a_row_are_shortened(names: list[str], said: str) -> None:
    """Seventeen names don't fit a line; ranges do."""
    assert ranges(names) == said


Work = Callable[[], None]


class Page:
    """Collects what is told; time passes when it is told to."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.due: list[Work] = []
        self.gatherer = Gatherer(lambda _kind, text: self.lines.append(text), self.due.append)

    def add(self, kind: str, node: str, text: str, **data: Any) -> None:
        """Take in one entry."""
        incident = "inc-1" if kind != "condition" else None
        entry = {"kind": kind, "node": node, "text": text, "incident": incident, "data": data}
        self.gatherer.add(entry)

    def condition(self, node: str, condition: str = "heartbeat_lost") -> None:
        """Take in a condition that became true."""
        text = f"{node}: {condition.replace('_', ' ')} (silent for 3 s)"
        self.add("condition", node, text, condition=condition, status="true")

    def pass_time(self) -> None:
        """Let everything held back come due."""
        while self.due:
            self.due.pop()()


def test_what_many_nodes_share_is_one_line() -> None:
    """Three or more alike are told together, two are told in full."""
    page = Page()
    for node in ("green1", "green2", "green3"):
        page.condition(node)
    page.condition("green1", "hung")
    page.pass_time()
    assert sorted(page.lines) == [
        "3 nodes: heartbeat lost: green1-3",
        "green1: hung (silent for 3 s)",
    ]


def test_nothing_is_told_after_what_it_led_to() -> None:
    """A conclusion waits for no timer, but what was seen before it is told before it."""
    page = Page()
    page.condition("pi_login")
    page.add("incident_opened", "pi_login", "concluded")
    page.pass_time()
    assert page.lines == ["pi_login: heartbeat lost (silent for 3 s)", "concluded"]


def test_of_explained_nodes_only_their_coming_and_going_is_told() -> None:
    """The patient is login; how exactly a stalled worker looks is noise until login is cured."""
    page = Page()
    page.add("explained", "pi_login", "explained", nodes=["green1"])
    page.condition("green1", "hung")
    page.condition("green2", "hung")
    page.condition("green1")
    page.add("recovered", "pi_login", "recovered")
    page.condition("green1", "hung")
    page.pass_time()
    assert [line.partition(" (")[0] for line in page.lines] == [
        "explained",
        "green2: hung",
        "green1: heartbeat lost",
        "recovered",
        "green1: hung",
    ]


def timeline(*kinds: str) -> list[dict[str, Any]]:
    """Return one incident's entries."""
    entry = {"incident": "inc-1", "node": "pi_login", "text": "", "at": "now"}
    return [{**entry, "kind": kind} for kind in kinds]


def cycled(*ports: int) -> list[Transition]:
    """Return the switch's log of power cycles."""
    now = [0.0]
    model = Ports(lambda: now[0])
    for port in ports:
        model.plug(port, pd_class="Class 4")
        model.restart([port], "test", 0)
        now[0] += 10
        model.run_due()
        now[0] += 10
        model.run_due()
    return [one for one in model.log if one.what == "power"]


GOOD = ("incident_opened", "verifying", "recovered")


@pytest.mark.parametrize(
    ("kinds", "ports", "healed", "shortcoming"),
    [
        (GOOD, [15], True, None),
        (GOOD, [15], False, "not healthy again in time"),
        ((), [15], True, "expected 1 incidents, found 0: none"),
        (("incident_opened", "escalated"), [15], True, "inc-1 on pi_login is escalated"),
        (("incident_opened",), [15], True, "inc-1 on pi_login is open"),
        (GOOD, [], True, "expected one power cycle, of pi_login; found none"),
        (GOOD, [15, 34], True, "expected one power cycle, of pi_login; found pi_login, green1"),
        (GOOD, [34], True, "expected one power cycle, of pi_login; found green1"),
    ],
)
def test_only_one_cured_incident_and_one_cycle_of_the_patient_is_the_right_story(
    *, kinds: tuple[str, ...], ports: list[int], healed: bool, shortcoming: str | None
) -> None:
    """Anything else is named: too many incidents, the wrong node cycled, no proof."""
    told = incidents(timeline(*kinds))
    summary = Summary(told, power_cycles(cycled(*ports), CLUSTER), 1.0, healed, "pi_login")
    found = list(summary.shortcomings())
    assert summary.as_json()["recovered"] is (shortcoming is None)
    assert bool(found) is bool(shortcoming)
    assert not shortcoming or any(shortcoming in text for text in found)


def test_a_port_that_stays_off_is_named() -> None:
    """Half a power cycle is not one."""
    summary = Summary([], power_cycles(cycled(15)[:1], CLUSTER), 1.0, True, None)
    assert "pi_login stayed without power" in list(summary.shortcomings())
