"""The usual way to the switch: the running supervisor, over its API."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from common.fleet.orders import Ended, Order, OrderRefusedError, WayLostError, ended_of
from console.client import Client, LostError, RefusedError

_CONFLICT, _OVERLOADED = 409, 503
_PAGE = 500


class ApiWay:
    """One supervisor. Each question has the client's deadline."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._seen = -1

    @property
    def said(self) -> str:
        """Say which way it is."""
        return f"through the supervisor at {self._client.url}"

    async def look(self) -> Mapping[str, Any]:
        """Return the picture of now."""
        picture: Mapping[str, Any] = await self._get("/v1/ports")
        return picture

    async def order(self, order: Order) -> str:
        """Order one node's treatment; the supervisor answers once it is written down."""
        body: dict[str, Any] = {
            "treatment": order.treatment,
            "reason": order.reason,
            "protected": order.protected,
            "skip_rails": list(order.skip_rails),
        }
        if order.off_s is not None:
            body["off_s"] = order.off_s
        if order.kind == "off":
            body["duration_s"] = order.off_for
        if self._seen < 0:
            await self._start_of_timeline()
        try:
            asked = await asyncio.to_thread(
                self._client.post, f"/v1/nodes/{order.node}/actions", body
            )
        except RefusedError as error:
            if error.status == _CONFLICT:
                raise OrderRefusedError(error.pointers, str(error)) from None
            if error.status == _OVERLOADED:
                raise OrderRefusedError(["starts"], str(error)) from None
            raise
        except LostError as error:
            raise WayLostError(str(error)) from None
        return str(asked["action"])

    async def ended(self) -> Sequence[Ended]:
        """Read on in the timeline."""
        found: list[Ended] = []
        while self._seen >= 0:
            path = f"/v1/timeline?since={self._seen}&limit={_PAGE}"
            entries = (await self._get(path))["entries"]
            found += [ended for entry in entries if (ended := ended_of(entry))]
            self._seen = entries[-1]["seq"] if entries else self._seen
            if len(entries) < _PAGE:
                break
        return found

    async def aclose(self) -> None:
        """Nothing of ours is under way: the supervisor finishes what it was told."""

    async def _start_of_timeline(self) -> None:
        entries = (await self._get("/v1/timeline?limit=1"))["entries"]
        self._seen = entries[-1]["seq"] if entries else 0

    async def _get(self, path: str) -> Any:
        try:
            return await asyncio.to_thread(self._client.get, path)
        except LostError as error:
            raise WayLostError(str(error)) from None
        except RefusedError as error:
            if error.status == _OVERLOADED:
                raise WayLostError(str(error)) from None
            raise
