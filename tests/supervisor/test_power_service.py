"""The power service over the real `swctrl` driver and the fake switch: never a port left off.

The oracle is the switch's own log of transitions and the journal, never the outcome alone.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import asyncssh
import pytest

from lab.switch.faults import Fault, Kind
from lab.switch.ports import Latencies
from lab.switch.server import FakeSwitch
from supervisor.actuators.power.driver import CycleOutcome, CycleResult, Phase, PowerError
from supervisor.actuators.power.orders import Outlet, PowerRequest, Reconciled, Verdict
from supervisor.actuators.power.service import PowerService
from supervisor.actuators.power.settings import PowerSettings
from supervisor.actuators.power.swctrl import SwctrlDriver, SwctrlSettings
from supervisor.journal.intents import IntentState
from supervisor.journal.journal import Journal

KEY = asyncssh.generate_private_key("ssh-ed25519")
SECOND_S = 0.1  # how long a second of the lab lasts
PORT, OTHER, LOGIN, EMPTY = 33, 34, 15, 40
OUTLETS = {
    "yellow1": Outlet(PORT, f"dc:a6:32:00:00:{PORT:02x}"),
    "green1": Outlet(OTHER, f"dc:a6:32:00:00:{OTHER:02x}"),
    "login": Outlet(LOGIN, f"dc:a6:32:00:00:{LOGIN:02x}", protected=True),
    "ghost": Outlet(60, "dc:a6:32:00:00:60"),
    "unplugged": Outlet(EMPTY, "dc:a6:32:00:00:40"),
}
SETTINGS = PowerSettings(
    default_off_s=0.1, min_off_s=0.05, max_off_s=1.0, lock_wait_s=10, status_s=5, command_s=5,
    cycle_margin_s=10, settle_s=4, late_effect_s=0.2, retry_first_s=0.02, retry_max_s=0.05,
    breaker_retry_s=0.05, idle_look_s=0.2, close_s=10, cool_down_s=0,
)  # fmt: skip
REQUEST = PowerRequest("yellow1", "runbook hung")


class LabDriver(SwctrlDriver):
    """The real driver in a lab whose seconds are short."""

    async def cycle(self, port: int, *, off_s: float, op_id: str) -> CycleResult:
        """Count the switch's own seconds."""
        return await super().cycle(port, off_s=max(off_s / SECOND_S, 1), op_id=op_id)


@dataclass
class Rig:
    """A switch, its journal, and what is needed to start the service (again)."""

    switch: FakeSwitch
    state_dir: Path
    driver_settings: SwctrlSettings
    journal: Journal
    services: list[PowerService]

    def start(
        self, driver: type[SwctrlDriver] = LabDriver, settings: PowerSettings = SETTINGS
    ) -> PowerService:
        """Start a service over a fresh connection."""
        service = PowerService(
            driver(self.driver_settings),
            self.journal,
            OUTLETS,
            settings,
            rng=random.Random(1),  # noqa: S311 - jitter
        )
        self.services.append(service)
        return service

    def restart(self, driver: type[SwctrlDriver] = LabDriver) -> PowerService:
        """Start anew as after a crash: only the file and the switch know what was."""
        self.journal.close()
        self.journal = Journal(self.state_dir)
        return self.start(driver)

    def states(self) -> list[IntentState]:
        """Return the states of all intents, oldest first."""
        return [intent.state for intent in reversed(self.journal.intents.recent())]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """Return a rack with Pis on four ports."""
    switch = FakeSwitch(
        authorized_keys=[KEY], latencies=Latencies(off=0.01, on=0.02, restart=0.1),
        second_s=SECOND_S,
    )  # fmt: skip
    for number in (PORT, OTHER, LOGIN, 9):
        switch.ports.plug(number, mac=f"dc:a6:32:00:00:{number:02x}")
    async with switch:
        (tmp_path / "known_hosts").write_text(switch.known_hosts_line())
        (tmp_path / "key").write_bytes(KEY.export_private_key())
        driver_settings = SwctrlSettings(
            address=switch.host, port=switch.port, known_hosts=tmp_path / "known_hosts",
            client_key=tmp_path / "key", connect_s=2, command_s=2, backoff_s=0.01,
            backoff_max_s=0.05, poll_s=0.01, confirm_s=0.5, settle_s=0.5,
        )  # fmt: skip
        rig = Rig(switch, tmp_path, driver_settings, Journal(tmp_path), [])
        yield rig
        for service in rig.services:
            await service.aclose()
        rig.journal.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for `condition`, with a deadline."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 -- the switch has many conditions, no events
            await asyncio.sleep(0.005)


async def reconciled(service: PowerService) -> list[Reconciled]:
    """Reconcile until nothing is pending; return every story."""
    stories: list[Reconciled] = []
    async with asyncio.timeout(10):
        while True:
            result = await service.reconcile()
            stories += result.closed
            if not result.pending:
                return stories
            await asyncio.sleep(0.01)


# A good day


@pytest.mark.parametrize("atomic", [True, False], ids=["restart", "detached"])
async def test_a_cycle_is_proven(rig: Rig, *, atomic: bool) -> None:
    """A cycle seen off and on again is verified, journalled to its end, and touches one port."""
    rig.driver_settings = replace(rig.driver_settings, atomic=atomic)
    outcome = await rig.start().cycle(replace(REQUEST, action_id="a1"))
    assert (outcome.verdict, outcome.settled) == (Verdict.VERIFIED, True), outcome
    assert rig.switch.ports.history(PORT) == ["off", "on"]
    assert rig.switch.ports.touched() == {PORT}
    assert [phase.name for phase in outcome.phases] == ["planned", "sending", "sent", "done"]
    steps = rig.journal.intents.steps(outcome.op_id)
    assert [step.state for step in steps] == ["planned", "sending", "sent", "done"]
    assert "seen off, then on" in steps[-1].detail
    assert outcome.other_ports == ()


async def test_the_intent_is_on_disk_before_anything_is_sent(rig: Rig) -> None:
    """When the switch hears the first command that acts, `sending` is in the file."""
    heard: list[list[IntentState]] = []

    def watch(_port: int, _powered: bool) -> None:  # noqa: FBT001 - the switch's own signature
        heard.append(rig.states())

    rig.switch.ports.on_power(watch)
    await rig.start().cycle(REQUEST)
    assert heard[0] == ["sending"]


async def test_off_stays_off_and_on_ends_it(rig: Rig) -> None:
    """A person's off holds against cycles and reconciliation until a person orders on."""
    service = rig.start()
    off = await service.off(REQUEST)
    assert (off.verdict, rig.switch.ports[PORT].admin) == (Verdict.VERIFIED, "off")
    assert rig.journal.intents.ports_off_by_hand() == {PORT}
    cycle = await service.cycle(REQUEST)
    assert cycle.verdict is Verdict.REFUSED
    assert "person" in cycle.detail
    assert await reconciled(service) == []
    assert rig.switch.ports[PORT].admin == "off"
    on = await service.on(REQUEST)
    assert (on.verdict, rig.switch.ports[PORT].admin) == (Verdict.VERIFIED, "auto")
    assert rig.journal.intents.ports_off_by_hand() == frozenset()
    assert rig.switch.ports.touched() == {PORT}


async def test_status_shows_every_port(rig: Rig) -> None:
    """Status is the whole table."""
    assert len(await rig.start().status()) == 48


async def test_orders_take_turns(rig: Rig) -> None:
    """Two orders at once are carried out one after the other."""
    service = rig.start()
    outcomes = await asyncio.gather(
        service.cycle(REQUEST), service.cycle(PowerRequest("green1", "x"))
    )
    assert {outcome.verdict for outcome in outcomes} == {Verdict.VERIFIED}
    order = [one.port for one in rig.switch.ports.log if one.what == "power"]
    assert sorted(order[:2]) in ([PORT, PORT], [OTHER, OTHER])


# Refusals

REFUSED = [
    (PowerRequest("nobody", "x"), "no port for 'nobody'"),
    (PowerRequest("login", "x"), "port 15 of login is protected"),
    (PowerRequest("ghost", "x"), "lists no PoE port 60"),
    (replace(REQUEST, off_s=0.01), "must be 0.05 to 1 s"),
    (replace(REQUEST, off_s=30.0), "must be 0.05 to 1 s"),
    (replace(REQUEST, off_s=float("nan")), "must be 0.05 to 1 s"),
]


@pytest.mark.parametrize(("request_", "reason"), REFUSED)
async def test_what_is_refused(rig: Rig, request_: PowerRequest, reason: str) -> None:
    """A refusal says why, and no port is touched."""
    outcome = await rig.start().cycle(request_)
    assert outcome.verdict is Verdict.REFUSED
    assert reason in outcome.detail
    assert rig.switch.ports.log == []
    assert rig.journal.intents.unfinished() == []


async def test_protected_takes_a_persons_explicit_word(rig: Rig) -> None:
    """A protected port is neither cycled nor switched off unless the request allows it."""
    service = rig.start()
    assert (await service.off(PowerRequest("login", "x"))).verdict is Verdict.REFUSED
    assert rig.switch.ports.log == []
    allowed = await service.cycle(PowerRequest("login", "anna", allow_protected=True))
    assert allowed.verdict is Verdict.VERIFIED


async def test_an_action_is_carried_out_once(rig: Rig) -> None:
    """The same action again is refused, also after a restart; one that provably failed isn't."""
    request = replace(REQUEST, action_id="a1")
    await rig.start().cycle(request)
    assert (await rig.restart().cycle(request)).verdict is Verdict.REFUSED
    assert rig.switch.ports.history(PORT) == ["off", "on"]


async def test_a_port_switched_off_elsewhere_is_not_ours_to_cycle(rig: Rig) -> None:
    """A port found off that no intent explains was switched off by somebody: hands off."""
    rig.switch.ports.set_admin([PORT], "off", "a person at the switch", 0)
    outcome = await rig.start().cycle(REQUEST)
    assert outcome.verdict is Verdict.REFUSED
    assert "not by us" in outcome.detail
    assert rig.switch.ports.history(PORT, "admin") == ["off"]


async def test_a_stale_map_kills_no_stranger(rig: Rig) -> None:
    """If the switch sees the node behind another port than the inventory says, nothing is done."""
    rig.switch.ports[PORT].mac, rig.switch.ports[OTHER].mac = (
        rig.switch.ports[OTHER].mac, rig.switch.ports[PORT].mac,
    )  # fmt: skip
    outcome = await rig.start().cycle(REQUEST)
    assert outcome.verdict is Verdict.REFUSED
    assert "behind port 34, and not 33" in outcome.detail
    assert rig.switch.ports.log == []


async def test_without_a_journal_nothing_is_done(rig: Rig) -> None:
    """If the intent can't be written down, the port isn't touched."""
    service = rig.start()
    with rig.journal.database.transaction() as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON intents BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    outcome = await service.cycle(REQUEST)
    assert outcome.verdict is Verdict.REFUSED
    assert "can't be journalled" in outcome.detail
    assert rig.switch.ports.log == []


async def test_a_journal_that_fails_halfway_does_not_keep_the_port_off(rig: Rig) -> None:
    """After `sending`, a full disk changes nothing for the port; the intent stays unfinished."""
    with rig.journal.database.transaction() as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON intents WHEN NEW.state != 'sending'"
            " BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    outcome = await rig.start().cycle(REQUEST)
    assert outcome.verdict is Verdict.VERIFIED
    assert rig.switch.ports.history(PORT) == ["off", "on"]
    assert rig.states() == ["sending"]


async def test_a_port_is_cycled_once_in_its_cool_down(rig: Rig) -> None:
    """Over a restart too, the second order is refused for now; a person's word lets it pass."""
    settings = replace(SETTINGS, cool_down_s=180)
    assert (await rig.start(settings=settings).cycle(REQUEST)).verdict is Verdict.VERIFIED
    rig.restart()
    service = rig.start(settings=settings)
    again = await service.cycle(REQUEST)
    assert again.verdict is Verdict.REFUSED
    assert "cool-down" in again.detail
    assert 170 < (again.retry_in_s or 0) <= 180
    assert rig.switch.ports.history(PORT) == ["off", "on"]
    skipping = await service.cycle(replace(REQUEST, skip_cool_down=True))
    assert skipping.verdict is Verdict.VERIFIED


# Faults of the switch and of the way to it


async def test_an_unreachable_switch_is_a_failure_that_may_be_retried(rig: Rig) -> None:
    """Nothing sent is said so, closed in the journal, and the same action may be tried again."""
    request = replace(REQUEST, action_id="a1")
    service = rig.start()
    rig.switch.inject(Fault(Kind.CLOSE_BEFORE_BANNER, times=1))
    first = await service.cycle(request)
    assert (first.verdict, rig.states()) == (Verdict.FAILED, ["failed"]), first
    second = await service.cycle(request)
    assert second.verdict is Verdict.VERIFIED
    assert rig.switch.ports.history(PORT) == ["off", "on"]


CYCLE_FAULTS = [
    (Fault(Kind.NO_EFFECT, match="restart"), Verdict.SENT_UNVERIFIED, [], "sent"),
    (Fault(Kind.RESET_AFTER, match="restart"), Verdict.VERIFIED, ["off", "on"], "done"),
    (Fault(Kind.HANG_AFTER, match="restart"), Verdict.UNKNOWN, ["off", "on"], "unknown"),
    (Fault(Kind.HANG_BEFORE, match="restart"), Verdict.UNKNOWN, [], "unknown"),
    (Fault(Kind.RESET_BEFORE, match="restart"), Verdict.UNKNOWN, [], "unknown"),
    (Fault(Kind.NO_EXIT_STATUS, match="restart"), Verdict.VERIFIED, ["off", "on"], "done"),
]


@pytest.mark.parametrize(
    ("fault", "verdict", "power", "state"), CYCLE_FAULTS, ids=lambda v: getattr(v, "kind", None)
)
async def test_no_more_is_claimed_than_was_seen(
    rig: Rig, fault: Fault, verdict: Verdict, power: list[str], state: str
) -> None:
    """Each fault has its verdict, the port ends on, and reconciliation closes what is open."""
    rig.driver_settings = replace(rig.driver_settings, command_s=0.5)
    service = rig.start()
    rig.switch.inject(fault)
    outcome = await service.cycle(REQUEST)
    assert outcome.verdict is verdict, outcome
    assert rig.states() == [state]
    assert outcome.settled
    await reconciled(service)
    await until(lambda: rig.switch.ports[PORT].powered)
    assert rig.switch.ports.history(PORT) == power
    assert rig.switch.ports.touched() <= {PORT}
    assert rig.journal.intents.unfinished() == []


async def test_a_late_effect_is_waited_for(rig: Rig) -> None:
    """While a command of unknown fate may still act, its port is not cycled again."""
    settings = replace(SETTINGS, late_effect_s=30.0)
    service = rig.start(settings=settings)
    rig.switch.inject(Fault(Kind.NO_EFFECT, match="restart"))
    assert (await service.cycle(REQUEST)).verdict is Verdict.SENT_UNVERIFIED
    again = await service.cycle(REQUEST)
    assert again.verdict is Verdict.REFUSED
    assert "not settled" in again.detail
    other = await service.cycle(PowerRequest("green1", "x"))
    assert other.verdict is Verdict.VERIFIED
    assert (await service.reconcile()).pending == 1


async def test_everything_off_by_accident_comes_back(rig: Rig) -> None:
    """If a command hits another port, that port is reported and switched on again."""
    service = rig.start()
    rig.switch.inject(Fault(Kind.WRONG_PORT, match="set off", port=OTHER))
    outcome = await service.off(REQUEST)
    assert [(c.port, c.restored) for c in outcome.other_ports if c.restored is not None] == [
        (OTHER, True)
    ]
    assert outcome.verdict is not Verdict.VERIFIED
    assert rig.switch.ports[OTHER].admin == "auto"
    repairs = [i for i in rig.journal.intents.recent() if i.requested_by == "pimedic"]
    assert [(i.kind, i.port, i.node, i.state) for i in repairs] == [("on", OTHER, "green1", "done")]


async def test_a_persons_off_is_not_undone_as_a_repair(rig: Rig) -> None:
    """A port that was off before is no accident: it stays off while another one is cycled."""
    service = rig.start()
    await service.off(PowerRequest("green1", "anna"))
    outcome = await service.cycle(REQUEST)
    assert outcome.verdict is Verdict.VERIFIED
    assert rig.switch.ports[OTHER].admin == "off"


@pytest.mark.parametrize("kind", [Kind.OTHER_HOST_KEY, Kind.AUTH_FAILURE])
async def test_the_breaker_stops_all_trying(rig: Rig, kind: Kind) -> None:
    """A changed host key or a refused login trips it: no further connection until it is reset."""
    service = rig.start()
    rig.switch.inject(Fault(kind, times=1))
    assert (await service.cycle(REQUEST)).verdict is Verdict.FAILED
    accepted = rig.switch.accepted
    refused = await service.cycle(REQUEST)
    assert refused.verdict is Verdict.REFUSED
    assert "breaker" in refused.detail
    with pytest.raises(PowerError, match="breaker"):
        await service.status()
    assert rig.switch.accepted == accepted
    service.breaker.reset("anna")
    assert (await service.cycle(REQUEST)).verdict is Verdict.VERIFIED


async def test_a_successful_login_resets_the_breaker(rig: Rig) -> None:
    """`validate` goes past the breaker, and its success closes it."""
    service = rig.start()
    rig.switch.inject(Fault(Kind.AUTH_FAILURE, times=2))
    await service.cycle(REQUEST)
    with pytest.raises(PowerError):
        await service.validate()
    assert service.breaker.reason
    await service.validate()
    assert service.breaker.reason == ""
    assert (await service.cycle(REQUEST)).verdict is Verdict.VERIFIED


# Drivers that misbehave


class Liar(LabDriver):
    """Claims a verified cycle without having looked."""

    async def cycle(self, port: int, *, off_s: float, op_id: str) -> CycleResult:
        """Claim."""
        del port, off_s, op_id
        return CycleResult(CycleOutcome.VERIFIED, "trust me")


class TwoSteps(LabDriver):
    """Can't leave the cycle to the switch, and dies between off and on."""

    error: BaseException = PowerError(Phase.UNKNOWN, "died half-way")

    async def cycle(self, port: int, *, off_s: float, op_id: str) -> CycleResult:
        """Switch off, then fail."""
        del off_s
        await self.off(port, op_id=op_id)
        raise self.error


class Off(LabDriver):
    """Cycles in two steps, and believes in its own commands."""

    async def cycle(self, port: int, *, off_s: float, op_id: str) -> CycleResult:
        """Switch off and on."""
        del off_s
        await self.off(port, op_id=op_id)
        seen = (await self.status())[port]
        await self.on(port, op_id=op_id)
        return CycleResult(CycleOutcome.VERIFIED, "seen off, then on", (seen,))


class Broken(TwoSteps):
    """Fails with an error that nobody foresaw."""

    error = ValueError("a bug")


class Sworn(TwoSteps):
    """Swears that nothing was sent, which is not true."""

    error = PowerError(Phase.NOT_SENT, "nothing was sent")


class Hanging(LabDriver):
    """Switches off and never returns."""

    async def cycle(self, port: int, *, off_s: float, op_id: str) -> CycleResult:
        """Switch off, then hang."""
        del off_s
        await self.off(port, op_id=op_id)
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_claim_without_a_look_is_not_believed(rig: Rig) -> None:
    """`verified` without a state that was seen off is passed on as sent, unverified."""
    assert (await rig.start(Liar).cycle(REQUEST)).verdict is Verdict.SENT_UNVERIFIED


@pytest.mark.parametrize("driver", [TwoSteps, Broken, Sworn, Hanging])
async def test_whatever_the_driver_does_the_port_is_on_again(
    rig: Rig, driver: type[SwctrlDriver]
) -> None:
    """An error, a lie or a hang between off and on: the port is seen on before cycle returns."""
    outcome = await rig.start(driver, replace(SETTINGS, cycle_margin_s=0.5)).cycle(REQUEST)
    assert outcome.verdict is not Verdict.VERIFIED
    assert rig.switch.ports[PORT].admin == "auto"
    await until(lambda: rig.switch.ports[PORT].powered)
    assert rig.switch.ports.history(PORT) == ["off", "on"]


async def test_cancelling_the_caller_does_not_cancel_the_operation(rig: Rig) -> None:
    """Whoever waits may go; the port comes on again and the intent ends."""
    service = rig.start()
    caller = asyncio.ensure_future(service.cycle(REQUEST))  # noqa: TID251 - cancelled below
    await until(lambda: rig.switch.ports.history(PORT) == ["off"])
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await service.aclose()
    assert rig.switch.ports.history(PORT) == ["off", "on"]
    assert rig.states() == ["done"]
    assert (await service.cycle(REQUEST)).verdict is Verdict.REFUSED


# Reconciliation


async def test_a_switch_that_goes_away_is_waited_for(rig: Rig) -> None:
    """Off, then no switch to talk to: the loop switches on when it speaks again."""

    class Severed(TwoSteps):
        async def cycle(self, port: int, *, off_s: float, op_id: str) -> CycleResult:
            rig_fault = Fault(Kind.CLOSE_BEFORE_BANNER, times=None)
            await self.off(port, op_id=op_id)
            rig.switch.inject(rig_fault)
            rig.switch._cut_connections()
            return await super().cycle(port, off_s=off_s, op_id=op_id)

    service = rig.start(Severed, replace(SETTINGS, settle_s=0.1))
    outcome = await service.cycle(REQUEST)
    assert outcome.verdict is Verdict.UNKNOWN
    assert rig.switch.ports[PORT].admin == "off"
    stories: list[Reconciled] = []
    loop = asyncio.ensure_future(service.run(stories.append))  # noqa: TID251 - cancelled below
    rig.switch.faults.clear()
    await until(lambda: bool(stories))
    loop.cancel()
    assert rig.switch.ports.history(PORT, "admin") == ["off", "auto"]
    assert "ordered on again" in stories[0].story
    assert rig.states() == ["reconciled"]


async def test_the_loop_gets_through_an_open_breaker(rig: Rig) -> None:
    """With a port waiting, the login is tested again and again, and success lets it act."""
    begin_cut_short(rig, IntentState.SENDING)
    rig.switch.ports.set_admin([PORT], "off", "the crashed cycle", 0)
    service = rig.start()
    rig.switch.inject(Fault(Kind.AUTH_FAILURE, times=3))
    stories: list[Reconciled] = []
    loop = asyncio.ensure_future(service.run(stories.append))  # noqa: TID251 - cancelled below
    await until(lambda: bool(stories))
    loop.cancel()
    assert rig.switch.ports[PORT].admin == "auto"


def begin_cut_short(
    rig: Rig,
    state: IntentState,
    kind: str = "cycle",
    op_id: str = "op",
    node: str = "yellow1",
    port: int = PORT,
) -> None:
    """Journal what a supervisor had journalled when it died."""
    rig.journal.intents.begin(
        op_id=op_id, action_id="a", node=node, port=port, mac="", kind=kind,
        off_s=0.05 if kind == "cycle" else 0, requested_by="x",
    )  # fmt: skip
    path = {
        IntentState.PLANNED: (),
        IntentState.SENDING: (IntentState.SENDING,),
        IntentState.SENT: (IntentState.SENDING, IntentState.SENT),
        IntentState.UNKNOWN: (IntentState.SENDING, IntentState.UNKNOWN),
    }[state]
    for step in path:
        rig.journal.intents.advance(op_id, step)


OPEN = [IntentState.PLANNED, IntentState.SENDING, IntentState.SENT, IntentState.UNKNOWN]


@pytest.mark.parametrize("state", OPEN)
@pytest.mark.parametrize("admin", ["auto", "off"])
async def test_a_cycle_cut_short_ends_on(rig: Rig, state: IntentState, admin: str) -> None:
    """Whatever its state and the port's, after a restart the port is on and the story told."""
    begin_cut_short(rig, state)
    if admin == "off":
        rig.switch.ports.set_admin([PORT], "off", "the crashed cycle", 0)
    (told,) = await reconciled(rig.restart())
    assert rig.switch.ports[PORT].admin == "auto"
    assert rig.switch.ports.touched() <= {PORT}
    assert told.story.startswith(f"cycle of yellow1 (port 33) was left {state}")
    assert ("ordered on" in told.story) is (admin == "off")
    assert rig.states() == ["reconciled"]
    assert rig.journal.intents.get("op").detail == told.story
    assert await reconciled(rig.restart()) == []


async def test_a_port_that_is_on_and_delivers_is_left_alone(rig: Rig) -> None:
    """Reconciliation sends nothing where nothing is missing."""
    begin_cut_short(rig, IntentState.SENT)
    await reconciled(rig.start())
    assert all("show" in one.line for one in rig.switch.executed)


async def test_auto_without_power_is_told_once_more(rig: Rig) -> None:
    """A port told `auto` that delivers nothing gets one `on`, which proves nothing but helps."""
    rig.switch.ports.unplug(PORT)
    begin_cut_short(rig, IntentState.SENT)
    await reconciled(rig.start())
    sent = [one.line for one in rig.switch.executed if "show" not in one.line]
    assert sent == [f"swctrl poe set auto id {PORT}"]


async def test_the_off_time_is_the_devices(rig: Rig) -> None:
    """A port found off is not switched on before its time without power is over."""
    rig.journal.intents.begin(
        op_id="op", action_id="", node="yellow1", port=PORT, mac="", kind="cycle", off_s=0.6,
        requested_by="x",
    )  # fmt: skip
    rig.journal.intents.advance("op", IntentState.SENDING)
    rig.switch.ports.set_admin([PORT], "off", "the crashed cycle", 0)
    began = rig.switch.clock()
    await reconciled(rig.start())
    on = next(one for one in rig.switch.ports.log if one.after == "auto")
    assert on.at - began > 0.4


@pytest.mark.parametrize("state", OPEN)
async def test_a_persons_off_outlives_an_older_cycle(rig: Rig, state: IntentState) -> None:
    """A cycle cut short before a person's off does not switch their port on."""
    begin_cut_short(rig, state)
    begin_cut_short(rig, IntentState.SENDING, "off", "hand")
    rig.journal.intents.advance("hand", IntentState.DONE)
    rig.switch.ports.set_admin([PORT], "off", "anna", 0)
    (told,) = await reconciled(rig.restart())
    assert rig.switch.ports.history(PORT, "admin") == ["off"]
    assert "a person has switched the port off" in told.story


async def test_an_off_cut_short_is_recognised(rig: Rig) -> None:
    """A person's off that took effect before the crash is theirs: done, and left off."""
    begin_cut_short(rig, IntentState.SENDING, "off")
    rig.switch.ports.set_admin([PORT], "off", "anna", 0)
    await reconciled(rig.restart())
    assert rig.states() == ["done"]
    assert rig.journal.intents.ports_off_by_hand() == {PORT}
    assert rig.switch.ports[PORT].admin == "off"


async def test_an_off_that_never_happened_is_closed(rig: Rig) -> None:
    """An off cut short before it took effect is closed, and the port stays on."""
    begin_cut_short(rig, IntentState.SENDING, "off")
    (told,) = await reconciled(rig.restart())
    assert "the port is auto, delivering" in told.story
    assert rig.journal.intents.ports_off_by_hand() == frozenset()


async def test_an_on_overrules_an_off_cut_short(rig: Rig) -> None:
    """If a person ordered on after an off of unknown fate, the port ends on."""
    begin_cut_short(rig, IntentState.UNKNOWN, "off")
    service = rig.start()
    assert (await service.on(REQUEST)).verdict is Verdict.VERIFIED
    rig.switch.ports.set_admin([PORT], "off", "the late off", 0)
    await reconciled(service)
    assert rig.switch.ports[PORT].admin == "auto"


async def test_an_on_cut_short_is_carried_out(rig: Rig) -> None:
    """A person's on that was only planned when the supervisor died is done at the next start."""
    rig.switch.ports.set_admin([PORT], "off", "before", 0)
    begin_cut_short(rig, IntentState.PLANNED, "on")
    await reconciled(rig.restart())
    assert rig.switch.ports[PORT].admin == "auto"


@pytest.mark.parametrize("theirs", [False, True])
async def test_what_a_dead_supervisor_hit_beside_its_port_comes_back(
    rig: Rig, *, theirs: bool
) -> None:
    """A port that was on before, and is off after a death, is on again and told; not a person's."""
    begin_cut_short(rig, IntentState.PLANNED)
    rig.journal.intents.advance("op", IntentState.SENDING, on_before=[PORT, OTHER, LOGIN])
    if theirs:
        begin_cut_short(rig, IntentState.SENDING, "off", "hand", "green1", OTHER)
        rig.journal.intents.advance("hand", IntentState.DONE)
    rig.switch.ports.set_admin([OTHER], "off", "the stray command", 0)
    stories = await reconciled(rig.restart())
    assert rig.switch.ports[OTHER].admin == ("off" if theirs else "auto")
    told = "other ports were found off and ordered on: 34"
    assert any(told in one.story for one in stories) is not theirs
    repairs = [i for i in rig.journal.intents.recent() if i.requested_by == "pimedic"]
    assert [(i.kind, i.port, i.state) for i in repairs] == (
        [] if theirs else [("on", OTHER, "done")]
    )


async def test_a_cycle_is_not_proven_before_power_flows_again(rig: Rig) -> None:
    """Told `auto` is not on: a device that takes its time is awaited, one that is gone is told."""
    rig.switch.ports.latencies = Latencies(off=0.01, on=0.5)
    slow = await rig.start(Off).cycle(REQUEST)
    assert slow.verdict is Verdict.VERIFIED
    assert rig.switch.ports.history(PORT) == ["off", "on"]
    rig.switch.ports[PORT].watts = 0.0
    rig.switch.ports[OTHER].watts = lambda: 3.0 if not rig.switch.ports.history(OTHER) else 0.0
    gone = await rig.start(Off, replace(SETTINGS, settle_s=0.3)).cycle(PowerRequest("green1", "x"))
    assert (gone.verdict, gone.settled) == (Verdict.SENT_UNVERIFIED, True)
    assert "port 34 is auto, no power" in gone.detail


async def test_reconciling_with_a_mute_switch_says_so(rig: Rig) -> None:
    """While the switch doesn't speak, reconciliation reports what waits, and why."""
    begin_cut_short(rig, IntentState.SENT)
    rig.switch.inject(Fault(Kind.CLOSE_BEFORE_BANNER, times=1))
    result = await rig.start().reconcile()
    assert (result.pending, result.closed) == (1, ())
    assert result.problem
