"""Stops all acting after a failure that repeating can only make worse.

A changed host key may be an impostor, and refused logins lock accounts: neither heals by trying.
"""

import structlog

_log = structlog.get_logger(__name__)


class Breaker:
    """Closed: act. Tripped: don't, and say why, until a person or a proven login resets it."""

    def __init__(self) -> None:
        self._reason = ""

    @property
    def reason(self) -> str:
        """Why it tripped; empty while it is closed."""
        return self._reason

    def trip(self, reason: str) -> None:
        """Stop acting. Logged once, however often it happens."""
        if not self._reason:
            _log.error("power_breaker_tripped", reason=reason)
        self._reason = reason

    def reset(self, by: str) -> None:
        """Allow acting again, on the word of `by`."""
        if self._reason:
            _log.warning("power_breaker_reset", by=by, reason=self._reason)
        self._reason = ""
