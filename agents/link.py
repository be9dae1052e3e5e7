"""One persistent connection to the supervisor. Its loss is itself a sign, so it is kept open."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from agents.session import Failure, Request
from common.wire import HEARTBEAT_PATH, MAX_BODY_BYTES

_IDLE_S = 90.0  # longer than the longest interval
_SKIPPED = ("Accept", "Accept-Encoding", "User-Agent")  # nobody reads them


class LinkError(Exception):
    """No answer came."""

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(detail)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as it arrived: nothing in it is believed yet."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Link:
    """Make it inside a running loop; close it."""

    def __init__(self, bind: str = "") -> None:
        connector = aiohttp.TCPConnector(
            limit=1,
            keepalive_timeout=_IDLE_S,
            local_addr=(bind, 0) if bind else None,
        )
        self._http = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_SKIPPED,
            timeout=aiohttp.ClientTimeout(total=None),  # `post` has the deadline
        )

    async def post(self, supervisor: str, request: Request, deadline_s: float) -> Answer:
        """Send a beat and return the whole answer. Raises `LinkError`."""
        try:
            async with asyncio.timeout(deadline_s):
                return await self._post(supervisor + HEARTBEAT_PATH, request)
        except TimeoutError:
            raise LinkError(Failure.TIMEOUT, f"no answer within {deadline_s:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise LinkError(Failure.UNREACHABLE, str(error) or type(error).__name__) from None

    async def _post(self, url: str, request: Request) -> Answer:
        async with self._http.post(
            url, data=request.body, headers=request.headers, allow_redirects=False
        ) as response:
            body = b""
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    response.close()
                    raise LinkError(Failure.MALFORMED, f"answer of over {MAX_BODY_BYTES} bytes")
            return Answer(response.status, response.headers, body)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._http.close()
