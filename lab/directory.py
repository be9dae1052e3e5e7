"""The lab's directory: claimed by one running lab, recognised and cleared when stale."""

import contextlib
import fcntl
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError

MARKER = ".pimedic-lab"
_SOCKET_PATH_LIMIT = 107  # bytes of sun_path (unix(7)), less its closing zero


@dataclass(frozen=True, slots=True)
class LabDirectory:
    """Where everything of one lab lies. Everything in it is made at start and removed at the end.

    Inside: `cluster.toml`, `pimedic.toml`, `token` (a bearer token for the supervisor's API),
    `supervisor.log`, and per node `nodes/NAME/` with its proc, sys and root trees.
    """

    path: Path

    @property
    def control(self) -> Path:
        """The unix socket on which the running lab takes orders."""
        return self.path / "control.sock"

    @property
    def supervisor_log(self) -> Path:
        """What the supervisor writes to stderr."""
        return self.path / "supervisor.log"

    def of_node(self, name: str) -> Path:
        """Return the directory of one virtual Pi."""
        return self.path / "nodes" / name

    def claim(self) -> int:
        """Make the directory ours and return the locked descriptor that keeps it so.

        Raises `LabError` when another lab runs there, or when it is not a lab's directory.
        """
        if len(os.fsencode(self.control)) > _SOCKET_PATH_LIMIT:
            raise LabError(f"{self.path}: too long a path for a unix socket; name a shorter --dir")
        try:
            self._clear_stale()
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._check_owner()
            marker = os.open(self.path / MARKER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LabError(f"{self.path}: can't make the lab's directory: {error}") from None
        if not _lock(marker):  # somebody was faster
            os.close(marker)
            raise self._taken()
        return marker

    def _clear_stale(self) -> None:
        try:
            marker = os.open(self.path / MARKER, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            if self.path.is_dir() and any(self.path.iterdir()):
                raise LabError(
                    f"{self.path}: exists and is not a lab's; name another --dir"
                ) from None
            return
        try:
            if not _lock(marker):
                raise self._taken()
            shutil.rmtree(self.path)
        finally:
            os.close(marker)

    def _check_owner(self) -> None:
        """A directory with a guessable name under /tmp may be somebody else's trap."""
        if self.path.is_symlink() or self.path.stat().st_uid != os.getuid():
            raise LabError(f"{self.path}: belongs to somebody else; name another --dir")
        self.path.chmod(0o700)

    def _taken(self) -> LabError:
        return LabError(
            f"{self.path}: a lab already runs here; see `pimedic lab status`,"
            " or name another --dir, --net and --port"
        )


def _lock(descriptor: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
