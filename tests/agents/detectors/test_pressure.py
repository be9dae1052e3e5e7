"""`memory_pressure`, `io_pressure`, `cpu_pressure`."""

import asyncio
from pathlib import Path

import pytest

from agents.detectors.pressure import LIMITS, Limit, Pressure, parse_pressure
from common.observations import Truth

T, F = Truth.TRUE, Truth.FALSE
MEMINFO = "MemTotal:        3884320 kB\nMemFree: 10 kB\nMemAvailable: {} kB\nHugePages_Total: 0\n"


def _tree(folder: Path, **full: float) -> Path:
    (folder / "pressure").mkdir()
    for name, share in full.items():
        line = "avg10={0:.2f} avg60=1.00 avg300=0.50 total=12345"
        text = f"some {line.format(share)}\nfull {line.format(share)}\n"
        (folder / "pressure" / name).write_text(text)
    return folder


def _statuses(procfs: Path) -> dict[str, Truth]:
    return {seen.kind: seen.status for seen in Pressure(procfs).observe()}


@pytest.mark.parametrize(
    ("memory", "io", "cpu", "expected"),
    [(0.0, 0.0, 50.0, (F, F, F)), (10.0, 60.0, 95.0, (T, T, T)), (9.99, 59.0, 94.0, (F, F, F))],
)
def test_averages(
    tmp_path: Path, memory: float, io: float, cpu: float, expected: tuple[Truth, ...]
) -> None:
    """Each resource has its limit on the average of the last 10 s."""
    seen = _statuses(_tree(tmp_path, memory=memory, io=io, cpu=cpu))
    assert tuple(seen.values()) == expected
    assert list(seen) == ["memory_pressure", "io_pressure", "cpu_pressure"]


@pytest.mark.parametrize(("available", "status"), [(3_000_000, F), (100_000, T)])
def test_without_psi_memory_rests_on_what_is_available(
    tmp_path: Path, available: int, status: Truth
) -> None:
    """Raspberry Pi OS without psi=1: no data on io and cpu."""
    (tmp_path / "meminfo").write_text(MEMINFO.format(available))
    assert _statuses(tmp_path) == {"memory_pressure": status}


def test_no_files_are_no_data(tmp_path: Path) -> None:
    """Nothing to read, nothing to say."""
    assert Pressure(tmp_path).observe() == []


def test_parse() -> None:
    """The 10 s average of each line."""
    text = (
        "some avg10=1.53 avg60=0.87 avg300=0.73 total=1\nfull avg10=0.10 avg60=0 avg300=0 total=0\n"
    )
    assert parse_pressure(text) == {"some": 1.53, "full": 0.1}


@pytest.mark.skipif(not Path("/proc/pressure/cpu").exists(), reason="this kernel has no PSI")
async def test_a_real_trigger_rings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under real load the kernel tells within its window, whatever the average still says."""
    sensitive = Limit("cpu_pressure", "cpu", "some", 2.5)
    monkeypatch.setattr("agents.detectors.pressure.LIMITS", (sensitive,))
    detector, rung = Pressure(Path("/proc")), asyncio.Event()
    task = asyncio.get_running_loop().create_task(detector.watch(rung.set))
    spinners = [
        await asyncio.create_subprocess_exec("sh", "-c", "while :; do :; done") for _ in range(6)
    ]
    try:
        async with asyncio.timeout(30):
            await rung.wait()
        (seen,) = detector.observe()
        assert (seen.kind, seen.status) == ("cpu_pressure", T)
        assert "within 2 s, lately" in seen.detail
    finally:
        for spinner in spinners:
            spinner.kill()
            await spinner.wait()
        task.cancel()
        await asyncio.wait([task], timeout=5)


def test_the_limits_are_distinct() -> None:
    """One row a kind."""
    assert len({limit.kind for limit in LIMITS}) == len(LIMITS)
