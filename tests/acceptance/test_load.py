"""Many notes at once: each answer belongs to its request, and the queue empties.

What it does to the memory: `python -m bench scenario memory`.
"""

from typing import Any

import pytest

from tests.support.broker import Broker
from tests.support.daemon import DaemonProcess
from tests.support.notes import short_notes, spoken
from tests.support.rpc import Rpc
from tests.support.waiting import PATIENCE

NOTES = 200


def _ask_for(count: int, client: Rpc) -> dict[str, list[str]]:
    """Send `count` notes in rotation; return the expected answer of each, by correlation id."""
    samples = short_notes()
    expected = {}
    for number in range(count):
        sample = samples[number % len(samples)]
        name = f"{sample.file}#{number}"
        expected[name] = spoken(sample.text)
        client.send(sample.path.read_bytes(), correlation_id=name, headers={"stt-language": sample.language})
    return expected


@pytest.mark.slow("200 notes through the model")
def test_200_notes_at_once_get_200_right_answers(start_daemon: Any, broker: Broker) -> None:
    """Nothing is lost, mixed up or kept when far more notes arrive than there are slots."""
    daemon: DaemonProcess = start_daemon(slots="2").wait_ready()
    with Rpc(broker.amqp_url) as client:
        expected = _ask_for(NOTES, client)
        answers = client.collect(NOTES, 5 * PATIENCE)

        heard = {answer.properties.correlation_id: spoken(answer.body["text"]) for answer in answers}
        assert heard == expected
        assert len({answer.properties.headers["stt-reply-id"] for answer in answers}) == NOTES
    assert broker.depth("stt.requests") == broker.depth("stt.dead") == broker.depth("stt.replies.dead") == 0
    assert daemon.counted("sttd_requests_finished_total", outcome="completed", code="ok") == NOTES
    assert daemon.counted("sttd_requests_received_total", lane="interactive") == NOTES
    assert daemon.counted("sttd_stage_duration_seconds_count", stage="total") == NOTES
    assert daemon.metric("sttd_requests_in_flight") == 0
