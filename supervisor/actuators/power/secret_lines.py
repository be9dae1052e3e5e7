"""Credentials as lines of `key=value`, in a file that not everybody may read.

The same form for every driver that needs more than an ssh key; fence agents take it as it is.
"""

import stat
from collections.abc import Collection
from pathlib import Path

from supervisor.actuators.power.driver import Phase, PowerError, Stage


def read(path: Path, known: Collection[str] = ()) -> dict[str, str]:
    """Return the lines by key; empty ones and `# remarks` are passed over.

    `known` are the keys that may stand there; empty: any. Raises `PowerError` with file and line,
    and never with a value.
    """
    try:
        mode = path.stat().st_mode
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(f"{path}: can't be read: {error}") from None
    # Not the group's read bit: systemd lets a service read its credentials through an ACL, whose
    # mask shows there.
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise _unusable(f"{path}: others can read it; chmod 600 it")
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, equals, value = line.partition("=")
        key = key.strip()
        if not equals or not key:
            raise _unusable(f"{path}:{number}: expected KEY=VALUE")
        if known and key not in known:
            raise _unusable(f"{path}:{number}: {key}: unknown key; expected {', '.join(known)}")
        if key in found:
            raise _unusable(f"{path}:{number}: {key} stands there twice")
        found[key] = value.strip()
    return found


def _unusable(message: str) -> PowerError:
    return PowerError(Phase.NOT_SENT, message, trips_breaker=True, stage=Stage.CREDENTIALS)
