"""Sets this machine's real clock for an instant, and puts it right whatever happens.

Everybody on the machine shares it, so: the way back is worked out from CLOCK_BOOTTIME, which
nobody can set; and a guard of its own process puts it right should the test die or dawdle.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_GUARD_S = 2.5
_CAP_SYS_TIME = 25
_GUARD = """
import select, sys, time
ahead, within = int(sys.argv[1]), float(sys.argv[2])
print("ready", flush=True)
told, _, _ = select.select([sys.stdin], [], [], within)
if not (told and sys.stdin.readline() == "restored\\n"):
    boot = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    time.clock_settime_ns(time.CLOCK_REALTIME, boot + ahead)
    print("guard", flush=True)
"""


def _may_set_it() -> bool:
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 - one line
        granted = next(line for line in status if line.startswith("CapEff:"))
    return bool(int(granted.split()[1], 16) >> _CAP_SYS_TIME & 1)


needs_clock = [
    pytest.mark.root,
    pytest.mark.skipif(not _may_set_it(), reason="needs root with CAP_SYS_TIME: sets the clock"),
]


@contextmanager
def stepped(seconds: int) -> Iterator[None]:
    """Set the clock by so much meanwhile, for two and a half seconds at the very most."""
    ahead = time.clock_gettime_ns(time.CLOCK_REALTIME) - _boot_ns()
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _GUARD, str(ahead), str(_GUARD_S)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a Ctrl-C is not for the guard
    )
    assert guard.stdin
    assert guard.stdout
    try:
        assert guard.stdout.readline() == "ready\n"
        try:
            time.clock_settime_ns(time.CLOCK_REALTIME, _boot_ns() + ahead + seconds * 10**9)
            yield
        finally:
            time.clock_settime_ns(time.CLOCK_REALTIME, _boot_ns() + ahead)
        if guard.poll() is None:
            os.write(guard.stdin.fileno(), b"restored\n")
    finally:
        _, _ = guard.communicate(timeout=10)


def _boot_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
