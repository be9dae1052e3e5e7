"""`timezone_wrong`."""

from pathlib import Path

import pytest

from agents.detectors.timezone import TimeZone
from agents.disk import Disk
from common.observations import Truth

WANTED = "Europe/Amsterdam"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a small zone database: two names of one zone, and UTC."""
    for zone, rules in {
        WANTED: "cet",
        "Europe/Brussels": "cet",
        "Etc/UTC": "utc",
        "UTC": "utc",
    }.items():
        path = tmp_path / "usr/share/zoneinfo" / zone
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(rules)
    (tmp_path / "etc").mkdir()
    return tmp_path


async def _told(disk: Disk, wanted: str = WANTED) -> tuple[Truth, str]:
    (seen,) = await TimeZone(disk, wanted).observe()
    assert seen.kind == "timezone_wrong"
    return seen.status, seen.detail


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/usr/share/zoneinfo/Europe/Amsterdam", Truth.FALSE),
        ("../usr/share/zoneinfo/Europe/Amsterdam", Truth.FALSE),
        ("/usr/share/zoneinfo/Europe/Brussels", Truth.FALSE),
        ("/usr/share/zoneinfo/Etc/UTC", Truth.TRUE),
        ("/usr/share/zoneinfo/No/Where", Truth.TRUE),
    ],
)
async def test_links(root: Path, disk: Disk, target: str, status: Truth) -> None:
    """Same name or same rules are right, however the link is written."""
    (root / "etc/localtime").symlink_to(target)
    assert (await _told(disk))[0] is status


@pytest.mark.usefixtures("root")
async def test_no_file_means_utc(disk: Disk) -> None:
    """As for every program."""
    assert await _told(disk) == (Truth.TRUE, f"UTC, expected {WANTED}")
    assert (await _told(disk, "Etc/UTC"))[0] is Truth.FALSE


async def test_copies_are_compared(root: Path, disk: Disk) -> None:
    """A copied zone has no name, but rules."""
    (root / "etc/localtime").write_text("cet")
    assert (await _told(disk))[0] is Truth.FALSE
    (root / "etc/localtime").write_text("utc")
    assert (await _told(disk))[0] is Truth.TRUE


async def test_debians_second_opinion_is_told(root: Path, disk: Disk) -> None:
    """Some programs believe /etc/timezone."""
    (root / "etc/localtime").symlink_to(f"/usr/share/zoneinfo/{WANTED}")
    (root / "etc/timezone").write_text("Etc/UTC\n")
    assert await _told(disk) == (
        Truth.FALSE,
        f"{WANTED}, expected {WANTED}; /etc/timezone says Etc/UTC",
    )


async def test_no_order_is_no_data(disk: Disk) -> None:
    """Whoever ordered no zone gets no verdict."""
    assert await TimeZone(disk, "").observe() == []
