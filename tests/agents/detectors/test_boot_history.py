"""`boot_loop`, counted without any clock that a Pi could have wrong."""

import json
from pathlib import Path

import pytest

from agents.detector import DetectorError
from agents.detectors.boot_history import LOOP, Boot, BootHistory, boots_in_window, judge
from agents.disk import Disk
from common.observations import Truth


@pytest.mark.parametrize(
    ("lives_s", "count"),
    [
        ([10.0], 1),
        ([86_400.0, 10.0], 1),
        ([60.0, 60.0, 60.0, 60.0], 4),
        ([60.0, 86_400.0, 60.0, 60.0], 2),
        ([1_800.0, 1_801.0, 0.0], 2),
        ([5_000.0], 0),
    ],
)
def test_boots_count_while_their_lives_share_a_window(lives_s: list[float], count: int) -> None:
    """Newest last; a long life ends the count."""
    assert boots_in_window(lives_s) == count


def test_verdict() -> None:
    """The third return in a row is a loop."""
    boots = [Boot(f"boot-{number}", 30.0) for number in range(LOOP)]
    assert judge(boots).status is Truth.TRUE
    assert judge(boots[1:]).status is Truth.FALSE


def _boot(procfs: Path, boot: str) -> None:
    path = procfs / "sys/kernel/random/boot_id"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{boot}\n")


async def test_file_remembers_boots(tmp_path: Path, disk: Disk) -> None:
    """Each boot is written down once, however often we look; the file may begin empty."""
    file = tmp_path / "boots.json"
    file.touch()
    history = BootHistory(tmp_path, disk, Path("/boots.json"))
    for number in range(LOOP):
        _boot(tmp_path, f"boot-{number}")
        for _ in range(3):
            await history.observe()
    stored = json.loads(file.read_text())
    assert [one["id"] for one in stored] == [f"boot-{number}" for number in range(LOOP)]


async def test_no_file_is_no_data(tmp_path: Path, disk: Disk) -> None:
    """Where nothing survives a boot, nothing is counted."""
    assert await BootHistory(tmp_path, disk, None).observe() == []


async def test_damage_is_told(tmp_path: Path, disk: Disk) -> None:
    """A file that isn't ours is left as it is."""
    _boot(tmp_path, "b")
    file = tmp_path / "boots.json"
    file.write_text('{"not": "a list"}')
    with pytest.raises(DetectorError, match="is damaged"):
        await BootHistory(tmp_path, disk, Path("/boots.json")).observe()
    assert file.read_text() == '{"not": "a list"}'
