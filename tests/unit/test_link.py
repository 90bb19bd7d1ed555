"""One connection, kept up: what counts as a loss, how long it waits, when it gives up.

With real sockets that are no broker.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from aio_pika.abc import AbstractConnection
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from sttd.consumer.bus.link import BACKOFF_CAP, BACKOFF_FIRST, CLOSE_SECONDS, CONNECT_SECONDS, Link, Loss, backoff
from sttd.consumer.errors import TopologyMismatch
from sttd.service.broker_address import TURN_SECONDS
from tests.support.fakes import Watcher

pytestmark = pytest.mark.virtual_time

SECRET = "hunter2"


@asynccontextmanager
async def deaf_server() -> AsyncIterator[int]:
    """A port where a server listens and never answers."""
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _reader, writer: writers.append(writer), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()


async def free_port() -> int:
    """A port where no server listens."""
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


def link_to(port: int, watcher: Watcher) -> Link:
    """A link to a port, with a password in its URL."""
    return Link("consume", SecretStr(f"amqp://user:{SECRET}@127.0.0.1:{port}/"), "worker-1", watcher)


async def never(_connection: AbstractConnection, _loss: Loss) -> None:
    """A session that must not begin."""
    raise AssertionError("no connection, no session")


def link_to_several(watcher: Watcher, *ports: int) -> Link:
    """A link to several nodes."""
    return Link("consume", SecretStr(",".join(f"amqp://127.0.0.1:{port}/" for port in ports)), "worker-1", watcher)


async def told_of(port: int, times: int) -> Watcher:
    """Run a link until it has reported so many losses."""
    watcher, ended = Watcher(), asyncio.Event()
    running = asyncio.create_task(link_to(port, watcher).run(never, ended.set))
    await watcher.until(lambda: len(watcher.losses("consume")) >= times)
    running.cancel()
    await asyncio.wait({running})
    assert running.cancelled()
    assert not ended.is_set()
    return watcher


async def test_a_broker_that_is_not_there_is_tried_again_and_again() -> None:
    """The daemon may start before the broker, and never gives up by itself."""
    watcher = await told_of(await free_port(), times=3)

    assert all("Connect" in reason for reason in watcher.losses("consume"))
    assert SECRET not in repr(watcher.told)


async def test_a_port_that_never_answers_is_given_up_in_time() -> None:
    """A frozen broker accepts connections and never answers."""
    async with deaf_server() as port:
        watcher = await told_of(port, times=2)

    assert all("no answer in time" in reason for reason in watcher.losses("consume"))


class Connection:
    """As much of a connection as a link itself touches."""

    def __init__(self) -> None:
        self.close_callbacks: set[object] = set()
        self.closed = 0

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Connection:
    """What every attempt to connect gets."""
    made = Connection()

    async def connect(_link: Link, _seconds: float) -> Connection:
        return made

    monkeypatch.setattr(Link, "_connect", connect)
    return made


@pytest.mark.parametrize(
    "error", [Exception(), asyncio.CancelledError(), ConnectionResetError("reset"), TimeoutError()]
)
async def test_a_connection_lost_while_its_session_begins_is_tried_again(
    error: BaseException, connection: Connection
) -> None:
    """The library fails what is in flight with many kinds of exceptions: none may end the daemon (aiormq 7.2)."""
    watcher = Watcher()
    ended: list[int] = []

    async def session(_connection: AbstractConnection, loss: Loss) -> None:
        if not ended:
            raise error
        loss.report("enough")

    running = asyncio.create_task(link_to(1, watcher).run(session, lambda: ended.append(1)))
    await watcher.until(lambda: watcher.connects("consume") == 1 and len(watcher.losses("consume")) == 2)
    running.cancel()
    await asyncio.wait({running})

    assert running.cancelled()
    assert watcher.losses("consume")[1] == "enough"
    assert len(ended) == connection.closed >= 2


async def begun_on_the_second_try(link: Link, watcher: Watcher, seconds: float) -> float:
    """Run a link whose first session takes so long; return the time at which one has begun."""
    tries: list[int] = []

    async def session(_connection: AbstractConnection, _loss: Loss) -> None:
        tries.append(1)
        if len(tries) == 1:
            await asyncio.sleep(seconds)

    running = asyncio.create_task(link.run(session, lambda: None))
    await watcher.until(lambda: watcher.connects("consume") == 1)
    running.cancel()
    await asyncio.wait({running})
    return asyncio.get_running_loop().time()


async def test_a_node_that_lets_nobody_begin_is_left_for_another(connection: Connection) -> None:
    """One that is cut off from the others accepts a connection, and its queues cannot be used (issue 13)."""
    watcher = Watcher()

    assert await begun_on_the_second_try(link_to_several(watcher, 1, 2, 3), watcher, 3600) < CONNECT_SECONDS
    assert connection.closed == 2


async def test_a_node_that_stands_still_is_left_before_a_well_one_would_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """It accepts a connection and says nothing; a well one answers at once, and may have leaders to replace then."""
    given: list[float] = []

    async def connect(_link: Link, seconds: float) -> Connection:
        given.append(seconds)
        if len(given) == 1:
            await asyncio.sleep(seconds)
            raise TimeoutError
        return Connection()

    async def idle(_connection: AbstractConnection, _loss: Loss) -> None:
        """Nothing to set up."""

    monkeypatch.setattr(Link, "_connect", connect)
    watcher = Watcher()
    running = asyncio.create_task(link_to_several(watcher, 1, 2).run(idle, lambda: None))
    await watcher.until(lambda: watcher.connects("consume") == 1)
    running.cancel()
    await asyncio.wait({running})

    assert given == [TURN_SECONDS / 2] * 2


@pytest.mark.parametrize("nodes", [1, 2])
async def test_no_time_is_spent_on_a_lost_connection_where_there_is_another_node(
    nodes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that stands still never answers the close: that takes 3 s, and the notes are elsewhere by then."""
    watcher, losses = Watcher(), list[Loss]()

    class Silent(Connection):
        async def close(self) -> None:
            await asyncio.sleep(3600)

    async def connect(_link: Link, _seconds: float) -> Connection:
        return Silent()

    async def session(_connection: AbstractConnection, loss: Loss) -> None:
        losses.append(loss)

    monkeypatch.setattr(Link, "_connect", connect)
    running = asyncio.create_task(link_to_several(watcher, *range(1, 1 + nodes)).run(session, lambda: None))
    await watcher.until(lambda: watcher.connects("consume") == 1)
    losses[0].report("lost")
    await watcher.until(lambda: watcher.connects("consume") == 2)
    virtual = asyncio.get_running_loop().time()
    running.cancel()
    await asyncio.wait({running})

    assert (virtual < CLOSE_SECONDS) is (nodes > 1)


async def test_a_single_node_may_take_its_time(connection: Connection) -> None:
    """There is no better one: a set-up that is given up and begun again would only take longer."""
    watcher = Watcher()

    assert await begun_on_the_second_try(link_to(1, watcher), watcher, 100) == 100
    assert not watcher.losses("consume")


@pytest.mark.usefixtures("connection")
async def test_slow_nodes_get_more_time_in_each_round() -> None:
    """A cluster under load is slow on every node; too little time for all of them would keep the daemon away."""
    watcher = Watcher()

    async def session(_connection: AbstractConnection, _loss: Loss) -> None:
        await asyncio.sleep(3 * TURN_SECONDS)

    running = asyncio.create_task(link_to_several(watcher, 1, 2).run(session, lambda: None))
    await watcher.until(lambda: watcher.connects("consume") == 1)
    running.cancel()
    await asyncio.wait({running})

    assert len(watcher.losses("consume")) == 4


async def test_all_nodes_are_tried_before_the_long_pause() -> None:
    """The one that lives must not wait for the pauses of those that are dead."""
    watcher, moments = Watcher(), list[float]()
    ports = [await free_port() for _ in range(3)]
    running = asyncio.create_task(link_to_several(watcher, *ports).run(never, lambda: None))
    while len(moments) < 30:
        await watcher.until(lambda: len(watcher.losses("consume")) > len(moments))
        moments.append(asyncio.get_running_loop().time())
    running.cancel()
    await asyncio.wait({running})

    pauses = [later - sooner for sooner, later in pairwise(moments)]
    assert all(pause <= BACKOFF_FIRST for number, pause in enumerate(pauses, 1) if number % 3)
    assert pauses[26] >= BACKOFF_CAP / 2


async def test_what_a_person_has_to_change_ends_the_link(connection: Connection) -> None:
    """Other arguments of a queue stay other arguments: an error that names them, never a reconnect loop."""

    async def session(_connection: AbstractConnection, _loss: Loss) -> None:
        raise TopologyMismatch("queue x exists with other arguments")

    with pytest.raises(TopologyMismatch):
        await link_to(1, Watcher()).run(session, lambda: None)

    assert connection.closed == 1


async def test_the_first_reason_of_a_loss_is_the_one_that_is_told() -> None:
    """Later ones are its consequences: a closed channel, after the connection went."""
    loss = Loss()
    assert not loss.happened

    loss.on_close("connection")(None, ConnectionError("reset by peer"))
    loss.on_close("channel")(None, None)

    assert loss.happened
    assert await loss.wait() == "lost the connection to RabbitMQ (reset by peer)"
    assert await loss.wait() == "lost the connection to RabbitMQ (reset by peer)"


async def test_a_question_without_an_answer_is_told_in_words() -> None:
    """The reason is on `/readyz` and in the log; it was `TimeoutError()`."""

    async def asking() -> None:
        raise TimeoutError

    loss = Loss()
    loss.watch(asking(), "the watch over the consumer")
    assert await loss.wait() == "the watch over the consumer ended: no answer in time"


async def test_waiting_for_a_loss_may_be_cancelled() -> None:
    """The end of the daemon cancels the wait; the loss itself must survive it."""
    loss = Loss()
    waiting = asyncio.create_task(loss.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})

    loss.report("gone")

    assert await loss.wait() == "gone"


@given(st.integers(0, 10_000))
def test_the_back_off_grows_has_jitter_and_a_cap(failures: int) -> None:
    """Twenty daemons that lost one broker must not come back in the same instant, nor much later than it."""
    ceiling = min(BACKOFF_CAP, BACKOFF_FIRST * 2.0 ** min(failures, 100))

    assert 0 < ceiling / 2 <= backoff(failures) <= ceiling <= 5.0
