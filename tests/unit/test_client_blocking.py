"""The blocking client's thread: it ends, whenever it is closed."""

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from sttd import BlockingClient, Client, errors
from tests.support.waiting import PATIENCE


class Slow:
    """A client whose connecting lasts until it is let go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.connecting, self.go, self.closed = threading.Event(), threading.Event(), threading.Event()

        async def opened(_client: Client) -> None:
            self.connecting.set()
            await asyncio.to_thread(self.go.wait, PATIENCE)

        async def closed(_client: Client) -> None:
            self.closed.set()

        monkeypatch.setattr(Client, "open", opened)
        monkeypatch.setattr(Client, "close", closed)


def test_closing_while_it_connects_ends_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A web application that stops while its start still waits for RabbitMQ must not hang."""
    slow, client = Slow(monkeypatch), BlockingClient("amqp://127.0.0.1:1/")
    with ThreadPoolExecutor() as pool:
        opening = pool.submit(client.open)
        assert slow.connecting.wait(PATIENCE)
        assert client._thread is not None
        thread, join = client._thread, client._thread.join

        def joined() -> None:
            slow.go.set()
            join(PATIENCE)

        monkeypatch.setattr(thread, "join", joined)
        client.close()
        assert not thread.is_alive()
        assert slow.closed.is_set()
        with pytest.raises(errors.ClientClosed, match="while it connected"):
            opening.result(PATIENCE)


def test_ctrl_c_while_it_connects_leaves_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """`with` closes nothing where its first line was interrupted."""
    slow, client = Slow(monkeypatch), BlockingClient("amqp://127.0.0.1:1/")

    def interrupted(_self: Future[None], timeout: float | None = None) -> None:
        assert timeout is None
        assert slow.connecting.wait(PATIENCE)
        raise KeyboardInterrupt

    with monkeypatch.context() as during:
        during.setattr(Future, "result", interrupted)
        with pytest.raises(KeyboardInterrupt), client:
            pass
    slow.go.set()
    client.close()
    assert client._thread is not None
    assert not client._thread.is_alive()
    assert slow.closed.is_set()


def test_whatever_ended_the_connecting_it_may_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake of ours in it is no reason to say that the client is open."""

    async def broken(_client: Client) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Client, "open", broken)
    client = BlockingClient("amqp://127.0.0.1:1/")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            client.open()
