"""The power service over the drivers that can't do everything: what is missing, it lives without.

The oracle is the ports' own log or the agent's own file, never the outcome alone.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from common.topology import Cluster, Node, Role, Switch
from lab.switch.controller import MAC, FakeController
from supervisor.actuators.power.driver import PowerDriver
from supervisor.actuators.power.fence import FenceDriver, FenceSettings
from supervisor.actuators.power.findings import Mark
from supervisor.actuators.power.orders import Outlet, PowerRequest, Verdict
from supervisor.actuators.power.service import PowerService
from supervisor.actuators.power.settings import PowerSettings
from supervisor.actuators.power.survey import Survey, survey
from supervisor.actuators.power.unifi import UnifiDriver, UnifiSettings
from supervisor.journal.intents import IntentState
from supervisor.journal.journal import Journal

PORT, OTHER = 15, 33
OUTLETS = {"login": Outlet(PORT, ""), "yellow1": Outlet(OTHER, "")}
PATIENCE = PowerSettings(
    default_off_s=0.1, min_off_s=0.05, max_off_s=1.0, status_s=5, command_s=10, cycle_margin_s=20,
    settle_s=4, late_effect_s=0.2, retry_first_s=0.02, retry_max_s=0.05, close_s=10,
)  # fmt: skip
REQUEST = PowerRequest("login", "a person")
AGENT = """#!/bin/sh
while IFS='=' read -r key value; do eval "given_$key='$value'"; done
outlet="{folder}/outlet-$given_plug"
echo "$given_action $given_plug" >>"{folder}/told"
case "$given_action" in
status) echo "Status: $(cat "$outlet")"; grep -q on "$outlet" || exit 2 ;;
on | off) echo "$given_action" >"$outlet" ;;
esac
"""


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Return a journal."""
    journal = Journal(tmp_path / "state")
    yield journal
    journal.close()


def _service(driver: PowerDriver, journal: Journal) -> PowerService:
    return PowerService(driver, journal, OUTLETS, PATIENCE, rng=random.Random(1))  # noqa: S311 -- jitter


@pytest.fixture
def fence(tmp_path: Path) -> FenceDriver:
    """Return a driver for an agent with two outlets, both on."""
    agent = tmp_path / "fence_files"
    agent.write_text(AGENT.format(folder=tmp_path))
    agent.chmod(0o755)
    for port in (PORT, OTHER):
        (tmp_path / f"outlet-{port}").write_text("on\n")
    return FenceDriver(FenceSettings(agent=agent, ports=(PORT, OTHER), poll_s=0.05))


def _switched(tmp_path: Path) -> list[str]:
    told = (tmp_path / "told").read_text().splitlines()
    return [line for line in told if line.startswith(("on", "off", "reboot"))]


async def test_a_cycle_by_a_fence_agent_is_verified_and_settled(
    fence: FenceDriver, journal: Journal, tmp_path: Path
) -> None:
    """Nobody can tell whether power flows; that it was off, and is on, suffices."""
    service = _service(fence, journal)
    outcome = await service.cycle(REQUEST)
    assert (outcome.verdict, outcome.settled) == (Verdict.VERIFIED, True), outcome.detail
    assert _switched(tmp_path) == [f"off {PORT}", f"on {PORT}"]
    assert journal.intents.unfinished() == []
    await service.aclose()


async def test_a_fence_cycle_cut_in_the_middle_is_finished_from_the_journal(
    fence: FenceDriver, journal: Journal, tmp_path: Path
) -> None:
    """Such a switch can't end a cycle by itself: whoever starts next does."""
    intents = journal.intents
    intents.begin(
        op_id="cut", action_id="", node="login", port=PORT, mac="", kind="cycle", off_s=0.0,
        requested_by="a crash",
    )  # fmt: skip
    intents.advance("cut", IntentState.SENDING)
    (tmp_path / f"outlet-{PORT}").write_text("off\n")
    service = _service(fence, journal)
    result = await service.reconcile()
    assert result.switched_on == (PORT,)
    assert (tmp_path / f"outlet-{PORT}").read_text() == "on\n"
    assert _switched(tmp_path) == [f"on {PORT}"]
    await service.aclose()


@pytest.fixture
async def controller(tmp_path: Path) -> AsyncIterator[FakeController]:
    """Return a controller whose switch has a Pi on two ports."""
    fake = FakeController(tmp_path)
    for number in (PORT, OTHER):
        fake.ports.plug(number)
    async with fake:
        yield fake


@pytest.fixture
def unifi(controller: FakeController, tmp_path: Path) -> UnifiDriver:
    """Return a driver for it."""
    path = tmp_path / "switch_login"
    path.write_text(f"api_key={controller.api_key}\n")
    path.chmod(0o600)
    settings = UnifiSettings(
        url=controller.url,
        device=MAC,
        credentials=path,
        fingerprint=controller.fingerprint,
        poll_s=0.02,
        settle_s=2.0,
    )
    return UnifiDriver(settings)


async def test_a_controllers_cycle_is_verified_and_settled(
    unifi: UnifiDriver, controller: FakeController, journal: Journal
) -> None:
    """One request, and nothing is ordered on afterwards: this driver couldn't."""
    service = _service(unifi, journal)
    outcome = await service.cycle(REQUEST)
    assert (outcome.verdict, outcome.settled) == (Verdict.VERIFIED, True), outcome.detail
    assert controller.ports.history(PORT) == ["off", "on"]
    assert controller.ports.touched() == {PORT}
    await service.aclose()


async def test_an_off_by_hand_is_refused_with_the_reason(
    unifi: UnifiDriver, controller: FakeController, journal: Journal
) -> None:
    """By design, and the port isn't taken for one that a person switched off."""
    service = _service(unifi, journal)
    outcome = await service.off(REQUEST)
    assert outcome.verdict is Verdict.REFUSED
    assert "can only cycle" in outcome.detail
    assert controller.ports.log == []
    assert journal.intents.ports_off_by_hand() == set()
    await service.aclose()


async def test_a_cycle_that_nobody_saw_is_closed_all_the_same(
    unifi: UnifiDriver, controller: FakeController, journal: Journal
) -> None:
    """Sent, unverified; the port is set on as ever, so nothing is left to be done."""
    controller.trouble.no_effect = True
    service = _service(unifi, journal)
    outcome = await service.cycle(REQUEST)
    assert outcome.verdict is Verdict.SENT_UNVERIFIED, outcome.detail
    async with asyncio.timeout(5):
        while (result := await service.reconcile()).pending:
            assert result.problem == ""
            await asyncio.sleep(0.05)
    assert controller.ports.log == []
    await service.aclose()


# The survey of each


CLUSTER = Cluster(
    "lab",
    "UTC",
    "192.0.2.0/24",
    Switch("fake", "127.0.0.1"),
    {
        name: Node(name, f"{port:08x}", f"dc:a6:32:00:00:{port:02x}", f"192.0.2.{port}", port, role)
        for name, port, role in (("login", PORT, Role.LOGIN), ("yellow1", OTHER, Role.WORKER))
    },
)


def _limits(found: Survey) -> str:
    return "\n".join(one.text for one in found.findings if one.subject == "limit")


async def test_the_survey_of_a_fence_agent_names_its_limits(
    fence: FenceDriver, tmp_path: Path
) -> None:
    """Usable, and nobody can say later that they weren't told."""
    found = await survey(fence, CLUSTER, PATIENCE)
    assert found.is_usable, found
    for limit in ("a cycle is two commands", "whether power flows", "no watts", "which node hangs"):
        assert limit in _limits(found)
    assert _switched(tmp_path) == []


async def test_the_survey_of_a_controller_names_its_limits(
    unifi: UnifiDriver, controller: FakeController
) -> None:
    """Cycles only; and the controller's own Device Supervisor is warned of."""
    found = await survey(unifi, CLUSTER, PATIENCE, exercise=40)
    assert found.is_usable, found
    assert "can only cycle" in _limits(found)
    assert "a cycle is two commands" not in _limits(found)
    marks = {one.subject: one.mark for one in found.findings}
    assert marks["device supervisor"] is marks["exercise of port 40"] is Mark.WARNING
    assert controller.ports.touched() <= {40}
    await unifi.aclose()
