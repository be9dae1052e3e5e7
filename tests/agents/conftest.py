from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agents.disk import Disk


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[Disk]:
    """The way to a disk whose root is `tmp_path`, by a real helper process."""
    disk = Disk(tmp_path)
    try:
        yield disk
    finally:
        disk.close()
