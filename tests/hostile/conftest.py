"""How much of each: a short form by default, the whole of it with `make hostile DAMAGE=200 FUZZ=100000 FAMILY=720`."""

import os
from collections.abc import AsyncIterator, Callable

import pytest

from sttd.consumer.audio.limits import DecodeLimits
from sttd.consumer.audio.pool import DecoderPool

SHORT = {"DAMAGE": 12, "FUZZ": 1_000, "FAMILY": 72}


@pytest.fixture(scope="session")
def amount() -> Callable[[str], int]:
    """How many of a thing this run does."""
    return lambda name: int(os.environ.get(f"HOSTILE_{name}") or SHORT[name])


@pytest.fixture
async def pool() -> AsyncIterator[DecoderPool]:
    """One child under the default limits."""
    pool = DecoderPool(1, DecodeLimits())
    await pool.start()
    yield pool
    await pool.close()
