"""A long life leaves no trace in the agent's memory."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from typing import Any

import pytest

_WITHIN_S = 110


async def _lived(*flags: str) -> dict[str, Any]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.agent_lifetime", *flags, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(_WITHIN_S):
            output, errors = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert child.returncode == 0, errors.decode()[-2000:]
    found: dict[str, Any] = json.loads(output)
    return found


@pytest.mark.system
async def test_memory_is_flat() -> None:
    """After half an hour of everything that could pile up it is what it was after five minutes.

    `python -m bench.agent_memory` does the same over 24 hours.
    """
    lived = await _lived("--cycles", "6", "--cycle-s", "300")
    first, last = lived["first"], lived["last"]
    assert lived["beats"] > 900
    assert lived["commands"] > 10
    assert lived["witnessed"] > 500  # more than one logbook full was handed over
    assert last["rss_kib"] < 1.05 * first["rss_kib"]
    assert last["blocks"] < 1.005 * first["blocks"]  # finer: a block a beat would be seen
    assert last["threads"] == first["threads"]  # one look hangs for ever
