"""`undervoltage`, `throttled`, `overheating`, `kernel_image_unreadable`."""

from pathlib import Path

import pytest

from agents.detectors.kernel_image_readable import KernelImageReadable
from agents.detectors.throttling import Throttling
from agents.disk import Disk
from common.observations import Truth

T, F = Truth.TRUE, Truth.FALSE


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _mask(sysfs: Path, mask: str) -> None:
    _write(sysfs / "devices/platform/soc/soc:firmware/get_throttled", f"{mask}\n")


@pytest.mark.parametrize(
    ("mask", "undervoltage", "throttled", "said"),
    [
        ("0", F, F, "never since boot (0x0)"),
        ("50005", T, T, "now (0x50005)"),
        ("50000", F, F, "since boot, not now (0x50000)"),
        ("1", T, F, "now (0x1)"),
        ("20002", F, T, "never since boot (0x20002)"),
    ],
)
def test_mask(tmp_path: Path, mask: str, undervoltage: Truth, throttled: Truth, said: str) -> None:
    """The lower bits are now and make true, the upper are since boot and are told."""
    _mask(tmp_path, mask)
    seen = {one.kind: one for one in Throttling(tmp_path).observe()}
    assert (seen["undervoltage"].status, seen["throttled"].status) == (undervoltage, throttled)
    assert seen["undervoltage"].detail == said


def test_older_kernels_have_a_voltage_sensor(tmp_path: Path) -> None:
    """The hwmon alarm stands in for the mask."""
    _write(tmp_path / "class/hwmon/hwmon0/name", "cpu_thermal\n")
    _write(tmp_path / "class/hwmon/hwmon1/name", "rpi_volt\n")
    _write(tmp_path / "class/hwmon/hwmon1/in0_lcrit_alarm", "1\n")
    assert {one.kind: one.status for one in Throttling(tmp_path).observe()}["undervoltage"] is T


def test_temperature_has_a_hysteresis(tmp_path: Path) -> None:
    """Hot from 80 °C, cool again below 75; the hottest plausible zone counts."""
    zone = tmp_path / "class/thermal/thermal_zone0/temp"
    _write(tmp_path / "class/thermal/thermal_zone1/temp", "-274000\n")
    detector = Throttling(tmp_path)
    told = []
    for temperature in (60_000, 79_900, 80_000, 76_000, 74_000, 79_000):
        _write(zone, f"{temperature}\n")
        (seen,) = detector.observe()
        told.append(seen.status)
    assert told == [F, F, T, T, F, F]
    assert (seen.kind, seen.value) == ("overheating", 79.0)


def test_the_firmwares_soft_limit_is_hot_enough(tmp_path: Path) -> None:
    """Bit 3 says that the firmware found it too hot."""
    _mask(tmp_path, "8")
    _write(tmp_path / "class/thermal/thermal_zone0/temp", "70000")
    seen = {one.kind: one for one in Throttling(tmp_path).observe()}["overheating"]
    assert (seen.status, seen.detail) == (T, "70.0 °C, the firmware's soft limit holds")


def test_off_the_pi_there_is_no_data(tmp_path: Path) -> None:
    """No mask, no sensor, no verdict."""
    assert Throttling(tmp_path).observe() == []


async def test_kernel_images(tmp_path: Path, disk: Disk) -> None:
    """An image that others may not read is named with its mode; links are followed."""
    boot = tmp_path / "boot"
    detector = KernelImageReadable(disk)
    assert await detector.observe() == []
    _write(boot / "vmlinuz-6.8.0-1013-raspi", "")
    (boot / "vmlinuz").symlink_to("vmlinuz-6.8.0-1013-raspi")
    (boot / "vmlinuz.old").symlink_to("vmlinuz-that-was-removed")
    _write(boot / "firmware/vmlinuz", "")
    image = boot / "vmlinuz-6.8.0-1013-raspi"
    image.chmod(0o644)
    (seen,) = await detector.observe()
    assert (seen.status, seen.detail) == (F, "3 readable")
    image.chmod(0o600)
    (seen,) = await detector.observe()
    assert (seen.kind, seen.status, seen.value) == ("kernel_image_unreadable", T, 2)
    assert "vmlinuz-6.8.0-1013-raspi (600)" in seen.detail
