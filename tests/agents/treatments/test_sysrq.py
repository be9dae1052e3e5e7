"""`sysrq`: the last resort, on a file that stands for the trigger."""

import asyncio
from pathlib import Path

import pytest

from agents import catalogue
from agents.programs import Programs
from agents.settings import Settings
from agents.systemctl import Systemctl
from agents.treatments.sysrq import Sysrq


@pytest.fixture
def trigger(tmp_path: Path) -> Path:
    """An empty trigger."""
    path = tmp_path / "sysrq-trigger"
    path.touch()
    return path


def _pressed(trigger: Path) -> str:
    return trigger.read_text()


def _moved_away(trigger: Path) -> Path:
    return trigger.rename(trigger.with_name("gone"))


async def test_syncs_remounts_then_boots(trigger: Path) -> None:
    """The keys are s, u, b in this order; the answer comes before the b."""
    said = await Sysrq(trigger.parent, pause_s=0.05).carry_out({}, 5)
    assert said.startswith("accepted")
    assert _pressed(trigger) == "su"
    async with asyncio.timeout(5):
        while _pressed(trigger) != "sub":  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.01)


def _moved_away(path: Path) -> Path:
    return path.rename(path.with_name("gone"))


async def test_opens_nothing_when_it_is_needed(trigger: Path) -> None:
    """The trigger was opened at start: that its path is gone doesn't matter."""
    treatment = Sysrq(trigger.parent, pause_s=0.0)
    kept = _moved_away(trigger)
    await treatment.carry_out({}, 5)
    assert _pressed(kept).startswith("su")
    assert not treatment.needs_root


@pytest.mark.parametrize("allowed", [False, True])
def test_only_by_configuration(trigger: Path, allowed: bool) -> None:  # noqa: FBT001
    """Without --allow-sysrq no command can reach it."""
    settings = Settings("n", (), procfs=trigger.parent, allow_sysrq=allowed)
    found = catalogue.treatments(settings, Systemctl(Programs(), ("true",)))
    assert ("sysrq" in found) is allowed
