"""What a port's state means, and what an unreachable switch does."""

import asyncio
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import pytest

from common import clock
from common.observations import Sense
from supervisor.core.ports import Power
from supervisor.senses.switch import SwitchSense, power
from tests.supervisor.pictures import a_node


@dataclass
class Port:
    """A port as a driver would describe it."""

    admin: Literal["auto", "off", "unknown"]
    delivering: bool | None
    watts: float | None = None
    observed_at: float = 0.0
    link: bool | None = None
    pd_class: str | None = None


@pytest.mark.parametrize(
    ("port", "word"),
    [
        (Port("auto", True), Power.ON),
        (Port("auto", False), Power.OFF),
        (Port("auto", None), Power.UNKNOWN),
        (Port("off", False), Power.DISABLED),
        (Port("off", None), Power.DISABLED),
        (Port("unknown", True), Power.ON),
        (Port("unknown", False), Power.UNKNOWN),
        (None, Power.UNKNOWN),
    ],
)
def test_a_port_is_reduced_to_one_word(port: Port | None, word: Power) -> None:
    """What the switch doesn't say is unknown, never off."""
    assert power(port) is word


def test_where_power_can_not_be_told_a_port_that_is_on_counts_as_on() -> None:
    """Else a fence agent's dead node would stay in doubt for ever; off and unknown stay so."""
    assert power(Port("auto", None), tells_delivery=False) is Power.ON
    assert power(Port("off", None), tells_delivery=False) is Power.DISABLED
    assert power(Port("unknown", None), tells_delivery=False) is Power.UNKNOWN
    assert power(None, tells_delivery=False) is Power.UNKNOWN


async def test_what_can_not_be_told_is_said() -> None:
    """The word is `on`, and the evidence says how little that is."""

    async def status() -> dict[int, Port]:
        return {1: Port("auto", None, None, clock.boottime())}

    sense = SwitchSense(status, 5, 1, tells_delivery=False)
    _, port = await sense.look([a_node("green1", 1)])
    assert (port.outcome, port.value) == ("on", None)
    assert "can't tell whether power flows" in port.detail


async def test_one_answer_tells_of_every_port() -> None:
    """Each node's port with its watts and age, and that the switch was reachable."""
    seen_at = clock.boottime() - 2

    async def status() -> dict[int, Port]:
        return {1: Port("auto", True, 3.1, seen_at)}

    nodes = [a_node("green1", 1), a_node("green2", 2)]
    switch, first, second = await SwitchSense(status, 5, 1).look(nodes)

    assert (switch.sense, switch.node, switch.kind) == (
        Sense.SWITCH,
        "switch",
        "switch_unreachable",
    )
    assert switch.outcome == "false"
    assert (first.node, first.kind, first.outcome, first.value) == ("green1", "port", "on", 3.1)
    assert first.age >= 2
    assert (second.outcome, second.value) == ("unknown", None)


async def test_an_error_is_an_observation_about_the_switch_alone() -> None:
    """Nothing is claimed of any port."""

    async def status() -> dict[int, Port]:
        raise RuntimeError("no route to switch")

    (seen,) = await SwitchSense(status, 5, 1).look([a_node("green1", 1)])
    assert (seen.node, seen.outcome, seen.detail) == ("switch", "true", "no route to switch")


async def test_link_and_class_are_told_with_the_power() -> None:
    """The link is a word of its own, told before the port's; the class is the port's detail."""

    async def status() -> dict[int, Port]:
        return {1: Port("auto", True, 3.1, link=True, pd_class="Class 4"), 2: Port("auto", False)}

    nodes = [a_node("green1", 1), a_node("green2", 2)]
    _, *seen = await SwitchSense(status, 5, 1).look(nodes)
    words = [(one.node, one.kind, one.outcome, one.detail) for one in seen]
    assert words == [
        ("green1", "link", "up", ""),
        ("green1", "port", "on", "class 4"),
        ("green2", "port", "off", ""),
    ]


async def test_a_look_that_gave_way_says_nothing() -> None:
    """An order that comes between is no trouble of the switch's."""

    async def gave_way() -> None:
        return None

    assert await SwitchSense(gave_way, 5, 1).look([a_node("green1", 1)]) == ()


async def test_it_hurries_while_somebody_is_uneasy() -> None:
    """Called to hurry it looks at the urgent pace, and otherwise keeps to its own."""
    looks: list[float] = []
    seen = asyncio.Event()

    async def status() -> dict[int, Port]:
        looks.append(clock.boottime())
        seen.set()
        return {}

    sense = SwitchSense(status, 600, 1, urgent_every_s=0.01)
    task = asyncio.get_running_loop().create_task(sense.run([], lambda _: None), name="sense")
    for number in range(1, 4):
        async with asyncio.timeout(5):
            await seen.wait()
        seen.clear()
        assert len(looks) == number
        await asyncio.sleep(0)  # the look ends
        sense.hurry()
    task.cancel()
    await asyncio.wait([task])
    gaps = [after - before for before, after in pairwise(looks)]
    assert all(gap >= 0.009 for gap in gaps)
