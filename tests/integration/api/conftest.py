"""The API on a free port of loopback."""

from collections.abc import AsyncIterator

import pytest

from supervisor.api.server import bind
from tests.integration.api.harness import Api, serve_api


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """The API on a free port of loopback."""
    async with serve_api(bind(["127.0.0.1:0"])) as running:
        yield running
