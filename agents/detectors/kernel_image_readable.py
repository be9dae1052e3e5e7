"""`kernel_image_unreadable`: others may not read /boot/vmlinuz* (FOE 2.4).

An update leaves the kernel image with mode 600; the TFTP server then can't serve it, and no
node boots from it any more. Only the mode counts: the agent itself may read everything.
"""

import contextlib
import stat
from collections.abc import Callable

from agents.disk import Disk
from common.observations import Truth
from common.wire import WireObservation

KIND = "kernel_image_unreadable"
_MOST_NAMED = 4
_BOOT, _IMAGE = "/boot", "vmlinuz"


class KernelImageReadable:
    """Looks at the kernel images' modes; where there is none, there is no data."""

    name = "kernel_image_readable"
    kinds = (KIND,)
    period_s = 30.0
    deadline_s = 5.0

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    async def observe(self) -> list[WireObservation]:
        """Look at each image once; links are followed, as the TFTP server does."""
        modes = {}
        for name in await self._images():
            with contextlib.suppress(FileNotFoundError):  # a link to nowhere
                modes[name] = await self._disk.mode(f"{_BOOT}/{name}")
        return [judge(modes)] if modes else []

    async def watch(self, look_now: Callable[[], None]) -> None:
        """Look when the root stalls, and when it is back."""
        await self._disk.watch(look_now)

    async def _images(self) -> list[str]:
        """Return the images in /boot and one level below it."""
        try:
            names = await self._disk.names(_BOOT)
        except FileNotFoundError:
            return []
        images = [name for name in names if name.startswith(_IMAGE)]
        for folder in (name for name in names if name.endswith("/")):
            with contextlib.suppress(FileNotFoundError, PermissionError):
                below = await self._disk.names(f"{_BOOT}/{folder}")
                images += [folder + name for name in below if name.startswith(_IMAGE)]
        return images


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
