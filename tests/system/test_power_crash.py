"""kill -9 of the supervisor at every instant of a power cycle: the port is always on again.

`lab.crash.power` lists the instants by tracing, and dies at each of them: every line of the
power package and of the journal that runs between the port's off and its on, and anew whenever
the journal or the switch has changed. Only the same line with nothing changed outside is taken
as one instant: recovery knows nothing but the outside.

With PIMEDIC_EXHAUSTIVE=1 the whole cycle counts, from the first line of `PowerService.cycle` to
its last, and each path that leads to a line: thousands of deaths, half an hour.

It needs a process of its own, because it forks.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MEMORY = Path("/dev/shm")
LANES = 4 * (os.cpu_count() or 1)
EXHAUSTIVE = bool(os.environ.get("PIMEDIC_EXHAUSTIVE"))
pytestmark = [pytest.mark.system, pytest.mark.timeout(4000 if EXHAUSTIVE else 400)]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Return where to keep thousands of journals: in memory, as nobody pulls the plug here."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    directory = Path(tempfile.mkdtemp(prefix="pimedic-crash-", dir=MEMORY))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def run(place: Path, mode: str, *options: str) -> dict[str, Any]:
    """Run the enumeration; return what it found."""
    ran = subprocess.run(
        [sys.executable, "-m", "lab.crash.power", mode, str(place / mode), *options],
        cwd=ROOT, capture_output=True, text=True, timeout=3600, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-4000:]
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize("mode", ["restart", "detached", "two_steps"])
def test_no_death_leaves_a_port_off(place: Path, mode: str) -> None:
    """After each death a fresh start ends with the port on, no other touched, the story told.

    `two_steps` is a driver that can't leave the cycle to the switch: nobody but the next
    supervisor will switch that port on.
    """
    how = () if EXHAUSTIVE else ("--by-line", "--dry-runs", "2")
    found = run(place, mode, "--lanes", str(LANES), *how)
    assert found["failures"] == []
    assert found["unreached"] == []
    assert found["killed"] + found["killed_nearby"] == found["instants"]
    assert found["instants"] > (1000 if EXHAUSTIVE else 200)
    # Deaths fell into each state of the intent, and into each state of the port.
    assert ({"planned", "sending", "sent"} if EXHAUSTIVE else {"sending"}) <= found[
        "by_state"
    ].keys()
    assert ({"0", "1", "2"} if EXHAUSTIVE else {"1", "2"}) <= found["by_power"].keys()


def test_without_reconciliation_the_port_stays_off(place: Path) -> None:
    """The control: the same deaths, with nobody to start after them, are all found wanting."""
    found = run(place, "two_steps", "--control", "8")
    assert found["killed"] + found["killed_nearby"] == 8
    off = [failure for failure in found["failures"] if "port 2 ends off" in failure]
    assert len(off) == 8
