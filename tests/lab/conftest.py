import secrets

import pytest

from lab.addresses import Addresses


@pytest.fixture
def addresses() -> Addresses:
    """A place on loopback that no other test is likely to use at the same time."""
    return Addresses(20 + secrets.randbelow(230), 20000 + secrets.randbelow(10000))
