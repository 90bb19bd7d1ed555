"""The instruments themselves: a ledger that cannot find a fault, or a proxy that does not cut, would prove anything."""

import signal
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.rig import Rig
from tests.support.ledger import Answered, Expected, Ledger
from tests.support.load import Load, Requests
from tests.support.proxy import Proxy
from tests.support.waiting import PATIENCE, wait_for


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Books with one confirmed request that is answered as it should be."""
    books = Ledger(tmp_path / "ledger.sqlite")
    _ask(books, "good")
    books.reply(_answer("good"), redelivered=False)
    yield books
    books.close()


def _ask(books: Ledger, name: str, outcome: str = "text") -> None:
    books.ask(name, "hash", Expected(outcome, "Купил хлеб." if outcome == "text" else ""))
    books.confirm(name)


def _answer(
    name: str, *, wire: str = "w", reply_id: str = "r", text: str = "купил хлеб", queue: str = "chaos.replies"
) -> Answered:
    return Answered(name, queue, wire, reply_id, "completed", "", text)


def _lose(books: Ledger) -> None:
    _ask(books, "gone")


def _answer_wrongly(books: Ledger) -> None:
    _ask(books, "mixed-up")
    books.reply(_answer("mixed-up", text="продал хлеб"), redelivered=False)


def _answer_a_stranger(books: Ledger) -> None:
    books.reply(_answer("whose"), redelivered=False)


def _answer_twice(books: Ledger) -> None:
    books.reply(_answer("good", wire="w2"), redelivered=False)


def _answer_twice_with_two_ids(books: Ledger) -> None:
    with books.fault("a crash", crash=True):
        books.reply(_answer("good", wire="w2", reply_id="other"), redelivered=False)


def _bury(books: Ledger) -> None:
    books.die("good", "w", "retries_exhausted", "model_error", redelivered=False)


def _bury_after_one_crash(books: Ledger) -> None:
    with books.fault("a crash", crash=True):
        books.die("good", "w", "poison", "poison", redelivered=False)


def _park(books: Ledger) -> None:
    _ask(books, "parked")
    books.reply(_answer("parked", queue="stt.replies.dead"), redelivered=False)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (_lose, "lost: gone"),
        (_answer_wrongly, "wrong answer to mixed-up"),
        (_answer_a_stranger, "nobody's request"),
        (_answer_twice, "without a fault"),
        (_answer_twice_with_two_ids, "2 reply ids"),
        (_bury, "dead letter without an explanation: good"),
        (_bury_after_one_crash, "dead letter without an explanation: good"),
        (_park, "parked was parked"),
    ],
)
def test_the_ledger_finds_each_broken_promise(ledger: Ledger, wrong: Callable[[Ledger], None], words: str) -> None:
    """And names the request and the file with the books."""
    wrong(ledger)

    with pytest.raises(AssertionError, match=words) as failure:
        ledger.check(queued=set())

    assert str(ledger.path) in str(failure.value)


def test_the_ledger_lets_pass_what_the_promises_allow(ledger: Ledger) -> None:
    """Each is no error.

    Still queued, refused or unknown, an equal reply around a fault, a redelivery to the reader, a dead letter asked
    for.
    """
    _ask(ledger, "queued")
    ledger.ask("unknown", "hash", Expected("text"))
    ledger.ask("refused", "hash", Expected("text"))
    ledger.refuse("refused")
    _ask(ledger, "forbidden", "dead:bad_reply_to")
    ledger.die("forbidden", "w", "bad_reply_to", "bad_reply_to", redelivered=False)
    ledger.reply(_answer("good"), redelivered=True)
    with ledger.fault("a reset"):
        ledger.reply(_answer("good", wire="w2"), redelivered=False)

    balance = ledger.check(queued={"queued"})

    assert (balance.confirmed, balance.replied, balance.dead, balance.duplicates, balance.unknown) == (3, 1, 1, 1, 1)


class _Bunches(Requests):
    def burst(self) -> int:
        return 3


class _HeldChannel:
    """Stands for connection and channel: a publish is confirmed when `release` is set."""

    def __init__(self) -> None:
        self.entered, self.release = threading.Event(), threading.Event()

    def channel(self) -> "_HeldChannel":
        return self

    def confirm_delivery(self) -> None: ...

    def process_data_events(self, *, time_limit: float) -> None: ...

    def basic_publish(self, *_message: object, **_more: object) -> None:
        self.entered.set()
        assert self.release.wait(PATIENCE)


def test_the_load_rests_only_when_its_bunch_is_confirmed(tmp_path: Path) -> None:
    """A count between two requests of a bunch took those that followed for lost (issue 11)."""
    books, channel = Ledger(tmp_path / "ledger.sqlite"), _HeldChannel()
    load = Load(lambda: "amqp://127.0.0.1/", books, _Bunches("bunch", seed=1), rate=1000)
    thread = threading.Thread(target=load._use, args=(channel,), daemon=True)
    thread.start()
    load.flow.set()
    assert channel.entered.wait(PATIENCE)

    load.flow.clear()

    assert load.idle
    assert not books.outstanding()
    assert not load.resting, "two of three are still to come"
    channel.release.set()
    wait_for(lambda: load.resting, "the end of the bunch")
    asked = books.check(queued={f"bunch-{number}" for number in range(1, 100)}).asked
    load._stop.set()
    thread.join(PATIENCE)
    assert asked % 3 == 0
    assert books.check(queued={f"bunch-{number}" for number in range(1, 100)}).asked == asked
    books.close()


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with_reset: socket.socket = self.request
        try:
            while data := with_reset.recv(1024):
                with_reset.sendall(data)
        except ConnectionResetError:
            return


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy before a server that echoes everything."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Proxy(("127.0.0.1", server.server_address[1])) as between:
            yield between
        server.shutdown()


def _connect(proxy: Proxy, then_wait: float = PATIENCE) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE)
    connection.sendall(b"one")
    assert connection.recv(10) == b"one"
    connection.settimeout(then_wait)
    return connection


def test_a_cut_resets_both_sides(proxy: Proxy) -> None:
    """RST, not a regular close."""
    with _connect(proxy) as connection:
        assert proxy.cut() == 1

        with pytest.raises(ConnectionResetError):
            connection.recv(10)


def test_a_stall_keeps_the_bytes_until_it_is_over(proxy: Proxy) -> None:
    """As TCP would: late, but in order and complete."""
    with _connect(proxy, then_wait=0.3) as connection:
        proxy.stall()
        connection.sendall(b"two")
        with pytest.raises(TimeoutError):
            connection.recv(10)

        proxy.resume()

        connection.settimeout(PATIENCE)
        assert connection.recv(10) == b"two"


def test_swallowed_connections_stay_open_and_dumb_while_new_ones_work(proxy: Proxy) -> None:
    """A half-open connection: no byte, no end, no error."""
    with _connect(proxy, then_wait=0.3) as old:
        proxy.swallow()
        old.sendall(b"two")
        with pytest.raises(TimeoutError):
            old.recv(10)

        with _connect(proxy):
            pass


def test_a_slow_network_delivers_all_of_it(proxy: Proxy) -> None:
    """In small pieces, in order."""
    proxy.shape(delay=0.001, size=7)
    with _connect(proxy) as connection:
        connection.sendall(bytes(range(256)))
        received = b""
        while len(received) < 256:
            received += connection.recv(1024)

    assert received == bytes(range(256))


def test_what_is_still_in_hand_when_the_books_are_balanced_is_not_called_lost(rig: Rig) -> None:
    """On a busy machine the last requests may not end in time: they are queued once daemon and reader have gone."""
    rig.daemon.running.send_signal(signal.SIGSTOP)
    for _ in range(12):
        rig.load.add(rig.requests.plain())
    rig.wait_until(lambda: rig.load.idle, "publishing")
    assert rig.settle(seconds=0.0).confirmed == 12
