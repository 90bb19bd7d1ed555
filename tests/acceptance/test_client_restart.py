"""The client under load while the broker restarts: every call ends, in its own text or in a typed error."""

import asyncio
from collections import Counter

import pytest
from aio_pika.abc import AbstractIncomingMessage

from sttd import Client, errors
from tests.support.broker import Broker
from tests.support.fake_daemon import FakeDaemon, transcript

REQUESTS = 1000
TASKS = 50
WORKING_SECONDS = 0.1


@pytest.mark.slow("a broker that restarts")
async def test_a_thousand_requests_of_fifty_tasks_all_end_although_the_broker_restarts_in_the_middle(
    own_broker: Broker,
) -> None:
    """The text of each note is its own number, so that another's answer would show.

    A call that hangs fails the test by its time.
    """
    halfway, answered = asyncio.Event(), 0
    outcomes: Counter[str] = Counter()

    async def work(daemon: FakeDaemon, message: AbstractIncomingMessage) -> None:
        nonlocal answered
        await asyncio.sleep(WORKING_SECONDS)  # so that requests are queued, in hand and answered when the broker goes
        await daemon.reply(message, transcript(message))
        answered += 1
        if answered == REQUESTS // 2:
            halfway.set()

    async def bot(client: Client, number: int) -> None:
        for note in range(number, REQUESTS, TASKS):
            text = f"note {note}"
            try:
                answer = await client.transcribe(text.encode(), correlation_id=str(number))
            except errors.SttdClientError as error:
                outcomes[error.code] += 1
            else:
                outcomes["its own text" if answer.text == text else "another's text"] += 1

    async def restart() -> None:
        await halfway.wait()
        await asyncio.to_thread(own_broker.endpoint.restart)  # type: ignore[attr-defined] # own_node is a Node

    async with FakeDaemon(own_broker.amqp_url, work, confirmed=True), Client(own_broker.amqp_url) as client:
        await asyncio.gather(restart(), *(bot(client, number) for number in range(TASKS)))
        assert "0 in flight" in repr(client)
    assert outcomes.total() == REQUESTS
    assert outcomes["another's text"] == 0
    assert outcomes["its own text"] == REQUESTS, (
        outcomes
    )  # confirmed requests and durable answers outlive a restart of seconds
