"""What the supervisor says while the lab runs: its timeline and its picture of the cluster.

Both outlast a restart of the supervisor: the timeline goes on after the last number seen.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp

from common.clock import boottime

Entry = dict[str, Any]
"""One line of the timeline: `seq`, `at`, `kind`, `node`, `incident`, `text`, `data`."""

_RETRY_S = 0.3
_POLL_S = 0.5
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=2, sock_read=40)


class Watch:
    """Follows the supervisor at `url`; `on_entry` and `on_status` hear of everything new."""

    def __init__(
        self,
        url: str,
        on_entry: Callable[[Entry], None] = lambda _: None,
        on_status: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> None:
        self.entries: list[Entry] = []
        self.status: dict[str, Any] = {}
        self._url, self._on_entry, self._on_status = url, on_entry, on_status
        self._last = 0
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Follow for ever."""
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session, asyncio.TaskGroup() as both:
            both.create_task(self._follow(session), name="watch-timeline")
            both.create_task(self._poll(session), name="watch-status")

    async def until(self, wanted: Callable[[], bool], give_up: float) -> bool:
        """Wait until `wanted`, but not past `give_up` (boottime); return whether it came true."""
        while not wanted():
            self._news.clear()
            left = give_up - boottime()
            try:
                async with asyncio.timeout(max(left, 0)):
                    await self._news.wait()
            except TimeoutError:
                return wanted()
        return True

    @property
    def healthy(self) -> bool:
        """Whether the supervisor's latest picture is a healthy one, with nothing under way."""
        return bool(self.status.get("healthy")) and not self.status.get("incidents")

    async def _follow(self, session: aiohttp.ClientSession) -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError, ValueError):
                url = f"{self._url}/v1/events?since={self._last}"
                async with session.get(url, headers={"Accept": "text/event-stream"}) as response:
                    response.raise_for_status()
                    async for entry in _entries(response.content):
                        self._take(entry)
            await asyncio.sleep(_RETRY_S)

    def _take(self, entry: Entry) -> None:
        if entry["seq"] > self._last:
            self._last = entry["seq"]
            self.entries.append(entry)
            self._on_entry(entry)
            self._news.set()

    async def _poll(self, session: aiohttp.ClientSession) -> None:
        while True:
            self.status = await self._ask(session)
            self._on_status(self.status)
            self._news.set()
            await asyncio.sleep(_POLL_S)

    async def _ask(self, session: aiohttp.ClientSession) -> dict[str, Any]:
        """Return the status, or nothing unless the supervisor is there and ready."""
        with contextlib.suppress(aiohttp.ClientError, OSError, ValueError):
            async with session.get(f"{self._url}/readyz") as ready:
                if not ready.ok:
                    return {}
            async with session.get(f"{self._url}/status?format=json") as response:
                if response.ok and isinstance(found := await response.json(), dict):
                    return found
        return {}


async def _entries(stream: aiohttp.StreamReader) -> AsyncIterator[Entry]:
    """Parse server-sent events: `data:` lines up to an empty one; named events are not entries."""
    data, name = "", ""
    async for raw in stream:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        field, _, value = line.partition(":")
        match field:
            case "data":
                data += value.removeprefix(" ")
            case "event":
                name = value.strip()
            case "" if not line:
                if data and not name:
                    yield json.loads(data)
                data, name = "", ""
            case _:
                pass
