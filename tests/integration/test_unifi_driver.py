"""The `unifi` driver against a fake controller over real TLS, with both of its APIs.

The oracle is the log of transitions of the ports behind the controller.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from common.clock import boottime
from lab.switch.controller import MAC, FakeController
from lab.switch.ports import Latencies
from supervisor.actuators.power.driver import (
    Capability,
    CycleOutcome,
    Phase,
    PowerDriver,
    PowerError,
    Stage,
)
from supervisor.actuators.power.findings import Mark
from supervisor.actuators.power.unifi import Api, UnifiDriver, UnifiSettings

PORT, OTHER = 15, 33
APIS: tuple[Api, ...] = ("integration", "classic")
Make = Callable[..., UnifiDriver]


@pytest.fixture
async def controller(tmp_path: Path) -> AsyncIterator[FakeController]:
    """Return a controller whose switch has Pis on two ports."""
    fake = FakeController(tmp_path)
    for number in (PORT, OTHER):
        fake.ports.plug(number, mac=f"dc:a6:32:00:00:{number:02x}")
    async with fake:
        yield fake


@pytest.fixture
async def make(controller: FakeController, tmp_path: Path) -> AsyncIterator[Make]:
    """Return a maker of drivers for it, with good credentials unless told otherwise."""
    made: list[UnifiDriver] = []

    def driver(api: Api = "integration", secrets: str = "", **changes: Any) -> UnifiDriver:
        good = f"api_key={controller.api_key}\n"
        if api == "classic":
            good = f"username={controller.username}\npassword={controller.password}\n"
        path = tmp_path / f"login-{len(made)}"
        path.write_text(secrets or good)
        path.chmod(0o600)
        settings: dict[str, Any] = {
            "url": controller.url, "device": MAC, "credentials": path, "api": api,
            "fingerprint": controller.fingerprint, "timeout_s": 5.0, "poll_s": 0.02,
            "settle_s": 5.0,
        }  # fmt: skip
        made.append(UnifiDriver(UnifiSettings(**settings | changes)))
        return made[-1]

    yield driver
    for one in made:
        await one.aclose()


def _is_the_protocol(driver: UnifiDriver) -> PowerDriver:
    return driver


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 -- the controller has many conditions, no events
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("api", APIS)
async def test_status_tells_every_poe_port(
    make: Make, controller: FakeController, api: Api
) -> None:
    """48 ports and no SFP; watts and classes where the API has them; nothing changes."""
    driver = make(api)
    await _is_the_protocol(driver).validate()
    states = await driver.status()
    assert states.keys() == set(range(1, 49))
    busy, idle = states[PORT], states[1]
    assert (busy.admin, busy.delivering) == ("auto", True)
    assert (idle.admin, idle.delivering) == ("auto", False)
    told = (3.4, "Class 4") if api == "classic" else (None, None)
    assert (busy.watts, busy.pd_class) == told
    assert (Capability.PER_PORT_WATTS in driver.capabilities) == (api == "classic")
    assert Capability.OFF_AND_ON not in driver.capabilities
    assert controller.ports.log == []


@pytest.mark.parametrize("api", APIS)
async def test_a_cycle_is_seen_off_and_on(make: Make, controller: FakeController, api: Api) -> None:
    """One request; the switch does it, and the controller's reports prove it."""
    result = await make(api).cycle(PORT, off_s=0.1, op_id="a")
    assert result.outcome is CycleOutcome.VERIFIED, result.detail
    assert controller.ports.history(PORT) == ["off", "on"]
    assert controller.ports.touched() == {PORT}
    assert sum(line.startswith("POST") and "login" not in line for line in controller.requests) == 1


@pytest.mark.parametrize("api", APIS)
async def test_off_and_on_are_refused_by_design(
    make: Make, controller: FakeController, api: Api
) -> None:
    """`off` never; `on` only says whether the port is set on, which a cycle doesn't change."""
    driver = make(api)
    with pytest.raises(PowerError, match="can only cycle") as caught:
        await driver.off(PORT, op_id="a")
    assert caught.value.phase is Phase.REJECTED
    await driver.on(PORT, op_id="b")
    controller.ports.set_admin([OTHER], "off", "a person", 0)
    await _until(lambda: not controller.ports[OTHER].powered)
    with pytest.raises(PowerError, match="switch its PoE on there"):
        await driver.on(OTHER, op_id="c")
    result = await driver.cycle(OTHER, off_s=0.1, op_id="d")
    assert result.outcome is CycleOutcome.REFUSED
    assert {one.cause for one in controller.ports.log} == {"a person"}
    assert all("devmgr" not in line and "actions" not in line for line in controller.requests)


@pytest.mark.parametrize("api", APIS)
async def test_a_yes_without_effect_is_sent_and_unverified(
    make: Make, controller: FakeController, api: Api
) -> None:
    """The controller takes it and nothing happens: never called verified."""
    controller.trouble.no_effect = True
    result = await make(api, settle_s=0.2).cycle(PORT, off_s=0.0, op_id="a")
    assert result.outcome is CycleOutcome.SENT_UNVERIFIED
    assert controller.ports.log == []


async def test_a_cycle_between_two_reports_is_sent_and_unverified(
    make: Make, controller: FakeController
) -> None:
    """A controller that heard nothing of it can't prove it: no claim without a look."""
    controller.lose_the_switch()
    result = await make(settle_s=0.3).cycle(PORT, off_s=0.0, op_id="a")
    assert result.outcome is CycleOutcome.SENT_UNVERIFIED
    controller.ports.run_due()
    assert controller.ports.history(PORT) in (["off"], ["off", "on"])


@pytest.mark.parametrize("api", APIS)
async def test_a_lost_answer_is_unknown_until_it_is_seen(
    make: Make, controller: FakeController, api: Api
) -> None:
    """The request isn't sent again; what the reports show decides."""
    controller.trouble.hang_after = True
    controller.ports.latencies = Latencies(off=0.02, on=0.05, restart=1.5)
    result = await make(api, timeout_s=0.4).cycle(PORT, off_s=0.0, op_id="a")
    assert result.outcome is CycleOutcome.VERIFIED, result.detail
    assert controller.ports.history(PORT) == ["off", "on"]
    assert sum(line.startswith("POST") and "login" not in line for line in controller.requests) == 1


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("secret", ["wrong", "right-but-elsewhere"])
async def test_a_refused_login_trips_the_breaker(make: Make, api: Api, secret: str) -> None:
    """By stage login, and without the secret in the message."""
    lines = {"integration": "api_key={}\n", "classic": "username=pimedic\npassword={}\n"}
    with pytest.raises(PowerError) as caught:
        await make(api, lines[api].format(secret)).status()
    assert (caught.value.stage, caught.value.trips_breaker) == (Stage.LOGIN, True)
    assert secret not in str(caught.value)


async def test_the_bare_application_says_no_with_400(tmp_path: Path) -> None:
    """Without UniFi OS in front, paths have no prefix, and a wrong password is a bad request."""
    async with FakeController(tmp_path, unifi_os=False) as controller:
        path = tmp_path / "login"
        path.write_text(f"username=pimedic\npassword={controller.password}\n")
        path.chmod(0o600)
        settings = UnifiSettings(
            url=controller.url, device=MAC, credentials=path, api="classic", unifi_os=False,
            fingerprint=controller.fingerprint,
        )  # fmt: skip
        driver = UnifiDriver(settings)
        assert len(await driver.status()) == 48
        await driver.aclose()
        path.write_text("username=pimedic\npassword=wrong\n")
        driver = UnifiDriver(settings)
        with pytest.raises(PowerError, match=r"api\.err\.Invalid") as caught:
            await driver.status()
        assert (caught.value.stage, caught.value.trips_breaker) == (Stage.LOGIN, True)
        await driver.aclose()


async def test_an_expired_session_is_opened_again_once(
    make: Make, controller: FakeController
) -> None:
    """A refused session was not acted upon, so logging in and sending again is safe."""
    driver = make("classic")
    await driver.status()
    controller.expire_sessions()
    result = await driver.cycle(PORT, off_s=0.0, op_id="a")
    assert result.outcome is CycleOutcome.VERIFIED, result.detail
    assert controller.ports.history(PORT) == ["off", "on"]
    assert sum("login" in line for line in controller.requests) == 2


@pytest.mark.parametrize("api", APIS)
async def test_too_many_requests_keep_us_quiet(
    make: Make, controller: FakeController, api: Api
) -> None:
    """429 was not acted upon; until Retry-After is over nothing more is sent."""
    driver = make(api)
    await driver.status()
    controller.trouble.too_many, controller.trouble.retry_after_s = 1, 60
    with pytest.raises(PowerError, match="too many requests") as caught:
        await driver.cycle(PORT, off_s=0.0, op_id="a")
    assert caught.value.phase is Phase.NOT_SENT
    sent = len(controller.requests)
    with pytest.raises(PowerError, match="asked us to wait"):
        await driver.status()
    assert len(controller.requests) == sent


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    ("changes", "trouble", "said", "stage"),
    [
        ({"site": "elsewhere"}, {}, "site|NoSiteContext", Stage.TOOL),
        ({"device": "74:83:c2:00:00:99"}, {}, "adopted here|UnknownDevice", Stage.TOOL),
        ({}, {"adopted": False}, "adopted here|UnknownDevice", Stage.TOOL),
        ({}, {"state": 0}, "the switch is (disconnected|offline)", Stage.REACH),
        ({}, {"answer": "<html>login</html>"}, "not understood", Stage.TABLE),
        ({}, {"status": 503}, "HTTP 503", Stage.REACH),
        ({"timeout_s": 0.2}, {"hang": True}, "no answer in 0.2 s", Stage.REACH),
    ],
    ids=lambda value: str(value)[:24],
)
async def test_what_is_wrong_with_a_controller_is_told(
    make: Make,
    controller: FakeController,
    api: Api,
    changes: dict[str, Any],
    trouble: dict[str, Any],
    said: str,
    stage: Stage,
) -> None:
    """Each in words, at its stage, and none trips the breaker or changes a port."""
    for name, value in trouble.items():
        setattr(controller.trouble, name, value)
    with pytest.raises(PowerError, match=said) as caught:
        await make(api, **changes).cycle(PORT, off_s=0.0, op_id="a")
    assert (caught.value.stage, caught.value.trips_breaker) == (stage, False)
    assert caught.value.phase in {Phase.NOT_SENT, Phase.REJECTED}
    assert controller.ports.log == []


async def test_another_certificate_is_not_spoken_to(make: Make, controller: FakeController) -> None:
    """No request is sent, no secret told, and the fingerprint that was found is quoted."""
    with pytest.raises(PowerError, match=controller.fingerprint) as caught:
        await make(fingerprint="00" * 32).status()
    assert (caught.value.stage, caught.value.trips_breaker) == (Stage.IDENTITY, True)
    assert controller.requests == []


async def test_an_authority_can_be_trusted_instead(
    make: Make, controller: FakeController, tmp_path: Path
) -> None:
    """With a CA's file; and without either, a certificate nobody knows is refused."""
    driver = make(fingerprint="", ca_file=controller.certificate)
    assert len(await driver.status()) == 48
    with pytest.raises(PowerError) as caught:
        await make(fingerprint="").status()
    assert caught.value.stage is Stage.IDENTITY
    with pytest.raises(PowerError, match="nowhere") as caught:
        await make(fingerprint="", ca_file=tmp_path / "nowhere").status()
    assert caught.value.stage is Stage.CREDENTIALS


@pytest.mark.parametrize("api", APIS)
async def test_age_is_by_the_controllers_own_clock(
    make: Make, controller: FakeController, api: Api
) -> None:
    """A controller ten years behind us, whose switch reported just now, tells fresh news."""
    controller.trouble.clock_error_s = -10 * 365 * 86400.0
    reported = controller._reported_at
    await _until(lambda: controller._reported_at < reported - 1)
    state = (await make(api).status())[PORT]
    assert boottime() - state.observed_at < 5


@pytest.mark.parametrize("api", APIS)
async def test_old_news_is_told_as_old(make: Make, controller: FakeController, api: Api) -> None:
    """What the switch reported ten minutes ago is ten minutes old, and the survey says so."""
    controller.lose_the_switch()
    controller.trouble.clock_error_s = 600.0
    driver = make(api)
    state = (await driver.status())[PORT]
    assert 598 < boottime() - state.observed_at < 660
    marks = {one.subject: one.mark for one in await driver.findings()}
    assert marks["freshness"] is Mark.BAD


async def test_which_node_hangs_where_is_known_to_the_classic_api(
    make: Make, controller: FakeController
) -> None:
    """Wired clients of this switch, by port."""
    assert await make("classic").macs() == {
        f"dc:a6:32:00:00:{number:02x}": number for number in (PORT, OTHER)
    }
    assert await make("integration").macs() == {}
    assert controller.ports.log == []


@pytest.mark.parametrize("port", [0, 49, 53, True, "15"])
async def test_no_port_but_a_poe_port_is_named(
    make: Make, controller: FakeController, port: Any
) -> None:
    """An SFP port, none at all, or something else: refused before anything is sent."""
    with pytest.raises(PowerError, match="no PoE port") as caught:
        await make().cycle(port, off_s=0.0, op_id="a")
    assert caught.value.phase is Phase.REJECTED
    assert all("POST" not in line for line in controller.requests)
