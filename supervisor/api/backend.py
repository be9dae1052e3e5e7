"""What the operator API works with: pictures of the core, and a way to tell it things."""

import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from common import clock
from common.fleet.progress import Limits
from common.topology import Cluster
from supervisor.api.feed import Entry, Feed
from supervisor.api.tokens import Tokens
from supervisor.core.effects import Effect
from supervisor.core.events import Event
from supervisor.core.status import Status


class History(Protocol):
    """What was written down. Records come as the mappings to be shown as JSON."""

    async def incidents(self, limit: int) -> Sequence[Mapping[str, Any]]:
        """Return the newest incidents, newest first, each with an `id`."""

    async def incident(self, incident_id: str) -> Mapping[str, Any] | None:
        """Return one incident."""

    async def entries(self, since: int, limit: int) -> Sequence[Entry]:
        """Return timeline entries with `seq` above `since`, oldest first."""

    async def latest(self, limit: int) -> Sequence[Entry]:
        """Return the newest timeline entries, oldest first."""


class NoHistory:
    """Nothing was ever written down."""

    async def incidents(self, limit: int) -> Sequence[Mapping[str, Any]]:  # noqa: ARG002 - a port
        """Return nothing."""
        return ()

    async def incident(self, incident_id: str) -> Mapping[str, Any] | None:  # noqa: ARG002 - a port
        """Return nothing."""
        return None

    async def entries(self, since: int, limit: int) -> Sequence[Entry]:  # noqa: ARG002 - a port
        """Return nothing."""
        return ()

    async def latest(self, limit: int) -> Sequence[Entry]:  # noqa: ARG002 - a port
        """Return nothing."""
        return ()


def _new_id() -> str:
    return secrets.token_hex(6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """Everything the operator API needs. `now` is the core's time, in seconds."""

    cluster: Cluster
    status: Callable[[], Status]
    submit: Callable[[Event], Awaitable[Sequence[Effect]]]
    """Hand an event to the core; returns what the core wants done about it."""
    tokens: Tokens
    feed: Feed = field(default_factory=Feed)
    history: History = field(default_factory=NoHistory)
    heartbeats: Mapping[str, int] = field(default_factory=dict)
    """How often requests on the heartbeat path ended in each way."""
    ready: Callable[[], bool] = lambda: True
    runbooks: Collection[str] = ()
    """Names that the scope `runbook:NAME` may give; empty: any."""
    starts: Limits = field(default_factory=Limits)
    now: Callable[[], float] = clock.boottime
    new_id: Callable[[], str] = _new_id
