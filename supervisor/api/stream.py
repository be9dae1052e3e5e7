"""GET /v1/events: the timeline as server-sent events.

`id:` is the entry's number and `data:` the entry as JSON. Whoever comes back with the last
number it saw gets what it missed. The last event of a stream is named `end` and says why.
"""

import asyncio
import json
from collections.abc import AsyncIterator

from supervisor.api.backend import Backend
from supervisor.api.feed import Entry, Reader

PING_S = 15.0
_PAGE = 500
_RETRY_MS = 2000


async def events(backend: Backend, reader: Reader, since: int | None) -> AsyncIterator[str]:
    """Yield the stream for `reader`, which joined before: nothing falls between old and new."""
    try:
        yield f"retry: {_RETRY_MS}\n\n"
        last = -1 if since is None else since
        if since is not None:
            async for entry in _missed(backend, since):
                last = entry["seq"]
                yield _event(entry)
        async for waiting in _live(reader):
            if waiting is None:
                yield ": ping\n\n"
            elif waiting["seq"] > last:
                yield _event(waiting)
        yield f"event: end\ndata: {json.dumps({'reason': reader.ending})}\n\n"
    finally:
        backend.feed.leave(reader)


async def _missed(backend: Backend, since: int) -> AsyncIterator[Entry]:
    """Yield what was published after `since`: from the journal first, then from memory."""
    last, remembered = since, backend.feed.remembers_from
    while remembered is None or last + 1 < remembered:
        page = await backend.history.entries(last, _PAGE)
        for entry in page:
            last = entry["seq"]
            yield entry
        if len(page) < _PAGE:
            break
    for entry in backend.feed.recent(last):
        yield entry


async def _live(reader: Reader) -> AsyncIterator[Entry | None]:
    """Yield entries as they come, and None when a ping is due; ends when the reader is dropped."""
    while True:
        while reader.waiting:
            yield reader.waiting.popleft()
        if reader.ending:
            return
        reader.wake.clear()
        try:
            async with asyncio.timeout(PING_S):
                await reader.wake.wait()
        except TimeoutError:
            yield None


def _event(entry: Entry) -> str:
    return f"id: {entry['seq']}\ndata: {json.dumps(entry)}\n\n"
