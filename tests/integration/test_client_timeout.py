"""A call without an answer, or without its audio, says why; and the bot's log holds no line of the library."""

import asyncio
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sttd import BlockingClient, Client, errors
from tests.support.broker import Broker, wait_until
from tests.support.fake_daemon import FakeDaemon, silent
from tests.support.waiting import BRIEFLY, PATIENCE
from tools.rabbitmq import Node


async def test_a_timeout_without_a_daemon_says_that_none_serves_the_queue(broker: Broker) -> None:
    """The commonest mistake of the first hour: the bot runs and the daemon does not."""
    async with FakeDaemon(broker.amqp_url):
        pass  # it has declared the queue
    async with Client(broker.amqp_url) as client:
        with pytest.raises(errors.ReplyTimeout, match=r"no daemon serves stt\.requests.*sttd serve"):
            await client.transcribe(b"note", timeout=BRIEFLY)


async def test_a_timeout_while_a_daemon_works_says_that_the_note_is_at_work(broker: Broker) -> None:
    """Then nothing is broken: the note needs a longer timeout."""
    async with FakeDaemon(broker.amqp_url, silent), Client(broker.amqp_url) as client:
        with pytest.raises(errors.ReplyTimeout, match=r"1 daemon serves stt\.requests.*longer timeout"):
            await client.transcribe(b"note", timeout=BRIEFLY)


@pytest.fixture
def silent_pipe(tmp_path: Path) -> Iterator[Path]:
    """A pipe that nobody writes to: like a network mount that stands still it gives nothing, and no error."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    yield pipe
    os.close(os.open(pipe, os.O_RDWR))  # what still reads comes to an end


async def test_the_timeout_ends_a_call_whose_file_does_not_end(broker: Broker, silent_pipe: Path) -> None:
    """It is the time of the whole call; a pipe without a writer was read for ever."""
    async with Client(broker.amqp_url) as client:
        with pytest.raises(TimeoutError, match=r"not read to its end within 0\.1 s: a pipe .* longer timeout"):
            await client.transcribe(silent_pipe, timeout=0.1)


def test_a_blocking_client_can_be_closed_while_a_file_is_still_read(broker: Broker, silent_pipe: Path) -> None:
    """Its event loop waited at its end for the thread that reads."""
    with BlockingClient(broker.amqp_url) as client, pytest.raises(TimeoutError, match="not read to its end"):
        client.transcribe(silent_pipe, timeout=0.1)


async def test_the_time_of_the_reading_counts(broker: Broker, silent_pipe: Path) -> None:
    """The daemon must not work for a call that has ended: its deadline begins with the call, not with the sending."""
    async with FakeDaemon(broker.amqp_url, silent) as daemon, Client(broker.amqp_url) as client:
        begun = datetime.now(UTC)
        call = asyncio.create_task(client.transcribe(silent_pipe, timeout=PATIENCE))
        await asyncio.sleep(0)  # the call begins
        ended = datetime.now(UTC)
        await asyncio.to_thread(silent_pipe.write_bytes, b"note")
        await daemon.arrived.acquire()
        call.cancel()
    (request,) = daemon.seen
    deadline = datetime.fromisoformat(str(request.headers["stt-deadline"]))
    assert begun <= deadline - timedelta(seconds=PATIENCE) <= ended


@pytest.mark.slow("a broker that stops, and a timeout that outlives its stop")
async def test_a_timeout_while_the_broker_is_away_says_for_how_long(
    own_broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    """And the log says it once, in the client's words: no traceback, no line of aiormq."""
    caplog.set_level(logging.INFO)
    async with Client(own_broker.amqp_url) as client:
        async with FakeDaemon(own_broker.amqp_url, silent) as absent:
            call = asyncio.create_task(client.transcribe(b"note", timeout=20))
            await absent.arrived.acquire()
        caplog.clear()
        await asyncio.to_thread(own_broker.endpoint.stop)  # type: ignore[attr-defined] # own_node is a Node
        await wait_until(lambda: not client.connected)
        with pytest.raises(errors.ReplyTimeout, match=r"the broker has been away for \d+ s: "):
            await call
    assert {record.name for record in caplog.records} == {"sttd.amqp"}
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.slow("a broker with a memory alarm")
async def test_a_broker_with_an_alarm_is_named_by_calls_and_looks(own_broker: Broker, own_node: Node) -> None:
    """It answers heartbeats and takes nothing: "does not answer" would send the operator to the network.

    Of the calls that end meanwhile only those are published after it that met the alarm first.
    """
    async with FakeDaemon(own_broker.amqp_url) as daemon, Client(own_broker.amqp_url) as client:
        assert (await client.queue_state()).consumers == 1
        own_node.rabbitmqctl("set_vm_memory_high_watermark", "0.00001")
        try:
            with pytest.raises(errors.BrokerUnavailable, match="memory or disk alarm"):
                await client.transcribe(b"note", timeout=5)
            with pytest.raises(errors.BrokerBlocked, match="rabbitmqctl status"):
                await client.queue_state()
            for _ in range(3):
                with pytest.raises(errors.BrokerUnavailable, match="memory or disk alarm"):
                    await client.transcribe(b"given up", timeout=BRIEFLY)
        finally:
            own_node.rabbitmqctl("set_vm_memory_high_watermark", "0.4")
        assert (await client.transcribe(b"after it", timeout=60)).text == "after it"
    assert b"given up" not in {message.body for message in daemon.seen}
