"""Being told the moment somebody sets the clock: timerfd_create(2), through the C library.

A timer on CLOCK_REALTIME armed with TFD_TIMER_CANCEL_ON_SET never rings here: it lies at the
end of time. When the clock is set, reading it fails with ECANCELED. Python 3.13 has os.timerfd,
but not this flag's error as anything special; 3.11 has neither.
"""

import contextlib
import ctypes
import errno
import os
import time
from typing import ClassVar

_NONBLOCK, _CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC
_ABSTIME, _CANCEL_ON_SET = 0x1, 0x2
_END_OF_TIME = (1 << (8 * ctypes.sizeof(ctypes.c_long) - 1)) - 1


class _Timespec(ctypes.Structure):
    _fields_: ClassVar = [("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long)]


class _Itimerspec(ctypes.Structure):
    _fields_: ClassVar = [("it_interval", _Timespec), ("it_value", _Timespec)]


class ClockSetTimer:
    """Readable once the real-time clock was set. Close it."""

    def __init__(self) -> None:
        """Raise `OSError` where the kernel refuses."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.timerfd_create(time.CLOCK_REALTIME, _NONBLOCK | _CLOEXEC)
        if self._fd < 0:
            raise _error("timerfd_create")
        try:
            self._arm()
        except OSError:
            self.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor, to wait for."""
        return int(self._fd)

    def was_set(self) -> bool:
        """Tell whether the clock was set since the last call, and wait for the next time."""
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.ECANCELED:
                raise
        self._arm()
        return True

    def close(self) -> None:
        """Give the descriptor back."""
        with contextlib.suppress(OSError):
            os.close(self._fd)

    def _arm(self) -> None:
        never = _Itimerspec(_Timespec(0, 0), _Timespec(_END_OF_TIME, 0))
        flags = _ABSTIME | _CANCEL_ON_SET
        # ECANCELED: the clock was set before this very call; the timer is armed all the same.
        if self._libc.timerfd_settime(self._fd, flags, ctypes.byref(never), None) < 0 and (
            ctypes.get_errno() != errno.ECANCELED
        ):
            raise _error("timerfd_settime")


def _error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")
