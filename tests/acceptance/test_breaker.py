"""A daemon whose engine fails on everything stops by itself, loses nothing, and goes on by itself."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.broker import Broker, wait_until
from tests.support.daemon import DaemonProcess
from tests.support.notes import GROCERIES, note, spoken
from tests.support.waiting import PATIENCE

StartDaemon = Callable[..., DaemonProcess]
NOTES = 12
TWO_MINUTES = 6
"""Tries after which the pauses have taken 122 s."""


@pytest.mark.parametrize("tries", [1, pytest.param(TWO_MINUTES, marks=pytest.mark.slow("an engine sick for 122 s"))])
async def test_no_request_uses_up_its_tries_on_a_sick_worker(
    start_daemon: StartDaemon, broker: Broker, tmp_path: Path, tries: int
) -> None:
    """No dead letter, every request answered, and at most one try of it spent: before the breaker opened."""
    sick = tmp_path / "sick"
    daemon = start_daemon(sick=str(sick), slots="1").wait_ready()
    sick.touch()
    audio = base64.b64encode(note(text=GROCERIES).path.read_bytes()).decode()
    for number in range(NOTES):
        body = json.dumps({"audio": audio}) + " " * number
        broker.publish(
            "stt.requests", body.encode(), content_type="application/json", message_id=f"m-{number}", delivery_mode=2
        )
    daemon.wait_log("breaker_open")

    status, why = daemon.get("/readyz")
    assert (status, json.loads(why)["checks"]["breaker"]) == (
        503,
        {
            "ok": False,
            "reason": "5 different requests in a row failed, the last with model_error; one at a time is tried",
        },
    )
    assert daemon.metric("sttd_breaker_open") == 1
    await wait_until(lambda: len(daemon.lines("breaker_try")) >= tries, 2 * PATIENCE)
    sick.unlink()
    await wait_until(lambda: broker.depth("stt.replies") == NOTES, 2 * PATIENCE)

    answers = [message.json() for message in broker.take("stt.replies", NOTES)]
    assert {answer["message_id"] for answer in answers} == {f"m-{number}" for number in range(NOTES)}
    assert all(spoken(answer["text"]) == spoken(GROCERIES) for answer in answers)
    assert {answer["attempt"] for answer in answers} == {1, 2}
    assert broker.depth("stt.dead") == 0
    assert daemon.ready()
    assert daemon.metric("sttd_breaker_open") == 0
