"""The gate bites: a deliberate violation of each import contract breaks it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ["agents", "common", "console", "jen", "lab", "provision", "supervisor"]

# contract -> (a file to add, what it imports)
VIOLATIONS = {
    "Folders import only downwards": ("common/bad.py", "import agents"),
    "Only the console may know provision": ("supervisor/bad.py", "import provision"),
    "Inside the supervisor, decisions know no edge": (
        "supervisor/core/bad.py",
        "import supervisor.api",
    ),
    "The core is sans-IO": ("supervisor/core/bad.py", "import asyncio"),
    "Detectors are independent of each other": (
        "agents/detectors/bad.py",
        "from agents.detectors import clock",
    ),
    "Treatments are independent of each other": (
        "agents/treatments/bad.py",
        "from agents.treatments import restart_unit",
    ),
    "Power drivers are independent of each other": (
        "supervisor/actuators/power/unifi.py",
        "from supervisor.actuators.power import swctrl",
    ),
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the tree that may be spoilt."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_violation_breaks(contract: str, copy: Path) -> None:
    """Adding one forbidden import breaks just the contract that forbids it."""
    path, statement = VIOLATIONS[contract]
    (copy / path).write_text(f'"""Bad."""\n\n{statement}\n')
    ran = lint(copy)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert f"{contract} BROKEN" in ran.stdout


def test_names_are_ours() -> None:
    """The generic package names are ours, not a stranger's from an index."""
    code = f"import {', '.join(PACKAGES)}; print(*({'.__file__, '.join(PACKAGES)}.__file__,))"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd="/", capture_output=True, text=True, check=True
    )
    assert all(Path(file).is_relative_to(ROOT) for file in ran.stdout.split())
