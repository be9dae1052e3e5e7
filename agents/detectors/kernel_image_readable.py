"""`kernel_image_unreadable`: others may not read /boot/vmlinuz* (FOE 2.4).

An update leaves the kernel image with mode 600; the TFTP server then can't serve it, and no
node boots from it any more. Only the mode counts: the agent itself may read everything.
"""

import contextlib
import stat
from pathlib import Path

from common.observations import Truth
from common.wire import WireObservation

KIND = "kernel_image_unreadable"
_MOST_NAMED = 4


class KernelImageReadable:
    """Looks at the kernel images' modes; where there is none, there is no data."""

    name = "kernel_image_readable"
    kinds = (KIND,)
    period_s = 30.0
    deadline_s = 5.0

    def __init__(self, rootfs: Path) -> None:
        self._boot = rootfs / "boot"

    def observe(self) -> list[WireObservation]:
        """Look at each image once; links are followed, as the TFTP server does."""
        modes = {}
        for path in sorted(self._boot.glob("vmlinuz*")) + sorted(self._boot.glob("*/vmlinuz*")):
            with contextlib.suppress(FileNotFoundError):  # a link to nowhere
                modes[str(path.relative_to(self._boot))] = path.stat().st_mode
        return [judge(modes)] if modes else []


def judge(modes: dict[str, int]) -> WireObservation:
    """Say whether any of the images, by name, lacks read permission for others."""
    closed = [f"{name} ({stat.S_IMODE(mode):o})" for name, mode in modes.items() if not mode & 0o4]
    named = ", ".join(closed[:_MOST_NAMED])
    return WireObservation(
        kind=KIND,
        status=Truth.TRUE if closed else Truth.FALSE,
        subject="/boot",
        detail=f"not readable by others: {named}"[:400] if closed else f"{len(modes)} readable",
        value=len(closed),
    )
