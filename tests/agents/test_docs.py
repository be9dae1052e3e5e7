"""docs/agent.md names everything that the agent has."""

from pathlib import Path

import pytest

from agents import catalogue
from agents.programs import Programs
from agents.settings import Settings
from agents.systemctl import Systemctl

PAGE = (Path(__file__).parents[2] / "docs/agent.md").read_text()


@pytest.mark.parametrize("name", catalogue.DETECTOR_NAMES)
def test_every_detector_is_documented(name: str) -> None:
    """Each has its row."""
    assert f"\n| `{name}` |" in PAGE


def test_every_treatment_is_documented(tmp_path: Path) -> None:
    """Each has its row, also those that only a flag allows."""
    (tmp_path / "sysrq-trigger").touch()
    settings = Settings("n", (), procfs=tmp_path, bus="unix:path=/nowhere", allow_sysrq=True)
    for name in catalogue.treatments(settings, Systemctl(Programs(), ("true",))):
        assert f"\n| `{name}` |" in PAGE
