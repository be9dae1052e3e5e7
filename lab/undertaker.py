"""Leaves nothing behind: waits for the lab's end, however it came, and clears up after it.

Runs as a process of its own, in its own session: `undertaker.py DIRECTORY MARK`, with a pipe
from the lab as stdin. When the pipe closes (the lab ended, or was killed with -9) it kills
every process that carries MARK in its environment, frozen or not, and removes DIRECTORY.
A frozen agent would never notice a closed pipe itself. Standard library only: it starts fast.
"""

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

MARK = "PIMEDIC_LAB"  # the environment variable that all processes of one lab share
_DEADLINE_S = 10.0
_PAUSE_S = 0.02


def marked(mark: str) -> Iterator[int]:
    """Yield the pid of every living process of the lab `mark`. The dead have no environment."""
    wanted = f"{MARK}={mark}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # it ended meanwhile, or is not ours
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)


def bury(mark: str) -> None:
    """Kill until two looks in a row find nobody: a process may fork while we look."""
    give_up, quiet = time.monotonic() + _DEADLINE_S, 0
    while quiet < 2 and time.monotonic() < give_up:  # noqa: PLR2004 - two, as said
        found = list(marked(mark))
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        quiet = 0 if found else quiet + 1
        time.sleep(_PAUSE_S)


def main() -> None:
    """Wait for the end of the lab, then clear up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # meant for the lab; its end is what we wait for
    directory, mark = sys.argv[1:]
    sys.stdin.buffer.read()
    bury(mark)
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
