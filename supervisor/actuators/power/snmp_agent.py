"""One SNMP agent: integers read and written by number, over v2c or v3.

The only file that knows pysnmp, which has no types of its own. A request that sets something is
sent exactly once: a repeated datagram could arrive after a later command.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pysnmp.hlapi.v3arch import asyncio as hlapi
from pysnmp.proto import errind, rfc1902, rfc1905

from supervisor.actuators.power import secret_lines
from supervisor.actuators.power.driver import Phase, PowerError, Stage

_KEYS = ("community", "user", "auth", "auth_password", "privacy", "privacy_password")
_AUTH = {
    "md5": hlapi.usmHMACMD5AuthProtocol,
    "sha1": hlapi.usmHMACSHAAuthProtocol,
    "sha256": hlapi.usmHMAC192SHA256AuthProtocol,
    "sha512": hlapi.usmHMAC384SHA512AuthProtocol,
}
_PRIVACY = {
    "des": hlapi.usmDESPrivProtocol,
    "aes128": hlapi.usmAesCfb128Protocol,
    "aes256": hlapi.usmAesCfb256Protocol,
}
_LOGIN = (
    errind.UnknownUserName,
    errind.UnknownSecurityName,
    errind.WrongDigest,
    errind.AuthenticationFailure,
    errind.AuthenticationError,
    errind.UnsupportedSecurityLevel,
    errind.DecryptionError,
)
_LOGIN_STATUS = "authorizationError"
_HALF_DONE = {"genErr", "undoFailed"}  # it may have happened all the same
_ABSENT = (rfc1905.NoSuchObject, rfc1905.NoSuchInstance, rfc1905.EndOfMibView)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """Where the agent is. Durations are in seconds.

    `credentials` holds either `community=`, or `user=`, `auth=`, `auth_password=` and, unless the
    agent really speaks in the clear, `privacy=`, `privacy_password=`.
    """

    address: str
    port: int = 161
    credentials: Path
    timeout_s: float = 2.0
    look_retries: int = 2


class SnmpAgent:
    """Asks and sets. Raises `PowerError` for whatever doesn't go well."""

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        self._engine = hlapi.SnmpEngine()

    async def get(self, oids: Sequence[str]) -> dict[str, int | None]:
        """Return the integer behind each number; None where the agent has none."""
        asked = [hlapi.ObjectType(hlapi.ObjectIdentity(oid)) for oid in oids]
        bindings = await self._request(
            hlapi.get_cmd, asked, Phase.NOT_SENT, retries=self._settings.look_retries
        )
        return {str(name): _integer(value) for name, value in bindings}

    async def set(self, oid: str, value: int) -> None:
        """Set one integer, once. Phase UNKNOWN if no answer came."""
        asked = [hlapi.ObjectType(hlapi.ObjectIdentity(oid), rfc1902.Integer32(value))]
        await self._request(hlapi.set_cmd, asked, Phase.UNKNOWN, retries=0)

    def close(self) -> None:
        """Close the socket."""
        self._engine.close_dispatcher()

    async def _request(self, command: Any, asked: list[Any], lost: Phase, *, retries: int) -> Any:
        settings = self._settings
        where = f"{settings.address} udp port {settings.port}"
        secret = self._secret()
        try:
            target = await hlapi.UdpTransportTarget.create(
                (settings.address, settings.port), timeout=settings.timeout_s, retries=retries
            )
            problem, status, index, bindings = await command(
                self._engine, secret, target, hlapi.ContextData(), *asked, lookupMib=False
            )
        except (hlapi.PySnmpError, OSError) as error:
            raise PowerError(lost, f"{where}: {error}", stage=Stage.REACH) from None
        if problem is not None:
            raise _no_answer(problem, where, lost)
        if status:
            word = rfc1905.errorStatus.clone(int(status)).prettyPrint()
            raise _refusal(word, where, bindings, int(index))
        return bindings

    def _secret(self) -> Any:
        """Read the credentials anew each time: they may be rotated while we run."""
        path = self._settings.credentials
        found = secret_lines.read(path, _KEYS)
        if found.keys() == {"community"}:
            return hlapi.CommunityData(found["community"], mpModel=1)  # noqa: S508 -- v3 is offered first; much hardware speaks v2c only
        try:
            return _user(found)
        except (KeyError, ValueError) as error:
            raise PowerError(
                Phase.NOT_SENT,
                f"{path}: expected community=, or user=, auth={_choice(_AUTH)}, auth_password=,"
                f" and privacy={_choice(_PRIVACY)}, privacy_password=: {error} is amiss",
                trips_breaker=True,
                stage=Stage.CREDENTIALS,
            ) from None


def _user(found: dict[str, str]) -> Any:
    """Build the v3 user. Raises KeyError or ValueError with the key that is amiss."""
    if "community" in found:
        raise ValueError("community beside a user")
    private = {"privacy", "privacy_password"} & found.keys()
    if found["auth"] not in _AUTH:
        raise ValueError("auth")
    if private and found["privacy"] not in _PRIVACY:
        raise ValueError("privacy")
    return hlapi.UsmUserData(
        found["user"],
        authKey=found["auth_password"],
        authProtocol=_AUTH[found["auth"]],
        privKey=found["privacy_password"] if private else None,
        privProtocol=_PRIVACY[found["privacy"]] if private else hlapi.usmNoPrivProtocol,
    )


def _choice(words: dict[str, Any]) -> str:
    return "|".join(words)


def _integer(value: Any) -> int | None:
    if isinstance(value, _ABSENT):
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _no_answer(problem: Any, where: str, lost: Phase) -> PowerError:
    if isinstance(problem, _LOGIN):
        return PowerError(
            Phase.NOT_SENT, f"{where}: login refused: {problem}", trips_breaker=True,
            stage=Stage.LOGIN,
        )  # fmt: skip
    text = f"{where}: {problem}"
    if isinstance(problem, errind.RequestTimedOut):
        text += "; with v2c a wrong community looks the same"
    return PowerError(lost, text, stage=Stage.REACH)


def _refusal(word: str, where: str, bindings: Any, index: int) -> PowerError:
    """The agent answered, and said no."""
    about = f" of {bindings[index - 1][0]}" if 0 < index <= len(bindings) else ""
    return PowerError(
        Phase.UNKNOWN if word in _HALF_DONE else Phase.REJECTED,
        f"{where}: the agent refused: {word}{about}",
        stage=Stage.LOGIN if word == _LOGIN_STATUS else Stage.COMMAND,
    )
