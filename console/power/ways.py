"""Which way to the switch: the supervisor if it answers, else directly, if that is safe here."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from common.fleet.orders import Found, NoWayError, Way
from console.client import Client, ConsoleError, LostError, RefusedError
from console.power.api_way import ApiWay

DIRECT = "pimedic.direct"
CONFIG = Path("/etc/pimedic/pimedic.toml")


@contextlib.asynccontextmanager
async def way_to_switch(client: Client, config: Path) -> AsyncIterator[tuple[Way, str]]:
    """Yield the way, and what a direct one found unfinished and couldn't finish.

    Raises `ConsoleError` when there is none.
    """
    way: Way = ApiWay(client)
    left = ""
    try:
        with contextlib.suppress(RefusedError):  # busy, but alive
            await asyncio.to_thread(client.text, "/healthz")
    except LostError as lost:
        way, left = await _direct(client, config, lost)
    try:
        yield way, left
    finally:
        await way.aclose()


async def _direct(client: Client, config: Path, lost: LostError) -> tuple[Way, str]:
    if not _is_here(client.url):
        raise ConsoleError(f"{lost}; the direct way is open only on that machine itself")
    opening = _offered("power")
    if opening is None:
        raise ConsoleError(f"{lost}; and the supervisor isn't installed here")
    try:
        opened: tuple[Way, str] = await opening(config)
    except NoWayError as error:
        raise ConsoleError(f"{lost}; {error}", error.code) from None
    return opened


async def survey(config: Path, exercise: int | None) -> tuple[Sequence[Found], bool]:
    """Ask the switch what works, from here. Raises `ConsoleError`."""
    surveying = _offered("survey")
    if surveying is None:
        raise ConsoleError("the supervisor isn't installed here: ask on its machine")
    try:
        found: tuple[Sequence[Found], bool] = await surveying(config, exercise)
    except NoWayError as error:
        raise ConsoleError(str(error), error.code) from None
    return found


def _offered(name: str) -> Callable[..., Awaitable[Any]] | None:
    """Find what the supervisor's package offers, where it is installed; imported only now."""
    found = [entry for entry in entry_points(group=DIRECT) if entry.name == name]
    loaded: Callable[..., Awaitable[Any]] | None = found[0].load() if found else None
    return loaded


def _is_here(url: str) -> bool:
    """Tell whether `url` means this machine: another one's supervisor may live unseen by us."""
    host = urlsplit(url).hostname or ""
    try:
        found: list[Any] = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)
    except OSError:
        return False
    return all(ipaddress.ip_address(one[4][0]).is_loopback or _is_ours(one) for one in found)


def _is_ours(found: tuple[Any, ...]) -> bool:
    family, kind, _, _, address = found
    try:
        with socket.socket(family, kind) as trial:
            trial.bind(address)
    except OSError:
        return False
    return True
