"""Cancelling, streaming, and the blocking twin against a real RabbitMQ: work without a caller ends."""

import asyncio
import logging
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any

import pytest
from aio_pika.abc import AbstractIncomingMessage

from sttd import BlockingClient, Client, errors
from sttd.schemas.reply import Progress, Transcript
from tests.support.broker import Broker, wait_until
from tests.support.fake_daemon import FakeDaemon, control, progress, silent, transcript
from tests.support.waiting import BRIEFLY


async def halfway(daemon: FakeDaemon, message: AbstractIncomingMessage) -> None:
    """Report progress; answer unless the note is `endless`."""
    for fraction in (0.25, 0.75):
        await daemon.reply(message, progress(message, fraction))
    if message.body == b"endless":
        await asyncio.Event().wait()
    await daemon.reply(message, transcript(message))


async def test_a_cancelled_call_cancels_its_request_and_no_other(broker: Broker) -> None:
    """A user left: the daemon gets the request's own id; the calls beside it go on."""
    async with (
        control(broker.amqp_url) as heard,
        FakeDaemon(broker.amqp_url, silent) as daemon,
        Client(broker.amqp_url) as client,
    ):
        calls = [asyncio.create_task(client.transcribe(f"note {n}".encode(), message_id=f"id-{n}")) for n in range(3)]
        for _ in calls:
            await daemon.arrived.acquire()
        calls[1].cancel()
        with pytest.raises(asyncio.CancelledError):
            await calls[1]
        await wait_until(lambda: heard == ["id-1"])
        assert "2 in flight" in repr(client)
        await client.close()
        assert {type(error) for error in await asyncio.gather(*calls, return_exceptions=True)} == {
            errors.ClientClosed,
            asyncio.CancelledError,
        }
        await wait_until(lambda: sorted(heard) == ["id-0", "id-1", "id-2"])


async def test_calls_that_are_cancelled_while_the_broker_returns_their_requests_cost_no_connection(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    """One unroutable request ends a group of calls: the returns of the others meet their cancels in the same moment."""

    async def five_together(client: Client) -> None:
        async with asyncio.TaskGroup() as group:
            for n in range(5):
                group.create_task(client.transcribe(f"note {n}".encode()))

    async with Client(broker.amqp_url) as client:
        for _ in range(30):
            with pytest.raises(ExceptionGroup):
                await five_together(client)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("error", [ZeroDivisionError, TimeoutError, errors.WrongArgument])
async def test_a_call_whose_progress_fails_cancels_its_request(error: type[Exception], broker: Broker) -> None:
    """The call ends with the callback's own error, and nobody waits for the text any more."""

    def failing(_update: Progress) -> Any:
        if error is errors.WrongArgument:
            return asyncio.sleep(0)  # as a lambda around an async call does
        raise error

    async with (
        control(broker.amqp_url) as heard,
        FakeDaemon(broker.amqp_url, halfway),
        Client(broker.amqp_url) as client,
    ):
        with pytest.raises(error) as raised:
            await client.transcribe(b"endless", message_id="failing", on_progress=failing)
        assert type(raised.value) is error
        await wait_until(lambda: heard == ["failing"])


async def test_a_call_that_times_out_cancels_its_request(broker: Broker) -> None:
    """The deadline stops a daemon whose clock agrees; the cancel stops any."""
    async with (
        control(broker.amqp_url) as heard,
        FakeDaemon(broker.amqp_url, silent),
        Client(broker.amqp_url) as client,
    ):
        with pytest.raises(errors.ReplyTimeout):
            await client.transcribe(b"note", timeout=BRIEFLY, message_id="slow")
        await wait_until(lambda: heard == ["slow"])


async def test_a_request_is_cancelled_by_its_id_and_its_call_told_at_once(broker: Broker) -> None:
    """The stop button of a bot has an id, not a task; ids of other clients' requests are passed on too."""
    async with (
        control(broker.amqp_url) as heard,
        FakeDaemon(broker.amqp_url, silent) as daemon,
        Client(broker.amqp_url) as client,
    ):
        call = asyncio.create_task(client.transcribe(b"note", message_id="mine"))
        await daemon.arrived.acquire()
        await client.cancel("mine")
        await client.cancel("somebody else's")
        with pytest.raises(errors.Cancelled) as caught:
            await call
        assert (caught.value.code, caught.value.message_id) == ("cancelled", "mine")
        await wait_until(lambda: heard == ["mine", "somebody else's"])


async def test_a_message_id_that_is_in_flight_is_refused(broker: Broker) -> None:
    """One answer cannot go to two calls; the first keeps waiting for it."""
    async with FakeDaemon(broker.amqp_url, halfway), Client(broker.amqp_url) as client:
        first = asyncio.create_task(client.transcribe(b"first", message_id="same"))
        await asyncio.sleep(0)
        with pytest.raises(errors.BadRequest, match="in flight"):
            await client.transcribe(b"second", message_id="same")
        assert (await first).text == "first"
        assert (await client.transcribe(b"third", message_id="same")).text == "third"


async def test_a_cancel_that_the_broker_refuses_harms_no_request(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    """A missing exchange or permission closes a channel, but not the one of the requests; it is logged once."""
    least = broker.add_user(
        f"{broker.user}-bot", "x", configure=r"^sttd\.client\.", write=r"^amq\.default$", read=r"^sttd\.client\."
    )
    async with Client(broker.amqp_url) as early:
        with pytest.raises(errors.NotServed, match=r"stt\.control does not exist"):
            await early.cancel("any")
    async with FakeDaemon(broker.amqp_url, halfway) as daemon, Client(least) as client:
        async with control(broker.amqp_url):
            pass
        with pytest.raises(errors.BrokerUnavailable, match=r"write permission for stt\.control"):
            await client.cancel("any")
        with caplog.at_level(logging.WARNING, logger="sttd"):
            for _ in range(2):
                call = asyncio.create_task(client.transcribe(b"endless"))
                await daemon.arrived.acquire()
                call.cancel()
                await asyncio.gather(call, return_exceptions=True)
                await wait_until(lambda: client._control._courtesy is not None and client._control._courtesy.done())
        assert len(caplog.records) == 1
        assert client.connected
        assert (await client.transcribe(b"another")).text == "another"


async def test_progress_is_an_iterator_whose_last_item_is_the_transcript(broker: Broker) -> None:
    """`async for` is all that a bot needs to edit its message while the note is worked on."""
    async with FakeDaemon(broker.amqp_url, halfway), Client(broker.amqp_url) as client:
        updates = [update async for update in client.stream(b"note", language="en")]
    assert [update.fraction for update in updates if isinstance(update, Progress)] == [0.25, 0.75]
    assert isinstance(updates[-1], Transcript)
    assert updates[-1].text == "note"


async def test_a_stream_that_is_left_cancels_its_request_and_a_failing_one_raises(broker: Broker) -> None:
    """Without an iteration and a waiting call the daemon gets a cancel. Errors are those of `transcribe`."""
    async with (
        control(broker.amqp_url) as heard,
        FakeDaemon(broker.amqp_url, halfway),
        Client(broker.amqp_url) as client,
    ):
        async with aclosing(client.stream(b"endless", message_id="left")) as updates:
            async for update in updates:
                assert isinstance(update, Progress)
                break
        await wait_until(lambda: heard == ["left"])
        with pytest.raises(errors.BadRequest, match="language"):
            await anext(client.stream(b"note", language="klingon"))
        assert "0 in flight" in repr(client)


async def test_the_blocking_client_serves_any_number_of_threads(broker: Broker) -> None:
    """A `requests`-style bot has threads; each gets its own answer, over one connection."""

    def bot() -> tuple[list[str], list[Progress | Transcript]]:
        with BlockingClient(broker.amqp_url) as client, ThreadPoolExecutor(20) as pool:
            texts = [answer.text for answer in pool.map(client.transcribe, [f"note {n}".encode() for n in range(100)])]
            assert "100 answered" in repr(client)
            assert repr(client).startswith("<BlockingClient")
            return texts, list(client.stream(b"streamed"))

    async with FakeDaemon(broker.amqp_url, halfway):
        texts, updates = await asyncio.to_thread(bot)
    assert texts == [f"note {n}" for n in range(100)]
    assert [type(update) for update in updates] == [Progress, Progress, Transcript]


async def test_closing_the_blocking_client_ends_the_threads_that_wait(broker: Broker) -> None:
    """A bot that shuts down must not hang on its own requests, and leaves no thread."""
    outcomes: list[BaseException] = []

    def wait(client: BlockingClient) -> None:
        try:
            client.transcribe(b"note", message_id="waiting")
        except errors.SttdClientError as error:
            outcomes.append(error)

    async with control(broker.amqp_url) as heard, FakeDaemon(broker.amqp_url, silent) as daemon:
        client = BlockingClient(broker.amqp_url)
        await asyncio.to_thread(client.open)
        waiting = asyncio.create_task(asyncio.to_thread(wait, client))
        await daemon.arrived.acquire()
        await asyncio.to_thread(client.close)
        await waiting
        await wait_until(lambda: heard == ["waiting"])
    assert [type(error) for error in outcomes] == [errors.ClientClosed]
    assert not [thread for thread in threading.enumerate() if thread.name == "sttd client"]
    client.close()
    with pytest.raises(errors.ClientClosed):
        client.transcribe(b"another")
    with pytest.raises(errors.ClientClosed, match="make a new one"):
        client.open()


@pytest.mark.parametrize("call", ["transcribe", "stream"])
async def test_ctrl_c_in_a_blocking_call_cancels_its_request(call: str, broker: Broker) -> None:
    """A script that is stopped leaves no daemon working for it, and ends."""
    program = (
        "import sys, sttd\nwith sttd.BlockingClient(sys.argv[1]) as client:\n"
        f"    list(client.{call}(b'note', message_id='stopped'))"
    )
    async with control(broker.amqp_url) as heard, FakeDaemon(broker.amqp_url, silent) as daemon:
        command = (sys.executable, "-c", program, broker.amqp_url)
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        await daemon.arrived.acquire()
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
        await wait_until(lambda: heard == ["stopped"])
    assert err.splitlines()[-1] == b"KeyboardInterrupt"
    assert b"RuntimeError" not in err


async def test_the_blocking_client_says_what_is_wrong_instead_of_hanging(broker: Broker, unused_tcp_port: int) -> None:
    """No broker, not opened, and a callback that calls back: each ends at once, with words."""

    def asking() -> None:
        with BlockingClient(broker.amqp_url) as client:

            def back(_update: Progress) -> None:
                client.transcribe(b"from within")

            with pytest.raises(RuntimeError, match="wait for itself"):
                client.transcribe(b"note", on_progress=back)
            with pytest.raises(errors.BadRequest):
                client.transcribe(b"note", beam_size=11)

    away = BlockingClient(f"amqp://guest:guest@127.0.0.1:{unused_tcp_port}/")
    with pytest.raises(errors.ClientClosed, match="with BlockingClient"):
        away.transcribe(b"note")
    for _ in range(2):
        with pytest.raises(errors.BrokerUnavailable):
            await asyncio.to_thread(away.open)
    away.close()
    async with FakeDaemon(broker.amqp_url, halfway):
        await asyncio.to_thread(asking)
