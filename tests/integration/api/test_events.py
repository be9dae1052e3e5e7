"""The timeline as a stream."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from supervisor.api import stream
from tests.integration.api.harness import Api, until

Event = tuple[str, str, Any]


class Listener:
    """A client of the stream."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.comments: list[str] = []

    async def next(self) -> Event | None:
        """Return (id, event, data), or None at the end."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(10):
            while line := (await self.response.content.readline()).decode():
                key, _, value = line.rstrip("\n").partition(":")
                if line == "\n" and "data" in fields:
                    data = json.loads(fields["data"])
                    return fields.get("id", ""), fields.get("event", "message"), data
                if not key:
                    self.comments.append(value.strip())
                fields[key] = value.strip()
        return None


@contextlib.asynccontextmanager
async def listen(api: Api, query: str = "", **headers: str) -> AsyncIterator[Listener]:
    """Open the stream."""
    sent = {key.replace("_", "-"): value for key, value in headers.items()}
    async with api.http.get(f"{api.url}/v1/events{query}", headers=sent) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        yield Listener(response)


def entry(seq: int) -> dict[str, Any]:
    """A line of the timeline."""
    return {"seq": seq, "kind": "condition", "text": f"line {seq}\nof two"}


async def test_what_happens_is_streamed(api: Api) -> None:
    """Each entry once, with its number and its JSON on one line."""
    async with listen(api) as listener:
        api.backend.feed.publish(entry(1))
        api.backend.feed.publish(entry(2))
        assert await listener.next() == ("1", "message", entry(1))
        assert await listener.next() == ("2", "message", entry(2))


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?since=3", {}),
        ("", {"Last_Event_ID": "3"}),
        ("?since=0", {"Last_Event_ID": "3"}),  # what a browser sends when it reconnects
    ],
)
async def test_a_client_resumes_where_it_was(api: Api, query: str, headers: dict[str, str]) -> None:
    """It gets what it missed, then what happens, without gap or repetition."""
    for seq in range(1, 6):
        api.backend.feed.publish(entry(seq))
    async with listen(api, query, **headers) as listener:
        assert [(await listener.next())[0] for _ in range(2)] == ["4", "5"]
        api.backend.feed.publish(entry(6))
        assert (await listener.next())[0] == "6"


async def test_what_memory_has_lost_comes_from_the_journal(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page by page, then from memory, each entry once."""
    monkeypatch.setattr(stream, "_PAGE", 4)
    api.backend.history.kept.extend(entry(seq) for seq in range(1, 21))
    for seq in range(15, 21):
        api.backend.feed.publish(entry(seq))
    async with listen(api, "?since=2") as listener:
        seen = [(await listener.next())[0] for _ in range(18)]
    assert seen == [str(seq) for seq in range(3, 21)]


async def test_without_a_number_only_news_is_sent(api: Api) -> None:
    """The past is for those who ask."""
    api.backend.feed.publish(entry(1))
    async with listen(api) as listener:
        api.backend.feed.publish(entry(2))
        assert (await listener.next())[0] == "2"


async def test_silence_is_pinged(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that both sides notice a dead connection."""
    monkeypatch.setattr(stream, "PING_S", 0.05)
    async with listen(api) as listener:
        asyncio.get_running_loop().call_later(0.3, api.backend.feed.publish, entry(1))
        await listener.next()
        assert "ping" in listener.comments


async def test_a_slow_client_is_dropped_with_a_last_word(api: Api) -> None:
    """The rest of the world goes on; the client is told and may resume."""
    big = entry(0) | {"text": "x" * 100_000}
    async with listen(api) as slow:
        reader = next(iter(api.backend.feed._readers))
        for seq in range(1, 400):
            api.backend.feed.publish(big | {"seq": seq})
            if seq % 50 == 0:
                await asyncio.sleep(0)
        assert reader.ending == "too_slow"
        seen = []
        while event := await slow.next():
            seen.append(event)
    assert seen[-1][1:] == ("end", {"reason": "too_slow"})
    assert len(seen) < 400


async def test_too_many_readers_are_told_to_come_back(api: Api) -> None:
    """Their number is bounded, and leaving makes room."""
    api.backend.feed._most = 1
    async with listen(api), api.http.get(api.url + "/v1/events") as second:
        assert second.status == 503
        assert second.content_type == "application/problem+json"
        assert second.headers["Retry-After"]
    await until(lambda: not api.backend.feed._readers)
    async with listen(api):
        pass


async def test_a_stop_ends_the_streams(api: Api) -> None:
    """A reader doesn't hold up a shutdown, and is told."""
    async with listen(api) as listener:
        api.serving.cancel()
        assert await listener.next() == ("", "end", {"reason": "shutdown"})
        assert await listener.next() is None
    await asyncio.wait({api.serving}, timeout=10)
    assert api.serving.done()
