"""Does a mount take writes? Asked by writing, as the backstop for what no table tells.

A server can refuse writes under a mount that both sides show as `rw`: so it is for the netbooted
nodes when login's disk turns read-only. Only EROFS is a verdict. Whoever may not write here, or
finds the disk full, learns nothing by it.

Each trial writes and syncs one small file without a name, which ext4 turns into about 32 kB of
journal and data: each `EVERY_S` that makes 45 MB a day, less than the log writes of a quiet node,
and a hundredth of a percent of what an SD card bears. On NFS it is a file with a name, four calls
and a commit. While writes are refused nothing is written, so the question may be asked more often.
"""

import asyncio
import errno
from collections.abc import Callable, Sequence

from agents.disk import Disk, DiskError

EVERY_S = 60.0
_REFUSED_EVERY_S = 10.0


class WriteTrials:
    """Tries `points` again and again; `refused` are those that answered EROFS."""

    def __init__(self, disk: Disk, points: Sequence[str]) -> None:
        self._disk = disk
        self._points = tuple(points)
        self.refused: frozenset[str] = frozenset()

    async def keep_trying(self, changed: Callable[[], None]) -> None:
        """Try for ever; call `changed` when another set of points refuses."""
        while True:
            refused = frozenset([point for point in self._points if await self._refuses(point)])
            if refused != self.refused:
                self.refused = refused
                changed()
            await asyncio.sleep(_REFUSED_EVERY_S if refused else EVERY_S)

    async def _refuses(self, point: str) -> bool:
        try:
            await self._disk.try_to_write(point)
        except OSError as error:
            return error.errno == errno.EROFS
        except DiskError:
            return point in self.refused  # not answered: as before
        return False
