"""One kept-alive ssh connection to a switch, used by one command at a time.

A switch's ssh server accepts few connections, so one is kept and shared behind a lock. The host
key is pinned: a switch that shows another one is not spoken to. Whatever goes wrong becomes a
`PowerError` that says how far the command got; nothing is ever sent twice.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import structlog

from common.clock import boottime
from supervisor.actuators.power.driver import Phase, PowerError, Stage

_log = structlog.get_logger(__name__)
_MOST_OUTPUT = 64 * 1024
_CLOSE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SshSettings:
    """Where the switch is and how to log in. Durations are in seconds.

    `known_hosts` pins the host key and `client_key` is the private key's file; `password_file`
    holds a password for switches that take no key. At least one of the two is needed.
    """

    address: str
    port: int = 22
    user: str = "admin"
    known_hosts: Path
    client_key: Path | None = None
    password_file: Path | None = None
    connect_s: float = 8.0
    command_s: float = 8.0
    keepalive_s: float = 5.0
    backoff_s: float = 0.5  # after the first failure; doubles up to `backoff_max_s`
    backoff_max_s: float = 8.0
    extra_kex: str = ""  # "diffie-hellman-group1-sha1" for ancient firmware

    @property
    def queue_s(self) -> float:
        """How long a command may wait for the one before it."""
        return 2 * (self.connect_s + self.command_s + self.backoff_max_s)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said. `status` is always known here: without one, `run` raises."""

    status: int
    out: str
    err: str


class SshLink:
    """Runs commands over one connection, which it opens when needed and opens again when lost."""

    def __init__(self, settings: SshSettings) -> None:
        self._settings = settings
        self._lock = asyncio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._failures = 0
        self._not_before = 0.0  # on the boot clock

    async def run(self, command: str) -> Answer:
        """Run one command once. Raises PowerError, also when no exit status came back."""
        async with self._turn():
            connection = await self._connected()
            try:
                async with asyncio.timeout(self._settings.command_s):
                    answer = await _execute(connection, command)
            except TimeoutError:
                wait = self._settings.command_s
                self._lost(f"no answer within {wait:g} s")
                raise PowerError(Phase.UNKNOWN, f"{command!r}: no answer in {wait:g} s") from None
            except asyncssh.ChannelOpenError as error:
                # Asyncssh says the same of a refused channel and of a lost connection.
                phase = Phase.UNKNOWN if connection.is_closed() else Phase.NOT_SENT
                self._lost(str(error))
                raise PowerError(phase, f"{command!r}: {error}") from None
            except (asyncssh.Error, OSError) as error:
                self._lost(str(error))
                raise PowerError(Phase.UNKNOWN, f"{command!r}: {error}") from None
            except asyncio.CancelledError:
                self._drop()
                raise
            if answer is None:
                self._lost("a command ended without exit status")
                raise PowerError(Phase.UNKNOWN, f"{command!r}: no exit status came back")
            self._recovered()
            return answer

    async def aclose(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        connection.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(connection.wait_closed(), _CLOSE_S)
        connection.abort()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        try:
            await asyncio.wait_for(self._lock.acquire(), self._settings.queue_s)
        except TimeoutError:
            raise PowerError(Phase.NOT_SENT, "the switch is busy with other commands") from None
        try:
            yield
        finally:
            self._lock.release()

    async def _connected(self) -> asyncssh.SSHClientConnection:
        if self._connection and not self._connection.is_closed():
            return self._connection
        self._connection = None
        await asyncio.sleep(max(0.0, self._not_before - boottime()))
        try:
            async with asyncio.timeout(2 * self._settings.connect_s):
                self._connection = await _connect(self._settings)
        except PowerError as error:
            self._lost(str(error))
            raise
        except (asyncssh.Error, OSError, TimeoutError) as error:
            problem = _why_not_connected(error, self._settings)
            self._lost(str(problem))
            raise problem from None
        return self._connection

    def _lost(self, why: str) -> None:
        """Drop the connection; the next use waits a little longer each time, with jitter."""
        if self._failures == 0:
            _log.warning("switch_lost", switch=self._settings.address, why=why)
        wait = self._settings.backoff_s * 2 ** min(self._failures, 16)
        jitter = random.uniform(0.5, 1.0)  # noqa: S311 -- spreads retries, guards nothing
        self._not_before = boottime() + min(wait, self._settings.backoff_max_s) * jitter
        self._failures += 1
        self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            connection.abort()

    def _recovered(self) -> None:
        if self._failures:
            _log.info("switch_back", switch=self._settings.address, failures=self._failures)
        self._failures = 0


async def _connect(settings: SshSettings) -> asyncssh.SSHClientConnection:
    options: dict[str, Any] = _credentials(settings)
    if settings.extra_kex:
        options["kex_algs"] = f"+{settings.extra_kex}"
    return await asyncssh.connect(
        settings.address,
        settings.port,
        username=settings.user,
        config=None,
        agent_path=None,
        preferred_auth="publickey,password",
        connect_timeout=settings.connect_s,
        login_timeout=settings.connect_s,
        keepalive_interval=settings.keepalive_s,
        keepalive_count_max=2,
        **options,
    )


def _credentials(settings: SshSettings) -> dict[str, Any]:
    """Read keys and password anew each time: they may be rotated while we run."""
    path = settings.known_hosts
    try:
        found: dict[str, Any] = {
            "known_hosts": asyncssh.import_known_hosts(path.read_text(encoding="utf-8")),
            "client_keys": None,
        }
        if settings.client_key:
            path = settings.client_key
            found["client_keys"] = [asyncssh.read_private_key(path)]
        if settings.password_file:
            path = settings.password_file
            found["password"] = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError, asyncssh.KeyImportError) as error:
        raise PowerError(
            Phase.NOT_SENT,
            f"{path}: can't be used: {error}",
            trips_breaker=True,
            stage=Stage.CREDENTIALS,
        ) from None
    return found


def _why_not_connected(error: Exception, settings: SshSettings) -> PowerError:
    """Say what kept us from logging in. Nothing was sent in any of these cases."""
    where = f"{settings.user}@{settings.address} port {settings.port}"
    match error:
        case asyncssh.HostKeyNotVerifiable():
            why = f"the host key isn't the one pinned in {settings.known_hosts}"
            stage = Stage.IDENTITY
        case asyncssh.PermissionDenied():
            why, stage = "login refused", Stage.LOGIN
        case asyncssh.KeyExchangeFailed():
            why = f"no algorithm or host-key type in common: {error}"
            stage = Stage.IDENTITY
        case TimeoutError():
            why, stage = f"silent for {settings.connect_s:g} s", Stage.REACH
        case _:
            why, stage = str(error) or type(error).__name__, Stage.REACH
    stop = stage is not Stage.REACH  # what trying again can only make worse
    return PowerError(Phase.NOT_SENT, f"{where}: {why}", trips_breaker=stop, stage=stage)


async def _execute(connection: asyncssh.SSHClientConnection, command: str) -> Answer | None:
    """Run `command` to its end; None without an exit status, or if it never stops talking."""
    process = await connection.create_process(
        command, stdin=asyncssh.DEVNULL, encoding="utf-8", errors="replace"
    )
    try:
        out = await _read(process.stdout)
        if len(out) >= _MOST_OUTPUT:  # whatever this is, it's no answer
            return None
        err = await _read(process.stderr)
        if len(err) >= _MOST_OUTPUT:
            return None
        await process.wait_closed()
        status = process.exit_status
    finally:
        process.close()
    return None if status is None else Answer(status, out, err)


async def _read(stream: asyncssh.SSHReader[str]) -> str:
    """Read to the end, but no more than a sane switch would say."""
    parts: list[str] = []
    length = 0
    while length < _MOST_OUTPUT and (part := await stream.read(_MOST_OUTPUT - length)):
        parts.append(part)
        length += len(part)
    return "".join(parts)
