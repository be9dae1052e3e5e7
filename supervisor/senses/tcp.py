"""One TCP connection attempt, and what its failure means.

An error that is our own fault (no free port or descriptor, a source address that we don't have)
tells nothing about the node: it raises `OwnFaultError`, and there is no observation.
"""

import asyncio
import errno
import os
from dataclasses import dataclass
from typing import Final

import structlog

REFUSED: Final = "refused"
RESET: Final = "reset"
NOTHING: Final = "nothing"
_log = structlog.get_logger(__name__)
_SILENCE = {
    errno.EHOSTUNREACH,
    errno.EHOSTDOWN,
    errno.ENETUNREACH,
    errno.ENETDOWN,
    errno.ETIMEDOUT,
}
_RESETS = {errno.ECONNRESET, errno.ECONNABORTED}
_READ_LIMIT = 4096


class OwnFaultError(Exception):
    """We could not even try."""


@dataclass(frozen=True, slots=True)
class Failed:
    """No connection: `refused` or `reset` by a living kernel, or `nothing` came back."""

    outcome: str
    detail: str


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection. Whoever gets it closes `writer`."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


async def connect(host: str, port: int, timeout_s: float, source: str = "") -> Connected | Failed:
    """Try to connect, for at most `timeout_s` seconds, from address `source` if given."""
    local = (source, 0) if source else None
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(
                host, port, local_addr=local, limit=_READ_LIMIT
            )
    except TimeoutError as error:
        detail = describe(error) if error.errno else f"no answer within {timeout_s:g} s"
        return Failed(NOTHING, detail)
    except OSError as error:
        if error.errno == errno.ECONNREFUSED:
            return Failed(REFUSED, describe(error))
        if error.errno in _RESETS:  # accepted, and reset before we could even look
            return Failed(RESET, describe(error))
        if error.errno in _SILENCE:
            return Failed(NOTHING, describe(error))
        raise OwnFaultError(describe(error)) from error
    return Connected(reader, writer)


def describe(error: OSError) -> str:
    """Say in the system's words what went wrong."""
    return os.strerror(error.errno) if error.errno else str(error)


class FaultLog:
    """Logs our own trouble once, and once that it is over."""

    def __init__(self, sense: str) -> None:
        self._sense = sense
        self._last = ""

    def trouble(self, error: Exception) -> None:
        """Take note that a look was impossible."""
        if str(error) != self._last:
            _log.warning("sense_impaired", sense=self._sense, error=str(error))
        self._last = str(error)

    def fine(self) -> None:
        """Take note that a look was possible."""
        if self._last:
            _log.info("sense_recovered", sense=self._sense)
        self._last = ""
