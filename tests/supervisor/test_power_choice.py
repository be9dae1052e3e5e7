"""Which driver the settings mean: each is built from its own table, and from files for secrets."""

import subprocess
import sys
from pathlib import Path

import pytest

from common.inventory import load_cluster
from supervisor.actuators.power.choice import driver_of
from supervisor.actuators.power.driver import Capability, PowerError
from supervisor.actuators.power.fence import FenceDriver
from supervisor.actuators.power.snmp import SnmpDriver
from supervisor.actuators.power.swctrl import SwctrlDriver
from supervisor.actuators.power.unifi import UnifiDriver
from supervisor.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = load_cluster(ROOT / "config/cluster.toml")
UNIFI = (
    "[switch.unifi]\nurl = 'https://192.0.2.1'\ndevice = '74:83:C2:00:00:01'\n"
    "ca_file = 'controller.pem'\n"
)


def _settings(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "pimedic.toml"
    path.write_text(text)
    return load_settings(path)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", SwctrlDriver),
        ("[switch]\ndriver = 'snmp'\n", SnmpDriver),
        ("[switch]\ndriver = 'fence'\n[switch.fence]\nagent = '/usr/sbin/x'\n", FenceDriver),
        ("[switch]\ndriver = 'unifi'\n" + UNIFI, UnifiDriver),
    ],
)
async def test_each_driver_is_built_from_its_table(tmp_path: Path, text: str, kind: type) -> None:
    """The named one, and nothing is contacted for it."""
    driver = driver_of(_settings(tmp_path, text), CLUSTER)
    assert isinstance(driver, kind)
    assert driver.capabilities <= set(Capability)
    await driver.aclose()


async def test_credentials_and_certificates_are_files_beside_the_settings(tmp_path: Path) -> None:
    """A relative name is the file's neighbour, and a missing file is told by its whole name."""
    settings = _settings(tmp_path, "[switch]\ndriver = 'unifi'\n" + UNIFI)
    assert settings.switch.unifi
    assert settings.switch.unifi.ca_file == tmp_path / "controller.pem"
    assert settings.switch.unifi.device == "74:83:c2:00:00:01"
    driver = driver_of(settings, CLUSTER)
    with pytest.raises(PowerError, match=str(tmp_path / "switch_login")):
        await driver.validate()
    await driver.aclose()


async def test_a_fence_agent_is_asked_for_the_inventorys_ports_alone(tmp_path: Path) -> None:
    """It may power machines that are none of ours."""
    text = "[switch]\ndriver = 'fence'\n[switch.fence]\nagent = '/usr/sbin/x'\n"
    driver = driver_of(_settings(tmp_path, text), CLUSTER)
    assert isinstance(driver, FenceDriver)
    assert set(driver._settings.ports) == {node.port for node in CLUSTER}


def test_what_is_not_chosen_is_not_loaded() -> None:
    """A Pi with a UniFi switch doesn't carry an SNMP library in its memory."""
    code = "import sys, supervisor.daemon.assembly; sys.exit('pysnmp' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
