"""Forking children that run one function and die, by themselves or by SIGKILL.

The parent must be single-threaded and without an event loop: a child inherits neither.
"""

import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

FAILED = 70


def spawn(work: Callable[[], None], log: Path) -> int:
    """Run `work` in a forked child, its output in `log`; return the child's process id."""
    if threading.active_count() != 1:
        raise RuntimeError("forking needs a process with a single thread")
    pid = os.fork()
    if pid:
        return pid
    status = FAILED
    try:
        fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        work()
        status = 0
    except BaseException:  # noqa: BLE001 - whatever it was, this process ends here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def wait(pid: int, deadline_s: float) -> int:
    """Wait for a child; return its exit status, or minus the signal that killed it.

    Past the deadline it is killed, and TimeoutError raised.
    """
    fd = os.pidfd_open(pid)
    try:
        ready, _, _ = select.select([fd], [], [], deadline_s)
        if not ready:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    finally:
        os.close(fd)
    if not ready:
        raise TimeoutError(f"process {pid} did not end in {deadline_s:g} s")
    return os.waitstatus_to_exitcode(status)
