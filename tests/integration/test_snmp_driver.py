"""The `snmp` driver against net-snmp's own agent, which serves RFC 3621 from a model of ports.

The oracle is the log of transitions that the program behind the agent writes.
"""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from supervisor.actuators.power.driver import (
    Capability,
    CycleOutcome,
    Phase,
    PowerDriver,
    PowerError,
    Stage,
)
from supervisor.actuators.power.snmp import SnmpDriver, SnmpSettings

ROOT = Path(__file__).resolve().parents[2]
SNMPD = shutil.which("snmpd", path=f"{os.environ['PATH']}:/usr/sbin")
pytestmark = pytest.mark.skipif(SNMPD is None, reason="needs Debian's snmpd")
PORT = 15
SECRET, READ_ONLY = "s3cret-community", "only-look"
V3 = {
    "user": "pimedic", "auth": "sha256", "auth_password": "a-long-password",
    "privacy": "aes128", "privacy_password": "another-password",
}  # fmt: skip


@dataclass
class Agent:
    """A running snmpd and what lies behind it."""

    folder: Path
    port: int

    def plan(self, **changes: Any) -> None:
        """Change what goes wrong from now on."""
        path = self.folder / "plan.json"
        given = json.loads(path.read_text()) | changes
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(given))
        fresh.rename(path)

    def log(self, what: str = "power") -> list[tuple[int, str]]:
        """Return what happened, as (port, after)."""
        path = self.folder / "transitions.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        seen = [json.loads(line) for line in lines]
        return [(one["port"], one["after"]) for one in seen if one["what"] == what]

    def settings(self, **changes: Any) -> SnmpSettings:
        """Return settings with the community that may write."""
        settings = SnmpSettings(
            address="127.0.0.1",
            port=self.port,
            credentials=self.credentials(community=SECRET),
            timeout_s=3.0,
            poll_s=0.02,
            confirm_s=5.0,
        )
        return replace(settings, **changes)

    def credentials(self, **lines: str) -> Path:
        """Write a credential file."""
        path = self.folder / "switch_login"
        path.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        path.chmod(0o600)
        return path


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    """Start snmpd on a free port of loopback, with Pis on ports 9, 15 and 33."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "plan.json").write_text(json.dumps({"plugged": [9, PORT, 33]}))
    (tmp_path / "snmpd.conf").write_text(
        f"agentaddress udp:127.0.0.1:{port}\n"
        f"rwcommunity {SECRET} 127.0.0.1\n"
        f"rocommunity {READ_ONLY} 127.0.0.1\n"
        "rwuser pimedic authpriv\n"
        f"createUser pimedic SHA-256 {V3['auth_password']} AES {V3['privacy_password']}\n"
        f"pass_persist .1.3.6.1.2.1.105 {sys.executable} -m lab.switch.snmp_pass {tmp_path}\n"
    )
    (tmp_path / "persistent").mkdir()
    assert SNMPD
    process = await asyncio.create_subprocess_exec(
        SNMPD, "-f", "-C", "-c", tmp_path / "snmpd.conf", "-Lf", tmp_path / "log",
        "-p", tmp_path / "pid", cwd=ROOT,
        env={**os.environ, "SNMP_PERSISTENT_DIR": str(tmp_path / "persistent"), "MIBS": ""},
    )  # fmt: skip
    agent = Agent(tmp_path, port)
    try:
        await _up(agent)
        yield agent
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 10)


async def _up(agent: Agent) -> None:
    driver = SnmpDriver(agent.settings(timeout_s=0.2, look_retries=0))
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(PowerError):
                await driver.validate()
                break
    await driver.aclose()


@pytest.fixture
def settings(agent: Agent) -> SnmpSettings:
    """Return patient settings with the community that may write."""
    return agent.settings()


@pytest.fixture
async def driver(settings: SnmpSettings) -> AsyncIterator[SnmpDriver]:
    """Return the driver."""
    driver = SnmpDriver(settings)
    yield driver
    await driver.aclose()


def _is_the_protocol(driver: SnmpDriver) -> PowerDriver:
    return driver


async def test_status_tells_every_port_and_changes_nothing(
    driver: SnmpDriver, agent: Agent
) -> None:
    """48 ports, told and delivering apart; RFC 3621 knows no watts per port."""
    states = await _is_the_protocol(driver).status()
    assert states.keys() == set(range(1, 49))
    busy, idle = states[PORT], states[1]
    assert (busy.admin, busy.delivering, busy.pd_class) == ("auto", True, "Class 4")
    assert (idle.admin, idle.delivering, idle.pd_class) == ("auto", False, None)
    assert busy.watts is None
    assert Capability.PER_PORT_WATTS not in driver.capabilities
    assert agent.log() == agent.log("admin") == []


async def test_off_and_on_touch_one_port(driver: SnmpDriver, agent: Agent) -> None:
    """Off returns only once the power is gone, and no other port changes."""
    await driver.off(PORT, op_id="a")
    assert agent.log() == [(PORT, "off")]
    await driver.on(PORT, op_id="b")
    assert agent.log("admin") == [(PORT, "off"), (PORT, "auto")]


async def test_a_cycle_is_verified_by_reading(driver: SnmpDriver, agent: Agent) -> None:
    """Off, seen off, on, seen on: in this order, once."""
    result = await driver.cycle(PORT, off_s=0.2, op_id="a")
    assert result.outcome is CycleOutcome.VERIFIED, result.detail
    assert [state.admin for state in result.seen] == ["auto", "off", "auto"]
    assert agent.log("admin") == [(PORT, "off"), (PORT, "auto")]


async def test_a_yes_without_effect_is_never_believed(settings: SnmpSettings, agent: Agent) -> None:
    """The agent answers noError and nothing happens: unknown, and the reading is quoted."""
    agent.plan(no_effect=True)
    hasty = SnmpDriver(replace(settings, confirm_s=0.2))
    with pytest.raises(PowerError, match="port 15 shows 'auto, delivering'") as caught:
        await hasty.off(PORT, op_id="a")
    assert caught.value.phase is Phase.UNKNOWN
    result = await hasty.cycle(PORT, off_s=0.1, op_id="b")
    assert result.outcome is CycleOutcome.UNKNOWN
    assert agent.log("admin") == []
    await hasty.aclose()


async def test_an_effect_on_another_port_is_never_called_done(
    settings: SnmpSettings, agent: Agent
) -> None:
    """The asked port is what is read."""
    agent.plan(wrong_port=33)
    hasty = SnmpDriver(replace(settings, confirm_s=0.2))
    with pytest.raises(PowerError) as caught:
        await hasty.off(PORT, op_id="a")
    assert caught.value.phase is Phase.UNKNOWN
    assert {port for port, _ in agent.log("admin")} == {33}
    await hasty.aclose()


@pytest.mark.parametrize("word", ["not-writable", "wrong-value"])
async def test_a_refusal_is_told_in_the_agents_word(
    driver: SnmpDriver, agent: Agent, word: str
) -> None:
    """Rejected, by RFC 3416's name, and a cycle is refused without a second try."""
    agent.plan(refuse=word)
    name = {"not-writable": "notWritable", "wrong-value": "wrongValue"}[word]
    with pytest.raises(PowerError, match=name) as caught:
        await driver.off(PORT, op_id="a")
    assert caught.value.phase is Phase.REJECTED
    result = await driver.cycle(PORT, off_s=0.1, op_id="b")
    assert (result.outcome, name in result.detail) == (CycleOutcome.REFUSED, True)
    assert agent.log("admin") == []


async def test_a_community_that_may_only_look_is_told(settings: SnmpSettings, agent: Agent) -> None:
    """Looking works, and a SET is refused with noAccess."""
    credentials = agent.credentials(community=READ_ONLY)
    looker = SnmpDriver(replace(settings, credentials=credentials))
    assert PORT in await looker.status()
    with pytest.raises(PowerError, match="noAccess") as caught:
        await looker.off(PORT, op_id="a")
    assert caught.value.phase is Phase.REJECTED
    await looker.aclose()


async def test_v3_works_with_privacy(settings: SnmpSettings, agent: Agent) -> None:
    """The same over USM, from the same credential file."""
    private = SnmpDriver(replace(settings, credentials=agent.credentials(**V3)))
    result = await private.cycle(PORT, off_s=0.1, op_id="a")
    assert result.outcome is CycleOutcome.VERIFIED, result.detail
    await private.aclose()


@pytest.mark.parametrize("changed", ["user", "auth_password"])
async def test_a_refused_v3_login_trips_the_breaker(
    settings: SnmpSettings, agent: Agent, changed: str
) -> None:
    """A wrong user or password is no fault that trying again mends."""
    credentials = agent.credentials(**{**V3, changed: "something-else"})
    stranger = SnmpDriver(replace(settings, credentials=credentials))
    with pytest.raises(PowerError, match="login refused") as caught:
        await stranger.status()
    assert (caught.value.stage, caught.value.trips_breaker) == (Stage.LOGIN, True)
    assert "something-else" not in str(caught.value)
    await stranger.aclose()


async def test_a_wrong_community_is_silence_and_said_so(
    settings: SnmpSettings, agent: Agent
) -> None:
    """v2c can't refuse a login: the message names both possibilities, and never the secret."""
    credentials = agent.credentials(community="wrong-one")
    stranger = SnmpDriver(replace(settings, credentials=credentials, timeout_s=0.2, look_retries=0))
    with pytest.raises(PowerError, match="wrong community looks the same") as caught:
        await stranger.status()
    assert (caught.value.phase, caught.value.stage) == (Phase.NOT_SENT, Stage.REACH)
    assert "wrong-one" not in str(caught.value)
    await stranger.aclose()


async def test_a_set_without_an_answer_is_found_by_reading(
    settings: SnmpSettings, agent: Agent
) -> None:
    """It is not sent again: the port shows that it happened."""
    agent.plan(mute_s=1.0, mute_after=True)
    impatient = SnmpDriver(replace(settings, timeout_s=0.5, look_retries=9))
    await impatient.off(PORT, op_id="a")
    assert agent.log("admin") == [(PORT, "off")]
    await impatient.aclose()


async def test_a_switch_without_the_mib_is_told(settings: SnmpSettings) -> None:
    """An agent that knows no such group has nothing to drive."""
    other = SnmpDriver(replace(settings, group=2))
    with pytest.raises(PowerError, match="RFC 3621") as caught:
        await other.validate()
    assert caught.value.stage is Stage.TOOL
    await other.aclose()


@pytest.mark.parametrize("port", [0, 49, -1, True, "15", 1.0])
async def test_no_port_but_a_checked_integer_is_named(driver: SnmpDriver, port: Any) -> None:
    """A bad port is refused before anything is sent."""
    with pytest.raises(PowerError, match="no PoE port"):
        await driver.off(port, op_id="a")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ({"comunity": "x"}, "switch_login:1: comunity: unknown key"),
        ({"user": "u"}, "'auth' is amiss"),
        ({**V3, "auth": "rot13"}, "auth is amiss"),
        ({**V3, "community": "x"}, "community beside a user"),
        ({}, "'auth' is amiss"),
    ],
)
async def test_bad_credentials_are_told_without_their_values(
    settings: SnmpSettings, agent: Agent, lines: dict[str, str], said: str
) -> None:
    """File, line and key; the secrets stay where they are."""
    confused = SnmpDriver(replace(settings, credentials=agent.credentials(**lines)))
    with pytest.raises(PowerError, match=said) as caught:
        await confused.status()
    assert (caught.value.stage, caught.value.trips_breaker) == (Stage.CREDENTIALS, True)
    assert not any(secret in str(caught.value) for secret in (V3["auth_password"], "rot13"))
    await confused.aclose()


async def test_credentials_that_others_can_read_are_refused(
    settings: SnmpSettings, agent: Agent
) -> None:
    """A secret with mode 644 is none."""
    path = agent.credentials(community=SECRET)
    path.chmod(0o644)
    with pytest.raises(PowerError, match="chmod 600"):
        await SnmpDriver(settings).status()
