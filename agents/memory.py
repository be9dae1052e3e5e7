"""Keeping the agent's memory where a dead disk can't reach it."""

import ctypes
import os

import structlog

_CURRENT, _FUTURE, _ONFAULT = 1, 2, 4
_log = structlog.get_logger(__name__)


def lock() -> None:
    """Have no page swapped out, from here on. Where that isn't allowed it is logged.

    Pages are locked as they are first touched (Linux 4.4 and later), so nothing grows by it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_CURRENT | _FUTURE | _ONFAULT):
        reason = os.strerror(ctypes.get_errno())
        _log.info("memory_not_locked", reason=reason, expected="LimitMEMLOCK=infinity")
