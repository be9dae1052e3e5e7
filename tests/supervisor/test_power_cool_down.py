"""No port is cycled twice within its cool-down, whoever asks and whatever restarted between.

The rule reads nothing but the journal; here it is asked with a journal of known ages.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from common import clock
from supervisor.actuators.power.breaker import Breaker
from supervisor.actuators.power.orders import Kind, Outlet, PowerRequest
from supervisor.actuators.power.refusals import Refusals
from supervisor.actuators.power.service import PowerService
from supervisor.actuators.power.settings import PowerSettings
from supervisor.actuators.power.swctrl import SwctrlDriver, SwctrlSettings
from supervisor.core.effects import Action, Treatment
from supervisor.core.events import Result
from supervisor.daemon.acting import Hands
from supervisor.journal.ages import Stamp
from supervisor.journal.intents import Intents, IntentState
from supervisor.journal.journal import Journal

OUTLETS = {"yellow1": Outlet(33, ""), "green1": Outlet(34, "")}
REQUEST = PowerRequest("yellow1", "runbook hung")
DONE = (IntentState.SENDING, IntentState.SENT, IntentState.DONE)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Return an empty journal."""
    with Journal(tmp_path) as journal:
        yield journal


def did(
    journal: Journal,
    ago_s: float,
    steps: tuple[IntentState, ...] = DONE,
    *,
    kind: Kind = "cycle",
    boot_id: str | None = None,
    at_boottime: float | None = None,
) -> None:
    """Journal an act on port 33 whose steps were all made `ago_s` seconds ago."""
    at = clock.boottime() - ago_s if at_boottime is None else at_boottime
    stamp = Stamp(boot_id or clock.boot_id(), at, "")
    intents = Intents(journal.database, lambda: stamp)
    op_id = f"{kind} {ago_s} {at}"
    intents.begin(
        op_id=op_id, action_id="", node="yellow1", port=33, mac="", kind=kind, requested_by="x"
    )
    for step in steps:
        intents.advance(op_id, step)


def ask(journal: Journal, request: PowerRequest = REQUEST, kind: Kind = "cycle") -> str:
    """Return the refusal in words."""
    refusals = Refusals(OUTLETS, journal.intents, PowerSettings(), Breaker())
    refusal = refusals.by_history(kind, request)
    return refusal.reason if refusal else ""


@pytest.mark.parametrize("kind", ["cycle", "off", "on"])
@pytest.mark.parametrize("end", [IntentState.DONE, IntentState.RECONCILED])
def test_a_port_rests_after_any_act(journal: Journal, kind: Kind, end: IntentState) -> None:
    """After 100 s it has 80 s to go, and says so, for people and for programs."""
    did(journal, 100, (IntentState.SENDING, end), kind=kind)
    if kind == "off" and end is IntentState.DONE:
        did(journal, 100, kind="on")
    refusals = Refusals(OUTLETS, journal.intents, PowerSettings(), Breaker())
    refusal = refusals.by_history("cycle", REQUEST)
    assert refusal is not None
    assert "ended 100 s ago: cool-down, 80 s more" in refusal.reason
    assert refusal.retry_in_s == pytest.approx(80, abs=2)


def test_it_is_over_after_its_time(journal: Journal) -> None:
    """After 181 s the port may be cycled again."""
    did(journal, 181)
    assert ask(journal) == ""


def test_an_older_act_does_not_hide_a_younger_one(journal: Journal) -> None:
    """The latest act counts."""
    did(journal, 5000)
    did(journal, 20)
    assert "160 s more" in ask(journal)


def test_it_holds_cycles_of_that_port_alone(journal: Journal) -> None:
    """Another port, and on and off by hand, are free."""
    did(journal, 1)
    assert ask(journal, replace(REQUEST, node="green1")) == ""
    assert ask(journal, kind="on") == ""
    assert ask(journal, kind="off") == ""


@pytest.mark.parametrize(
    "steps",
    [(IntentState.FAILED,), (IntentState.SENDING, IntentState.FAILED), (IntentState.RECONCILED,)],
)
def test_what_had_no_effect_starts_none(journal: Journal, steps: tuple[IntentState, ...]) -> None:
    """An act that provably failed, or was never sent, leaves the port free."""
    did(journal, 1, steps)
    assert ask(journal) == ""


def test_a_person_may_skip_it_by_name(journal: Journal) -> None:
    """Skipping it skips nothing else: a port that a person switched off stays theirs."""
    did(journal, 1)
    request = replace(REQUEST, skip_cool_down=True)
    assert ask(journal, request) == ""
    did(journal, 0, kind="off")
    assert "a person switched port 33 off" in ask(journal, request)


def test_a_reboot_never_cuts_it_short(journal: Journal) -> None:
    """Of an earlier boot's act only this boot's uptime has surely passed, whatever its stamp."""
    did(journal, 0, boot_id="another boot", at_boottime=1e9)
    settings = PowerSettings(cool_down_s=clock.boottime() + 50)
    refusal = Refusals(OUTLETS, journal.intents, settings, Breaker()).by_history("cycle", REQUEST)
    assert refusal is not None
    assert refusal.retry_in_s == pytest.approx(50, abs=2)
    rested = PowerSettings(cool_down_s=clock.boottime() - 1)
    assert (
        Refusals(OUTLETS, journal.intents, rested, Breaker()).by_history("cycle", REQUEST) is None
    )


@pytest.mark.parametrize(("skip", "result"), [((), Result.NOT_SENT), (("cool_down",), None)])
async def test_the_medic_may_come_back_later(
    journal: Journal, tmp_path: Path, skip: tuple[str, ...], result: Result | None
) -> None:
    """To the core it is an act that never happened, so the ladder waits; a person may skip it."""
    did(journal, 10)
    driver = SwctrlDriver(
        SwctrlSettings(address="127.0.0.1", port=1, known_hosts=tmp_path / "none", backoff_s=0.0)
    )
    power = PowerService(driver, journal, OUTLETS)
    hands = Hands(agents=None, ssh=None, power=power, off_s=10)  # neither has a part in this
    action = Action("a", "yellow1", Treatment.POWER_CYCLE, 60, skip=frozenset(skip))
    got, said = await hands.perform(action)
    if result:
        assert (got, "cool-down, 170 s more" in said) == (result, True)
    else:
        assert "nothing was sent" in said  # it got as far as the way to the switch
    await power.aclose()


def test_it_outlives_the_process(journal: Journal, tmp_path: Path) -> None:
    """A supervisor that starts anew reads it from the file."""
    did(journal, 10)
    journal.close()
    with Journal(tmp_path) as again:
        assert "170 s more" in ask(again)
