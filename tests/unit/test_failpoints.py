"""The points at which the chaos tests kill the daemon are where their names claim."""

import os

import pytest

from tests.support import failpoints
from tests.support.fakes import Desk
from tests.support.memory_bus import MemoryBroker


async def test_each_named_point_is_on_the_way_of_a_request_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """A point that is left out would let a chaos run wait for a death that never comes; twice, it comes too early."""
    desk = Desk(MemoryBroker.with_topology())
    way: list[str] = []
    seen: dict[str, list[tuple[str, str]]] = {}

    def reached(point: str, _message_id: str | None) -> None:
        way.append(point)
        seen[point] = list(desk.broker.steps)

    failpoints.install(reached, monkeypatch.setattr)
    desk.broker.send("stt.requests", b"audio")
    await desk.handle()

    assert way == list(failpoints.POINTS)
    assert seen["before_reply"] == []
    assert seen["after_confirm"] == [("publish", "stt.replies"), ("confirm", "stt.replies")]
    assert seen["after_ack"] == [*seen["after_confirm"], ("ack", "stt.requests")]


def test_a_fail_point_is_for_one_request_and_the_nth_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """`decoded:2@poison`: the second time that this request gets there, whatever the others do."""
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _pid, number: killed.append(number))
    point = failpoints.FailPoint("decoded:2:stop@poison")

    for message_id in ("good", "poison", None):
        point.reached("decoded", message_id)
    point.reached("received", "poison")
    assert killed == []
    point.reached("decoded", "poison")

    assert killed == [failpoints.SIGNALS["stop"]]


def test_a_point_that_there_is_not_is_refused() -> None:
    """A typing error must not make a chaos run that harms nothing."""
    with pytest.raises(ValueError, match="'decode' is no fail point"):
        failpoints.FailPoint("decode:1")
