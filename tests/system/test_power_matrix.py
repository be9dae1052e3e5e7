"""Every fault of the switch at every phase of a cycle, with and without a death of ours.

`lab.matrix` runs the real power service, driver, journal and ssh in real processes that really
die of SIGKILL, against the fake switch in a process of its own, on a shared clock that jumps:
the timings are those of production. The judge reads the switch's own transition log. In each
case: no other port changes (or it is brought back, and told), none stays off for more than 60 s
in which supervisor and switch could speak, no two cycles within a cool-down, and nothing is
claimed or journalled that the log doesn't have.

By default a fixed choice of some three hundred cases; with PIMEDIC_EXHAUSTIVE=1 all thirteen
thousand, which takes an hour of processor time.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.matrix import cases

ROOT = Path(__file__).parents[2]
MEMORY = Path("/dev/shm")
EXHAUSTIVE = bool(os.environ.get("PIMEDIC_EXHAUSTIVE"))
CASES = len(cases.everything() if EXHAUSTIVE else cases.some())
pytestmark = [pytest.mark.system, pytest.mark.timeout(4 * 3600 if EXHAUSTIVE else 900)]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Return where to keep the journals: in memory, as nobody pulls the plug here."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    directory = Path(tempfile.mkdtemp(prefix="pimedic-matrix-", dir=MEMORY))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def run(place: Path, *options: str) -> dict[str, Any]:
    """Run cases; return what came of them."""
    ran = subprocess.run(
        [sys.executable, "-m", "lab.matrix.run", str(place / "lanes"), *options],
        cwd=ROOT, capture_output=True, text=True, timeout=4 * 3600, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-4000:]
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize("listed", [CASES], ids=lambda count: f"{count} cases")
def test_the_promises_hold(
    place: Path, listed: int, record_property: Callable[[str, object], None]
) -> None:
    """Whatever goes wrong and whenever, the switch's log is as promised and claims are true.

    A case whose phase never comes (a login that fails has no cycle) is judged all the same, but
    not counted; every fault, phase and kind of cycle is among those counted.
    """
    found = run(place, *(() if EXHAUSTIVE else ("--some",)))
    record_property("cases judged", found["judged"])
    sys.stdout.write(f"{found['judged']} of {listed} cases reached their fault and their death\n")
    assert found["failures"] == []
    assert found["listed"] == listed
    assert found["judged"] > 0.85 * listed
    assert found["judged"] > 250
    assert found["by_fault"].keys() == {str(kind) for kind in cases.FAULTS} | {"no fault"}
    assert found["by_phase"].keys() == cases.PHASES.keys() | {"-"}
    assert found["by_mode"].keys() == set(cases.MODES)
    assert found["by_death"].keys() == cases.DEATHS.keys()


CONTROLS = [
    ("recovery", "two_steps, no fault at -, death at off", "port 2 ends off"),
    ("cool_down", "restart, no fault at -, no death", "lost power twice within"),
    ("looking", "restart, no_effect at command, no death", "claims verified"),
    ("looking", "detached, no_effect at command, no death", "journal has cycle of port 2 as done"),
]


@pytest.mark.parametrize(("lacking", "case", "said"), CONTROLS)
def test_the_judge_is_not_blind(place: Path, lacking: str, case: str, said: str) -> None:
    """The controls: a service that lacks recovery, cool-down or doubt is found wanting."""
    found = run(place, "--without", lacking, "--only", case)
    assert any(said in failure for failure in found["failures"])
