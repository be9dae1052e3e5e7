"""Every detector on the proc, sys and root trees of three machines, against what it must say.

`expected.txt` beside each tree holds one line an observation. To write it anew after a change
that is meant, run with UPDATE_GOLDEN=1 and read the difference.
"""

import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agents import catalogue
from agents.detector import Detector, Watcher
from agents.disk import Disk
from agents.kernel_messages import Hear, KernelMessages, parse_record
from agents.programs import Programs
from agents.settings import Settings
from agents.systemctl import Systemctl
from common.wire import WireObservation
from tests.agents.watching import first_look, look, watched

FIXTURES = Path(__file__).with_name("fixtures")
MACHINES = sorted(path.name for path in FIXTURES.iterdir())
MOUNTS = {"plain_vm": ("/", "/srv/with space")}
# These ask the real kernel or systemd, not a tree.
WITHOUT = frozenset({"units", "clock_sync", "clock_step"})


class Recorded(KernelMessages):
    """A log that was written before."""

    @contextlib.asynccontextmanager
    async def heard_by(self, hear: Hear) -> AsyncIterator[None]:
        """Tell it all at once."""
        lines = self.path.read_bytes().splitlines()
        for message in filter(None, (parse_record(line) for line in lines)):
            hear(message)
        yield


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of one machine's trees, whatever the checkout's modes are."""
    copy = tmp_path / request.param
    shutil.copytree(FIXTURES / request.param, copy, symlinks=True)
    for path in copy.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(0o644)
    return copy


def _settings(machine: Path) -> Settings:
    return Settings(
        node=machine.name,
        supervisors=(),
        procfs=machine / "proc",
        sysfs=machine / "sys",
        rootfs=machine / "root",
        kmsg=machine / "kmsg",
        run=machine / "run",
        mounts=MOUNTS.get(machine.name, ("/",)),
        timezone="Europe/Amsterdam",
        without=WITHOUT,
    )


async def _look(detector: Detector) -> list[WireObservation]:
    if not isinstance(detector, Watcher):
        return await look(detector)
    async with watched(detector) as bell:
        return await first_look(detector, bell)


def _line(detector: Detector, seen: WireObservation) -> str:
    value = "" if seen.value is None else f" = {seen.value:g}"
    subject = f"[{seen.subject}]" if seen.subject else ""
    return f"{detector.name}: {seen.kind}{subject} {seen.status}{value} | {seen.detail}"


async def test_machine(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each detector of the catalogue says of this machine what was written down."""
    monkeypatch.setattr(catalogue, "KernelMessages", Recorded)
    programs = Systemctl(Programs(), ("false",))
    said = []
    settings, disk = _settings(machine), Disk(machine / "root")
    try:
        for detector in catalogue.detectors(settings, programs, disk, lambda: None):
            seen = await _look(detector)
            said += [_line(detector, one) for one in seen] or [f"{detector.name}: no data"]
    finally:
        disk.close()
    expected = FIXTURES / machine.name / "expected.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text("\n".join(said) + "\n", "utf-8")
    assert said == expected.read_text("utf-8").splitlines()
