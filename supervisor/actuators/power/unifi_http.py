"""JSON over HTTPS to a UniFi Network controller: pinned, bounded, and with our kind of errors.

Controllers come with a certificate that they signed themselves, and our clock may be wrong: the
certificate's fingerprint is pinned, which needs neither an authority nor a date. A CA's file does
as well, where clocks can be trusted. There is no way to switch the check off.
"""

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from common.clock import boottime
from supervisor.actuators.power import secret_lines
from supervisor.actuators.power.driver import Phase, PowerError, Stage

_MOST_BYTES = 8 * 1024 * 1024
_MOST_TEXT = 200
_LONGEST_PAUSE_S = 300.0
_UNAUTHORIZED = frozenset({401, 403})
_TOO_MANY, _NOT_FOUND, _SERVER_ERROR, _ERROR = 429, 404, 500, 400


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerSettings:
    """Where the controller is. Durations are in seconds.

    `fingerprint` is the SHA-256 of its certificate in hex, `ca_file` an authority's certificate:
    one of the two. `unifi_os`: a console (UDM, Cloud Key, UniFi OS Server) and not the bare
    Network application.
    """

    url: str
    device: str  # the switch's own MAC
    site: str = "default"
    credentials: Path
    fingerprint: str = ""
    ca_file: Path | None = None
    unifi_os: bool = True
    timeout_s: float = 8.0

    @property
    def prefix(self) -> str:
        """What stands before the Network application's paths."""
        return "/proxy/network" if self.unifi_os else ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: status, decoded body (None if it was no JSON), headers."""

    status: int
    body: Any
    headers: Mapping[str, str]


class Http:
    """One session. Every failure is a `PowerError`; a reply of any status but 429 is not."""

    def __init__(self, settings: ControllerSettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None
        self._not_before = 0.0

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        lost: Phase = Phase.NOT_SENT,
    ) -> Reply:
        """Send once. Phase `lost` if it may have arrived and no reply came."""
        if (left := self._not_before - boottime()) > 0:
            raise PowerError(
                Phase.NOT_SENT, f"{self._where}: it asked us to wait {left:.0f} s more",
                stage=Stage.REACH,
            )  # fmt: skip
        session = self._opened()
        try:
            async with session.request(
                method, self._settings.url + path, json=body, headers=headers,
                allow_redirects=False,
            ) as response:  # fmt: skip
                raw = await _read(response)
                reply = Reply(response.status, _decoded(raw), response.headers)
        except (aiohttp.ServerFingerprintMismatch, aiohttp.ClientConnectorCertificateError,
                aiohttp.ClientConnectorSSLError) as error:  # fmt: skip
            raise PowerError(
                Phase.NOT_SENT,
                f"{self._where}: the certificate isn't the one that was pinned ({_why(error)})",
                trips_breaker=True,
                stage=Stage.IDENTITY,
            ) from None
        except aiohttp.ClientConnectorError as error:
            raise PowerError(
                Phase.NOT_SENT, f"{self._where}: {error.os_error}", stage=Stage.REACH
            ) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = str(error) or f"no answer in {self._settings.timeout_s:g} s"
            raise PowerError(lost, f"{self._where}: {why}", stage=Stage.REACH) from None
        if reply.status == _TOO_MANY:
            self._pause(reply)
            raise PowerError(Phase.NOT_SENT, f"{self._where}: too many requests", stage=Stage.REACH)
        return reply

    def failure(self, what: str, reply: Reply, lost: Phase = Phase.NOT_SENT) -> PowerError:
        """Turn a reply that isn't what was hoped for into an error."""
        said = _message(reply.body)
        text = f"{self._where}: {what}: HTTP {reply.status}" + (f", {said}" if said else "")
        if reply.status in _UNAUTHORIZED:
            return PowerError(Phase.NOT_SENT, text, trips_breaker=True, stage=Stage.LOGIN)
        if reply.status >= _SERVER_ERROR:
            return PowerError(lost, text, stage=Stage.REACH)
        if reply.status >= _ERROR:
            return PowerError(Phase.REJECTED, text, stage=Stage.TOOL)
        return PowerError(lost, f"{text}: not understood", stage=Stage.TABLE)

    async def aclose(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session:
            await session.close()

    @property
    def _where(self) -> str:
        return self._settings.url

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=_trust(self._settings), limit=1),
                cookie_jar=aiohttp.CookieJar(unsafe=True),  # controllers have addresses, not names
                timeout=aiohttp.ClientTimeout(total=self._settings.timeout_s),
                trust_env=False,
            )
        return self._session

    def _pause(self, reply: Reply) -> None:
        """Keep quiet for as long as it asks, within reason."""
        asked = reply.headers.get("Retry-After", "")
        wait = float(asked) if asked.isdecimal() else 1.0
        self._not_before = boottime() + min(wait, _LONGEST_PAUSE_S)


def credentials(settings: ControllerSettings, *keys: str) -> dict[str, str]:
    """Read the file that must hold exactly `keys`. Raises `PowerError`."""
    found = secret_lines.read(settings.credentials, keys)
    if missing := [key for key in keys if not found.get(key)]:
        raise PowerError(
            Phase.NOT_SENT,
            f"{settings.credentials}: {missing[0]}= is missing",
            trips_breaker=True,
            stage=Stage.CREDENTIALS,
        )
    return found


def _trust(settings: ControllerSettings) -> aiohttp.Fingerprint | ssl.SSLContext:
    try:
        if settings.fingerprint:
            return aiohttp.Fingerprint(bytes.fromhex(settings.fingerprint.replace(":", "")))
        return ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ValueError) as error:
        raise PowerError(
            Phase.NOT_SENT, f"{settings.ca_file or 'fingerprint'}: can't be used: {error}",
            trips_breaker=True, stage=Stage.CREDENTIALS,
        ) from None  # fmt: skip


def _why(error: Exception) -> str:
    if isinstance(error, aiohttp.ServerFingerprintMismatch):
        return f"found sha256 {error.got.hex()}"
    return str(error)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Read the body, but no more than a sane controller would say."""
    raw = bytearray()
    async for chunk in response.content.iter_any():
        raw += chunk
        if len(raw) > _MOST_BYTES:
            raise aiohttp.ClientPayloadError(f"over {_MOST_BYTES} bytes")
    return bytes(raw)


def _decoded(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _message(body: Any) -> str:
    """Return what the controller says is wrong: both of its APIs have a place for it."""
    if not isinstance(body, dict):
        return ""
    meta = body.get("meta")
    said = meta.get("msg") if isinstance(meta, dict) else body.get("message") or body.get("code")
    return str(said or "")[:_MOST_TEXT]
