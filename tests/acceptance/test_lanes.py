"""Two lanes full at once: interactive notes keep their time, bulk notes still move."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from tests.support.broker import Broker
from tests.support.daemon import DaemonProcess
from tests.support.notes import short_notes
from tests.support.rpc import Rpc

NOTES = int(os.environ.get("LANES_NOTES", "30"))
"""Interactive notes each way. More give steadier figures: LANES_NOTES=100 is what docs/scheduling.md shows."""

AT_ONCE = 8  # the prefetch of two slots: the interactive lane is never empty
SECONDS = 240


@dataclass
class Seen:
    """What came back while interactive notes were sent."""

    took: list[float] = field(default_factory=list)
    bulk: int = 0

    def within(self, share: float) -> float:
        """Seconds from publish to answer for this share of the notes."""
        return sorted(self.took)[int(share * len(self.took))]

    def __str__(self) -> str:
        """One line of figures."""
        return f"{len(self.took)} notes, p50 {self.within(0.5):.2f} s, p95 {self.within(0.95):.2f} s, meanwhile {self.bulk} of bulk"


def send(client: Rpc, name: str, number: int, queue: str) -> None:
    """One short note."""
    notes = short_notes()
    note = notes[number % len(notes)]
    client.send(note.path.read_bytes(), queue=queue, correlation_id=name, headers={"stt-language": note.language})


def interactive(client: Rpc) -> Seen:
    """Keep `AT_ONCE` notes on their way until `NOTES` are answered; count bulk answers that come in between."""
    seen, numbers, sent = Seen(), count(), dict[str, float]()

    def send_next() -> None:
        number = next(numbers)
        sent[f"i-{number}"] = time.monotonic()
        send(client, f"i-{number}", number, "stt.requests")

    for _ in range(AT_ONCE):
        send_next()
    read, end = len(client.answers), time.monotonic() + SECONDS
    while len(seen.took) < NOTES:
        assert time.monotonic() < end, f"{seen.took}"
        client.collect(read + 1, SECONDS)
        for answer in client.answers[read:]:
            name = answer.properties.correlation_id
            if name in sent:
                seen.took.append(time.monotonic() - sent[name])
                send_next()
            else:
                seen.bulk += 1
        read = len(client.answers)
    client.collect(read + AT_ONCE, SECONDS)
    return seen


@pytest.mark.timeout(2 * SECONDS)
def test_with_both_lanes_full_interactive_keeps_its_time_and_bulk_moves(start_daemon: Any, broker: Broker) -> None:
    """Every tenth start is bulk's: a backfill of a week neither delays people nor stands still."""
    daemon: DaemonProcess = start_daemon(slots="2").wait_ready()
    with Rpc(broker.amqp_url) as client:
        interactive(client)  # caches, arenas, the first collector runs
        alone = interactive(client)
        for number in range(NOTES // 2):
            send(client, f"b-{number}", number, "stt.requests.bulk")
        client.flush()
        both = interactive(client)
    print(f"interactive alone: {alone}\nboth lanes full: {both}")  # noqa: T201 - figures for whoever runs it with -s
    assert broker.depth("stt.requests.bulk") > 0, "bulk was not full to the end"
    assert NOTES / 20 <= both.bulk <= NOTES / 4
    assert both.within(0.5) < 2 * alone.within(
        0.5
    )  # p95 of so few notes on a busy machine tells nothing; it is printed
    assert daemon.metric("sttd_requests_received_total", lane="bulk") >= both.bulk
