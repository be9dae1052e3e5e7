"""Who may act: named bearer tokens, of which only the SHA-256 is kept.

The file has lines of `NAME sha256:HEX`; `#` starts a comment. A token is a long random secret
(`openssl rand -hex 32`), so a plain hash of it can't be guessed back.
"""

import hashlib
import hmac
import re
import stat
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from supervisor.api.problems import ProblemError

_log = structlog.get_logger(__name__)
_LINE = re.compile(r"^(?P<name>[A-Za-z0-9_.@-]{1,64})\s+sha256:(?P<digest>[0-9a-f]{64})$")
_FAILURES = 10
_REFILL_S = 6.0
_CLIENTS = 256


class TokensError(Exception):
    """The tokens file can't be used. Its text is for the user."""


def load_tokens(path: Path) -> dict[str, str]:
    """Read NAME -> HEX. Raises `TokensError` naming file and line."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TokensError(f"{path}: tokens can't be read: {error}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise TokensError(f"{path}: tokens are readable by others; chmod 600 it")
    tokens: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.partition("#")[0].strip()
        if not line:
            continue
        match = _LINE.match(line)
        if not match:
            raise TokensError(
                f"{path}:{number}: expected NAME sha256:HEX, with 64 lower-case hex digits"
            )
        if match["name"] in tokens:
            raise TokensError(f"{path}:{number}: {match['name']!r} already has a token")
        tokens[match["name"]] = match["digest"]
    return tokens


@dataclass(slots=True)
class _Budget:
    left: float
    at: float


class Tokens:
    """Checks bearer tokens. `now` is a monotonic clock in seconds.

    Wrong ones are answered 401, and past a budget per client address 429. A right one always
    passes: whoever floods from a shared machine must not lock its operators out, and a long
    random token can't be guessed at any rate.
    """

    def __init__(self, digests: Mapping[str, str], now: Callable[[], float]) -> None:
        self._digests = dict(digests)
        self._now = now
        self._failures: OrderedDict[str, _Budget] = OrderedDict()

    def author(self, authorization: str | None, client: str) -> str:
        """Return who speaks. Raises `ProblemError` 401 or 429."""
        scheme, _, token = (authorization or "").partition(" ")
        name = self._owner(token.strip()) if scheme.lower() == "bearer" else None
        if name is not None:
            return name
        if authorization and not self._may_fail(client):
            headers = {"Retry-After": str(round(_REFILL_S))}
            detail = "too many wrong tokens from this address"
            raise ProblemError(429, detail, kind="too_many_failures", headers=headers)
        what = "this bearer token is unknown" if authorization else "a bearer token is required"
        challenge = 'Bearer realm="pimedic"' + (', error="invalid_token"' if authorization else "")
        headers = {"WWW-Authenticate": challenge}
        raise ProblemError(401, what, kind="unauthenticated", headers=headers)

    def _owner(self, token: str) -> str | None:
        """Find the token's owner; every digest is compared, whichever fits."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
        found = None
        for name, known in self._digests.items():
            if hmac.compare_digest(digest, known):
                found = name
        return found

    def _may_fail(self, client: str) -> bool:
        """Charge a failure to `client`'s budget; the oldest clients are forgotten first."""
        now = self._now()
        budget = self._failures.pop(client, None) or _Budget(_FAILURES, now)
        left = min(_FAILURES, budget.left + (now - budget.at) / _REFILL_S)
        allowed = left >= 1
        if allowed:
            _log.warning("wrong_token", client=client)
        self._failures[client] = _Budget(left - 1 if allowed else left, now)
        while len(self._failures) > _CLIENTS:
            self._failures.popitem(last=False)
        return allowed
