"""`fix_kernel_image`: images in /boot become readable, and nothing else is touched."""

from pathlib import Path

import pytest

from agents.treatment import TreatmentError
from agents.treatments.fix_kernel_image import FixKernelImage


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.fixture
def boot(tmp_path: Path) -> Path:
    """A /boot with one good and one bad image, and other things."""
    boot = tmp_path / "boot"
    boot.mkdir()
    for name, mode in (("vmlinuz-1", 0o600), ("vmlinuz-2", 0o644), ("initrd.img-1", 0o600)):
        (boot / name).write_text("x")
        (boot / name).chmod(mode)
    return boot


async def test_unreadable_image_is_made_readable(boot: Path) -> None:
    """The bad image gets 0644; the proof names it; the initrd, which may hold keys, stays."""
    said = await FixKernelImage(boot.parent).carry_out({}, 5)
    assert said == "mode 0644 given to vmlinuz-1"
    assert [_mode(boot / name) for name in ("vmlinuz-1", "vmlinuz-2")] == [0o644, 0o644]
    assert _mode(boot / "initrd.img-1") == 0o600


async def test_twice_is_once(boot: Path) -> None:
    """The second time there is nothing to do."""
    await FixKernelImage(boot.parent).carry_out({}, 5)
    said = await FixKernelImage(boot.parent).carry_out({}, 5)
    assert said == "nothing to do: all are readable"


async def test_links_lead_nowhere(boot: Path, tmp_path: Path) -> None:
    """A link out of /boot changes nothing there, nor does a folder of that name."""
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    (boot / "vmlinuz-evil").symlink_to(secret)
    (boot / "vmlinuz-dir").mkdir(mode=0o700)
    await FixKernelImage(tmp_path).carry_out({}, 5)
    assert _mode(secret) == 0o600
    assert _mode(boot / "vmlinuz-dir") == 0o700


async def test_boot_that_is_a_link_is_left_alone(boot: Path, tmp_path: Path) -> None:
    """Nor is /boot itself followed elsewhere."""
    root = tmp_path / "other"
    root.mkdir()
    (root / "boot").symlink_to(boot)
    with pytest.raises(TreatmentError, match="boot"):
        await FixKernelImage(root).carry_out({}, 5)
    assert _mode(boot / "vmlinuz-1") == 0o600


async def test_arguments_are_refused(tmp_path: Path) -> None:
    """It takes none."""
    assert FixKernelImage(tmp_path).refusal({"path": "/etc/shadow"})
