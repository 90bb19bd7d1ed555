"""One caller floods the queue, another sends a few notes: real broker, real daemon (issue 18).

How long the other waits meanwhile: `python -m bench scenario callers`.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.broker import Broker
from tests.support.daemon import DaemonProcess
from tests.support.notes import short_notes
from tests.support.rpc import Rpc

FLOOD = 60
FEW = 3


@pytest.mark.slow("a flood through the model")
def test_beside_a_flood_another_caller_is_served_and_each_note_is_answered_once(
    start_daemon: Any, broker: Broker
) -> None:
    """The flood is queued first; without turns the others would be the last."""
    daemon: DaemonProcess = start_daemon(slots="1", prefetch="8").wait_ready()
    assert daemon.stop() == 0  # the queues are there
    notes = short_notes()
    with Rpc(broker.amqp_url) as client:
        for number in range(FLOOD + FEW):
            note, caller = notes[number % len(notes)], "many" if number < FLOOD else "few"
            headers = {"stt-language": note.language, "stt-caller": caller}
            client.send(note.path.read_bytes(), correlation_id=f"{caller}-{number}", headers=headers)
        client.flush()
        second: DaemonProcess = start_daemon(slots="1", prefetch="8").wait_ready()
        order = [answer.properties.correlation_id for answer in client.collect(FLOOD + FEW, 300)]
    assert len(set(order)) == FLOOD + FEW
    assert max(place for place, name in enumerate(order) if name.startswith("few")) < FLOOD / 2, order
    assert second.counted("sttd_requests_finished_total", outcome="moved", code="ok") > FLOOD / 2
    assert second.counted("sttd_requests_received_total", lane="overflow") > FLOOD / 2
    assert broker.depth("stt.requests.overflow") == broker.depth("stt.dead") == 0
