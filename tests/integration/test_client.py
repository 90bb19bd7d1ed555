"""The client against a real RabbitMQ and a scripted daemon: right answers to the right calls, else typed errors."""

import asyncio
import io
import threading
from datetime import UTC, datetime, timedelta

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage

from sttd import Client, errors
from sttd.amqp import ClientLink
from sttd.schemas import names
from tests.support.broker import Broker, wait_until
from tests.support.fake_daemon import FakeDaemon, progress, silent, transcript
from tests.support.waiting import BRIEFLY, PATIENCE


def client_queues(broker: Broker) -> list[str]:
    """Reply queues of clients that are there now."""
    return [queue["name"] for queue in broker.queues() if queue["name"].startswith("sttd.client.")]


async def test_a_request_is_what_the_contract_says(broker: Broker) -> None:
    """Raw body, options in headers, persistent, a fresh message id, the time in seconds, the timeout as deadline."""
    async with FakeDaemon(broker.amqp_url) as daemon, Client(broker.amqp_url) as client:
        begun = datetime.now(UTC)
        answer = await client.transcribe(
            b"hello", timeout=30, correlation_id="mine", language="en", word_timestamps=True
        )
        ended = datetime.now(UTC)
        (request,) = daemon.seen
    assert answer.text == "hello"
    assert (answer.correlation_id, answer.message_id) == ("mine", request.message_id)
    assert request.delivery_mode is aio_pika.DeliveryMode.PERSISTENT
    assert request.timestamp is not None
    assert begun.replace(microsecond=0) <= request.timestamp.replace(tzinfo=UTC) <= ended
    assert {name: request.headers[name] for name in ("stt-language", "stt-word-timestamps")} == {
        "stt-language": "en",
        "stt-word-timestamps": "true",
    }
    deadline = datetime.fromisoformat(str(request.headers["stt-deadline"]))
    assert begun <= deadline - timedelta(seconds=30) <= ended
    assert request.content_type is None
    assert request.expiration is None


async def test_a_thousand_concurrent_calls_each_get_their_own_answer_and_leave_nothing_behind(broker: Broker) -> None:
    """One reply queue for all of them; every caller uses the same correlation id, and answers come back shuffled."""
    waiting: list[AbstractIncomingMessage] = []

    async def backwards(daemon: FakeDaemon, message: AbstractIncomingMessage) -> None:
        waiting.append(message)
        if len(waiting) == 50:
            batch, waiting[:] = waiting[::-1], []
            for held in batch:
                await daemon.reply(held, transcript(held))

    async with FakeDaemon(broker.amqp_url, backwards), Client(broker.amqp_url) as client:
        answers = await asyncio.gather(
            *(client.transcribe(f"note {n}".encode(), correlation_id="1") for n in range(1000))
        )
        assert "0 in flight, 1000 answered, 0 dropped" in repr(client)
        assert len(client_queues(broker)) == 1
    assert [answer.text for answer in answers] == [f"note {n}" for n in range(1000)]
    await wait_until(lambda: not client_queues(broker))


async def test_two_clients_with_equal_correlation_ids_get_their_own_answers(broker: Broker) -> None:
    """Many clients count 1, 2, 3; the reply queue keeps them apart."""
    async with FakeDaemon(broker.amqp_url), Client(broker.amqp_url) as one, Client(broker.amqp_url) as two:
        mine, yours = await asyncio.gather(
            one.transcribe(b"mine", correlation_id="1"), two.transcribe(b"yours", correlation_id="1")
        )
    assert (mine.text, yours.text) == ("mine", "yours")


async def test_duplicate_and_late_replies_are_dropped_and_counted(broker: Broker) -> None:
    """After a fault the daemon may answer twice, and an answer may come after its caller left."""

    async def script(daemon: FakeDaemon, message: AbstractIncomingMessage) -> None:
        if message.body == b"slow":
            await gave_up.wait()
        await daemon.reply(message, transcript(message))
        await daemon.reply(message, transcript(message, "a second answer"))

    gave_up = asyncio.Event()
    async with FakeDaemon(broker.amqp_url, script), Client(broker.amqp_url) as client:
        assert (await client.transcribe(b"quick")).text == "quick"
        with pytest.raises(errors.ReplyTimeout, match=f"{BRIEFLY:g} s"):
            await client.transcribe(b"slow", timeout=BRIEFLY)
        gave_up.set()
        await wait_until(lambda: (client.dropped.duplicate, client.dropped.late) == (1, 2))
        assert "3 dropped" in repr(client)


async def test_progress_arrives_before_the_answer(broker: Broker) -> None:
    """Asking for progress takes a callback and nothing else."""

    async def script(daemon: FakeDaemon, message: AbstractIncomingMessage) -> None:
        assert message.headers["stt-progress"] == "true"
        for fraction in (0.25, 0.75):
            await daemon.reply(message, progress(message, fraction))
        await daemon.reply(message, transcript(message))

    heard: list[float] = []
    async with FakeDaemon(broker.amqp_url, script), Client(broker.amqp_url) as client:
        await client.transcribe(b"note", on_progress=lambda told: heard.append(told.fraction))
    assert heard == [0.25, 0.75]


async def test_a_reply_that_is_no_reply_ends_the_call_with_a_clear_error(broker: Broker) -> None:
    """Something else may answer on the queue."""

    async def script(daemon: FakeDaemon, message: AbstractIncomingMessage) -> None:
        await daemon.reply(message, b"<html>")

    async with FakeDaemon(broker.amqp_url, script), Client(broker.amqp_url) as client:
        with pytest.raises(errors.BadReply, match="breaks the contract"):
            await client.transcribe(b"note")


async def test_a_missing_request_queue_is_said_at_once_and_with_the_next_step(broker: Broker) -> None:
    """The broker returns what it cannot route; no call waits five minutes for a daemon that was never there."""
    async with Client(broker.amqp_url) as client:
        with pytest.raises(errors.NotServed, match=r"stt\.requests does not exist .*sttd serve"):
            await client.transcribe(b"note")
        with pytest.raises(errors.NotServed, match=r"stt\.requests\.bulk"):
            await client.transcribe(b"note", queue=names.REQUESTS_BULK)
        assert "0 in flight" in repr(client)


async def test_a_user_who_may_not_look_is_told_so_and_may_ask_all_the_same(broker: Broker) -> None:
    """RabbitMQ 4.2.6 and later refuse a check without any permission on the queue.

    Earlier versions allow it to all users.
    """
    own = r"^sttd\.client\..*$"
    url = broker.add_user(f"blind-{broker.vhost}", "p", configure=own, write=r"^amq\.default$", read=own)

    async with FakeDaemon(broker.amqp_url), Client(url) as client:
        if broker.looks_are_free:
            assert (await client.queue_state()).consumers == 1
        else:
            with pytest.raises(errors.NotVisible, match=r"may not look at queue stt\.requests: .* such as write"):
                await client.queue_state()
        assert (await client.transcribe(b"note", timeout=20)).text


async def test_a_full_queue_is_not_a_timeout(broker: Broker) -> None:
    """With reject-publish the broker nacks: the caller may try again later, and nothing was queued."""
    full = {"x-max-length": 1, "x-overflow": "reject-publish"}
    async with FakeDaemon(broker.amqp_url, queue="full", arguments=full):
        pass
    broker.publish("full", b"one fits")
    async with Client(broker.amqp_url, queue="full") as client:
        with pytest.raises(errors.QueueFull, match="try again later"):
            await client.transcribe(b"two do not")


async def test_the_queue_argument_chooses_the_lane(broker: Broker) -> None:
    """Backfills go to the bulk lane by one word."""
    async with FakeDaemon(broker.amqp_url, queue=names.REQUESTS_BULK) as bulk, Client(broker.amqp_url) as client:
        await client.transcribe(b"old note", queue=names.REQUESTS_BULK)
        assert [message.body for message in bulk.seen] == [b"old note"]


async def test_answers_arrive_although_the_broker_closed_every_connection_meanwhile(broker: Broker) -> None:
    """What was confirmed before a break is answered after it: the reply queue outlives the connection."""

    async def script(daemon: FakeDaemon, message: AbstractIncomingMessage) -> None:
        await restored.wait()
        await daemon.reply(message, transcript(message))

    restored = asyncio.Event()
    async with FakeDaemon(broker.amqp_url, script) as daemon, Client(broker.amqp_url) as client:
        calls = [asyncio.create_task(client.transcribe(f"note {n}".encode())) for n in range(20)]
        for _ in calls:
            await daemon.arrived.acquire()
        await wait_until(lambda: len(broker.connections()) >= 2)
        await asyncio.to_thread(broker.close_connections)
        await wait_until(lambda: not client.connected)
        during = asyncio.create_task(client.transcribe(b"asked during the break"))
        await wait_until(lambda: client.connected)
        restored.set()
        answers = await asyncio.gather(*calls, during)
    assert [answer.text for answer in answers] == [*(f"note {n}" for n in range(20)), "asked during the break"]
    await wait_until(lambda: not client_queues(broker))


@pytest.mark.slow("a broker that restarts")
async def test_a_request_confirmed_before_a_broker_restart_still_gets_its_answer(own_broker: Broker) -> None:
    """Request, reply queue and reply are all on the broker's disk."""
    url = own_broker.amqp_url
    async with Client(url) as client:
        async with FakeDaemon(url, silent) as absent:
            call = asyncio.create_task(client.transcribe(b"before the restart"))
            await absent.arrived.acquire()
        await asyncio.to_thread(own_broker.endpoint.stop)  # type: ignore[attr-defined] # own_node is a Node
        await wait_until(lambda: not client.connected)
        await asyncio.to_thread(own_broker.endpoint.start)  # type: ignore[attr-defined] # the same
        async with FakeDaemon(url):
            assert (await call).text == "before the restart"


async def test_a_reply_queue_that_somebody_deletes_is_made_again(broker: Broker) -> None:
    """The broker cancels the consumer; without care the client would listen to nothing for ever."""
    async with FakeDaemon(broker.amqp_url), Client(broker.amqp_url) as client:
        await client.transcribe(b"one")
        (queue,) = client_queues(broker)
        with broker.connect() as connection:
            connection.channel().queue_delete(queue)
        await wait_until(lambda: not client.connected)
        assert (await client.transcribe(b"two")).text == "two"


async def test_closing_fails_the_calls_that_wait(broker: Broker) -> None:
    """A bot that shuts down must not hang on its own requests."""
    async with FakeDaemon(broker.amqp_url, silent) as daemon, Client(broker.amqp_url) as client:
        call = asyncio.create_task(client.transcribe(b"note"))
        await daemon.arrived.acquire()
        await client.close()
        with pytest.raises(errors.ClientClosed):
            await call
        with pytest.raises(errors.ClientClosed):
            await client.transcribe(b"another")
        await client.close()
        assert "closed" in repr(client)


async def test_a_call_whose_file_is_read_while_the_client_closes_ends(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not among the calls that the close has failed: its request would be sent, and waited for in vain."""
    reading, go = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    class Slow(io.BytesIO):
        def read(self, *_: object) -> bytes:
            loop.call_soon_threadsafe(reading.set)
            assert go.wait(PATIENCE)
            return b"note"

    async with FakeDaemon(broker.amqp_url, silent) as daemon, Client(broker.amqp_url) as client:
        call = asyncio.create_task(client.transcribe(Slow()))
        await reading.wait()

        async def sending_cancels() -> None:
            go.set()
            arrived = asyncio.create_task(daemon.arrived.acquire())
            await asyncio.wait({call, arrived}, return_when=asyncio.FIRST_COMPLETED)
            arrived.cancel()

        monkeypatch.setattr(client._control, "close", sending_cancels)
        await client.close()
        with pytest.raises(errors.ClientClosed):
            await asyncio.wait_for(call, BRIEFLY)


async def test_opening_twice_makes_one_connection(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two handlers of a bot may find it closed at one time; a connection that nobody knows is never closed."""
    dialled, dial = [], ClientLink._dial

    async def counted(link: ClientLink) -> object:
        dialled.append(link)
        return await dial(link)

    monkeypatch.setattr(ClientLink, "_dial", counted)
    async with Client(broker.amqp_url) as client:
        await asyncio.gather(client.open(), client.open())
        assert len(dialled) == 1
    await client.open()  # after a close it is opened anew
    await client.close()
    assert len(dialled) == 2


async def test_a_connection_task_that_dies_fails_the_calls_instead_of_hanging_them(broker: Broker) -> None:
    """Only a bug ends it; then every call must get an error."""
    async with FakeDaemon(broker.amqp_url, silent) as daemon, Client(broker.amqp_url) as client:
        call = asyncio.create_task(client.transcribe(b"note"))
        await daemon.arrived.acquire()
        assert client._link._supervisor is not None
        client._link._supervisor.cancel()
        with pytest.raises(errors.ClientClosed, match="died"):
            await call
        with pytest.raises(errors.ClientClosed):
            await client.transcribe(b"another")


async def test_a_cancelled_call_leaves_no_trace_in_the_client(broker: Broker) -> None:
    """Bots cancel: a user left, a task group ended. The answer that still comes is dropped."""

    async def script(daemon: FakeDaemon, message: AbstractIncomingMessage) -> None:
        await cancelled.wait()
        await daemon.reply(message, transcript(message))

    cancelled = asyncio.Event()
    async with FakeDaemon(broker.amqp_url, script) as daemon, Client(broker.amqp_url) as client:
        call = asyncio.create_task(client.transcribe(b"note"))
        await daemon.arrived.acquire()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert "0 in flight" in repr(client)
        cancelled.set()
        await wait_until(lambda: client.dropped.late == 1)


async def test_a_broker_that_is_away_or_refuses_us_says_so_at_once(broker: Broker, unused_tcp_port: int) -> None:
    """Three mistakes in one URL, three different sentences, and never the password."""
    with pytest.raises(errors.BrokerUnavailable, match="is it running"):
        async with Client(f"amqp://bot:s3cret@127.0.0.1:{unused_tcp_port}/"):
            pass
    with pytest.raises(errors.BrokerUnavailable, match="refuses the user or the password") as refused:
        async with Client(broker.url_for(broker.user, "s3cret")):
            pass
    assert "s3cret" not in str(refused.value)
    with pytest.raises(errors.BrokerUnavailable, match="refuses the vhost"):
        async with Client(broker.amqp_url + "-missing"):
            pass


async def test_missing_permissions_are_named(broker: Broker) -> None:
    """An operator gives bots the least rights: the error names the missing line."""
    async with FakeDaemon(broker.amqp_url) as daemon:
        mute = broker.add_user(
            f"{broker.user}-mute", "x", configure=r"^sttd\.client\.", write="^$", read=r"^sttd\.client\."
        )
        async with Client(mute) as client:
            with pytest.raises(errors.BrokerUnavailable, match="may not publish"):
                await client.transcribe(b"note")
        least = broker.add_user(
            f"{broker.user}-bot", "x", configure=r"^sttd\.client\.", write=r"^amq\.default$", read=r"^sttd\.client\."
        )
        async with Client(least) as client:
            assert (await client.transcribe(b"note")).text == "note"
        nobody = broker.add_user(f"{broker.user}-no", "x", configure="^$", write="^$", read="^$")
        with pytest.raises(errors.BrokerUnavailable, match="needs configure, write and read"):
            async with Client(nobody):
                pass
        assert [message.body for message in daemon.seen] == [b"note"]


async def test_a_body_larger_than_the_broker_takes_fails_alone(broker: Broker) -> None:
    """The broker closes the whole channel for it; the other calls on that channel must not notice."""
    async with FakeDaemon(broker.amqp_url) as daemon, Client(broker.amqp_url) as client:
        giant = bytes(128 * 1024 * 1024 + 1)  # RabbitMQ 3.x: max_message_size is 128 MiB
        others = [asyncio.create_task(client.transcribe(f"note {n}".encode())) for n in range(10)]
        with pytest.raises(errors.RejectedAudio, match="max_message_size") as caught:
            await client.transcribe(giant)
        assert caught.value.code == "body_too_large"
        assert {answer.text for answer in await asyncio.gather(*others)} == {f"note {n}" for n in range(10)}
        assert {message.body for message in daemon.seen} == {f"note {n}".encode() for n in range(10)}


async def test_an_unconfirmed_request_is_not_called_a_late_answer(own_broker: Broker) -> None:
    """A frozen broker: the error shows that the request may not even be queued."""
    async with FakeDaemon(own_broker.amqp_url), Client(own_broker.amqp_url) as client:
        await client.transcribe(b"note")
        own_broker.endpoint.freeze()  # type: ignore[attr-defined] # own_node is a Node
        try:
            with pytest.raises(errors.BrokerUnavailable, match="did not confirm"):
                await client.transcribe(b"note", timeout=BRIEFLY)
        finally:
            own_broker.endpoint.thaw()  # type: ignore[attr-defined] # the same
