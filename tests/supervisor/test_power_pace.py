"""How often a driver is asked, and how long its word stands."""

from pathlib import Path

import pytest

from supervisor.actuators.power.pace import pace_of
from supervisor.settings import load_settings

FENCE = "[switch]\ndriver = 'fence'\n[switch.fence]\nagent = '/usr/sbin/x'\n"
UNIFI = (
    "[switch]\ndriver = 'unifi'\n[switch.unifi]\nurl = 'https://192.0.2.1'\n"
    "device = '74:83:c2:00:00:01'\nca_file = 'x'\n"
)


@pytest.mark.parametrize("text", ["", "[switch]\ndriver = 'snmp'\n", FENCE, UNIFI])
def test_a_ports_word_outlives_the_next_look(tmp_path: Path, text: str) -> None:
    """Else every port would be unknown between two looks, and the rail would hold for ever."""
    path = tmp_path / "pimedic.toml"
    path.write_text(text)
    pace = pace_of(load_settings(path), 19)
    assert pace.port_ttl_s >= 2 * pace.every_s + pace.look_s
    assert pace.command_s >= pace.look_s or pace.command_s >= 30
    assert pace.tells_delivery == ("fence" not in text)


def test_a_fence_agent_has_time_for_every_node(tmp_path: Path) -> None:
    """A run for each of 19 nodes, one after the other, at an interpreter's pace."""
    path = tmp_path / "pimedic.toml"
    path.write_text(FENCE)
    pace = pace_of(load_settings(path), 19)
    assert pace.look_s >= 19 + 10
    assert pace.every_s == 30
