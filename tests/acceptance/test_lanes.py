"""Two lanes full at once: interactive notes go first, bulk notes still move.

How long interactive notes wait meanwhile: `python -m bench scenario lanes`.
"""

from typing import Any

import pytest

from tests.support.broker import Broker
from tests.support.daemon import DaemonProcess
from tests.support.notes import short_notes
from tests.support.rpc import Rpc

NOTES = 30  # in each lane; side by side, as many of one as of the other would be answered


@pytest.mark.slow("two full queues through the model")
def test_with_both_lanes_full_interactive_goes_first_and_bulk_moves(start_daemon: Any, broker: Broker) -> None:
    """Every tenth start is bulk's: a backfill of a week neither delays people nor stands still.

    All of them are queued before the daemon serves. A few more of bulk get their turn where the broker or the decoder
    is slow, and no interactive note waits for a slot.
    """
    daemon: DaemonProcess = start_daemon(slots="2").wait_ready()
    assert daemon.stop() == 0  # the queues are there
    notes = short_notes()
    with Rpc(broker.amqp_url) as client:
        for lane in ("stt.requests.bulk", "stt.requests"):
            for number in range(NOTES):
                note = notes[number % len(notes)]
                language = {"stt-language": note.language}
                client.send(note.path.read_bytes(), queue=lane, correlation_id=lane, headers=language)
        client.flush()
        second: DaemonProcess = start_daemon(slots="2").wait_ready()
        order: list[str] = []
        while order.count("stt.requests") < NOTES:
            order = [answer.properties.correlation_id for answer in client.collect(len(order) + 1)]
    assert 1 <= order.count("stt.requests.bulk") <= NOTES / 2, order
    assert second.metric("sttd_requests_received_total", lane="bulk") >= order.count("stt.requests.bulk")
