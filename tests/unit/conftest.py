"""The unit tier's event loops: the usual one, or for tests marked `virtual_time` one with a clock of its own."""

import asyncio
from collections.abc import Callable

import pytest

from sttd.consumer.engine import environment
from tests.support.virtual_time import VirtualLoop

environment.prepare()  # before any test imports numpy: with two threads the last bits of a product are others


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """What makes the loop of this test."""
    if item.get_closest_marker("virtual_time"):
        return {"virtual": VirtualLoop}
    return {"real": asyncio.new_event_loop}
