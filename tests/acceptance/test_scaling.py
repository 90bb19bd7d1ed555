"""Many consumers, one queue; and what `sttd size` measures before it gives a number."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sttd.commands.size.measure import measure
from sttd.consumer.settings import Settings
from sttd.sizing import profile as profiles
from tests.support.broker import Broker
from tests.support.daemon import DaemonProcess
from tests.support.notes import short_notes, spoken
from tests.support.rpc import Rpc

pytestmark = pytest.mark.slow("several daemons, and measurements")

NOTES = 24
PREFETCH = 4  # notes in hand for one slot


def test_two_consumers_share_one_queue_and_none_starves(start_daemon: Any, broker: Broker) -> None:
    """RabbitMQ hands notes out by turns: each worker answers its share, each note is answered once and rightly."""
    daemons: list[DaemonProcess] = [start_daemon(slots="1", worker=f"w{number}") for number in range(2)]
    for daemon in daemons:
        daemon.wait_ready()
    expected = {}
    with Rpc(broker.amqp_url) as client:
        for number in range(NOTES):
            sample = short_notes()[number % len(short_notes())]
            expected[str(number)] = spoken(sample.text)
            client.send(sample.path.read_bytes(), correlation_id=str(number), headers={"stt-language": sample.language})
        answers = client.collect(NOTES)
    assert {answer.properties.correlation_id: spoken(answer.body["text"]) for answer in answers} == expected
    shares = Counter(answer.body["worker"] for answer in answers)
    assert shares.keys() == {"w0", "w1"}
    assert min(shares.values()) >= PREFETCH, shares  # each was given so many at once, however slow it is
    assert broker.depth("stt.requests") == 0


async def test_a_machine_is_measured_and_the_profile_can_be_kept(tmp_path: Path) -> None:
    """One row for each length, a note costs something in decoder and engine, and the saved file has the same figures.

    That ten seconds cost more than three is not asserted: both are one window, and a busy machine may well measure the
    opposite.
    """
    told: list[str] = []
    found = await measure(Settings(model="demo", slots=1), lengths=(3.0, 10.0), rounds=1, tell=told.append)
    assert [row.seconds for row in found.rows] == [3.0, 10.0]
    assert all(min(row.decode, row.engine, row.wall) > 0 for row in found.rows)
    assert (found.model, found.slots) == ("demo", 1)
    assert told[0] == "timing the decoder"
    found.save(tmp_path / "here.json")
    assert profiles.load(tmp_path / "here.json") == found
