"""The gateway against a real RabbitMQ and a scripted daemon: what it refuses, how soon, and how it ends."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import httpx
import pika
import pytest

from tests.support.broker import Broker
from tests.support.gateway import GatewayProcess
from tests.support.rpc import Rpc
from tests.support.waiting import PATIENCE
from tools import callers
from tools.rabbitmq import Node

StartGateway = Callable[..., GatewayProcess]
USERS = Path(__file__).parents[2] / "deploy" / "rabbitmq" / "users.json"


@pytest.fixture
def unserved(broker: Broker, tmp_path: Path) -> Iterator[StartGateway]:
    """Start gateways on the test's vhost, with a request queue without a daemon; all are ended with the test."""
    broker.declare("stt.requests", x_queue_type="quorum")
    with ExitStack() as started:

        def one(amqp_url: str = broker.amqp_url, **settings: str) -> GatewayProcess:
            return started.enter_context(GatewayProcess(amqp_url, tmp_path / f"gateway-{uuid4()}", **settings))

        yield one


@pytest.fixture
def start(unserved: StartGateway, broker: Broker) -> Iterator[StartGateway]:
    """The same with a daemon that is at work on another note, so that requests wait in the queue."""
    with callers.occupied(broker.amqp_url, "stt.requests"):
        yield unserved


@pytest.fixture(scope="module")
def strict(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GatewayProcess, Broker]]:
    """One gateway with narrow limits for all tests of them; its daemon is at work on another note."""
    narrow = {"gateway_max_upload_bytes": "100000", "gateway_upload_seconds": "3", "gateway_timeout": "1.5"}
    with Broker(node) as broker:
        broker.declare("stt.requests", x_queue_type="quorum")
        folder = tmp_path_factory.mktemp("strict") / "gateway"
        with (
            callers.occupied(broker.amqp_url, "stt.requests"),
            GatewayProcess(broker.amqp_url, folder, **narrow) as gateway,
        ):
            gateway.wait_log("broker_connected")
            yield gateway, broker


def ask(gateway: GatewayProcess, broker: Broker, *, queued: int = 1, audio: bytes = b"note") -> socket.socket:
    """A caller whose whole note is in the queue, as the `queued`th, and who waits for the answer.

    Closing it is hanging up.
    """
    caller = socket.create_connection(gateway.address, PATIENCE)
    form = callers.part() + audio + b"\r\n--xyzzy--\r\n"
    caller.sendall(callers.head(length=len(form)) + form)
    gateway.wait(lambda: broker.depth("stt.requests") == queued, "request")
    return caller


def talk(gateway: GatewayProcess, *pieces: bytes, until: bytes = b"\r\n\r\n") -> bytes:
    """Send raw bytes and return what comes back, up to `until` or the end."""
    with socket.create_connection(gateway.address, timeout=PATIENCE) as connection:
        for piece in pieces:
            connection.sendall(piece)
        answer = b""
        while until not in answer and (data := connection.recv(65_536)):
            answer += data
        return answer


def test_a_gateway_whose_user_may_not_look_at_the_queue_is_healthy_and_says_so(
    start: StartGateway, broker: Broker
) -> None:
    """RabbitMQ 4.2.6 and later hide a queue from users without a permission on it; notes are taken all the same."""
    own = r"^sttd\.client\..*$"
    url = broker.add_user(f"blind-{broker.vhost}", "p", configure=own, write=r"^amq\.default$", read=own)
    gateway = start(url)
    assert gateway.wait_health(200).json()["status"] == "ok"
    assert gateway.wait_health(200).json()["status"] == "ok"
    told = gateway.lines("queue_unseen")
    assert len(told) == (0 if broker.looks_are_free else 1)
    assert all("may not look at queue stt.requests" in line["reason"] for line in told)


@pytest.mark.slow("a broker that goes away")
def test_health_is_503_without_a_daemon_and_without_a_broker(own_node: Node, tmp_path: Path) -> None:
    """A probe shows whether a note would be transcribed now, and why not; it recovers by itself."""
    broker = Broker(own_node).__enter__()
    settings = {"model": "some/where/large-v3", "gateway_grace_seconds": "0"}
    with GatewayProcess(broker.amqp_url, tmp_path / "gateway", **settings) as gateway:
        gateway.wait_log("broker_connected")
        unserved = gateway.wait_health(503).json()
        assert unserved["status"] == "unavailable"
        assert unserved["model"] == "whisper-large-v3"
        assert "stt.requests does not exist" in unserved["error"]

        broker.declare("stt.requests", x_queue_type="quorum")
        gateway.wait(lambda: "no daemon works" in gateway.wait_health(503).json()["error"], "queue without consumers")

        with broker.connect() as connection:
            channel = connection.channel()
            channel.basic_consume("stt.requests", lambda *_: None)
            connection.process_data_events()
            assert gateway.wait_health(200).json() == {"status": "ok", "model": "whisper-large-v3"}
            own_node.flush()
            own_node.kill()
            lost = gateway.wait_health(503).json()["error"]
            assert lost.count("RabbitMQ at") == 1, "the reason is told once"
            refused = gateway.post("/transcribe", b"note")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
            assert refused.json()["error"].count("RabbitMQ at") == 1
            with pytest.raises(pika.exceptions.AMQPError):
                connection.process_data_events(PATIENCE)

        own_node.start()
        gateway.wait(lambda: "no daemon works" in gateway.wait_health(503).json()["error"], "return of the broker")
        assert gateway.stop() == 0


def test_it_starts_before_its_broker(tmp_path: Path) -> None:
    """In a compose file everything starts at once: calls are 503 with Retry-After, and nothing restarts in a loop."""
    away = "amqp://guest:s3cret@127.0.0.1:1/"
    with GatewayProcess(away, tmp_path / "gateway", gateway_grace_seconds="0.1") as gateway:
        gateway.wait_log("broker_away")
        assert gateway.wait_health(503).json()["status"] == "unavailable"
        refused = gateway.post("/transcribe", b"x")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
        assert set(refused.json()) == {"error"}
        assert "no connection to RabbitMQ at 127.0.0.1:1" in refused.json()["error"]
        assert gateway.stop() == 0
        assert "s3cret" not in gateway.log


@pytest.mark.parametrize("path", ["/transcribe", "/v1/audio/transcriptions"])
@pytest.mark.parametrize("stream", ["false", "true"])
def test_without_a_daemon_a_call_is_503_with_the_reason_and_nothing_is_queued(
    unserved: StartGateway, broker: Broker, path: str, stream: str
) -> None:
    """The caller comes again; a copy of each try would be transcribed later, for nobody."""
    gateway = unserved(gateway_grace_seconds="0.1")
    gateway.wait_log("broker_connected")
    refused = gateway.post(path, b"note", {"stream": stream})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
    assert "no daemon works on the queue" in refused.text
    assert gateway.wait_log("request")["code"] == "not_served"
    assert broker.depth("stt.requests") == 0


def test_a_deep_queue_is_429_before_the_upload(start: StartGateway, broker: Broker) -> None:
    """The caller keeps the file and comes back later, in either API; what fits is still taken."""
    for _ in range(3):
        broker.publish("stt.requests", b"x")
    gateway = start(gateway_max_queued="3", gateway_timeout="1")
    gateway.wait_log("broker_connected")
    old = talk(gateway, callers.head(length=10_000))
    assert old.startswith(b"HTTP/1.1 429 ")
    assert b"\r\nretry-after: 10\r\n" in old
    new = gateway.post("/v1/audio/transcriptions", b"x")
    assert (new.status_code, new.headers["retry-after"]) == (429, "10")
    assert new.json()["error"]["type"] == "rate_limit_error"
    broker.take("stt.requests", 3)
    gateway.wait(lambda: gateway.post("/transcribe", b"x").status_code == 504, "room in the queue")


@pytest.mark.parametrize("path", ["/transcribe", "/v1/audio/transcriptions"])
def test_no_answer_in_time_is_504_and_the_daemon_is_told(strict: tuple[GatewayProcess, Broker], path: str) -> None:
    """No call waits for ever, and the request carries the same deadline, so that it is not worked on later."""
    gateway, broker = strict
    assert gateway.post(path, b"x").status_code == 504
    (request,) = broker.take("stt.requests")
    assert "stt-deadline" in request.headers


def test_a_file_above_the_limit_is_413_while_it_is_sent(strict: tuple[GatewayProcess, Broker]) -> None:
    """By its announced length before a byte is read, else as soon as it is over; the caller gets the answer."""
    gateway, _ = strict
    announced = talk(gateway, callers.head(length=2_000_000_000))
    assert announced.startswith(b"HTTP/1.1 413 ")
    pieces = [callers.chunk(callers.part()), *[callers.chunk(b"a" * 10_000)] * 11]
    unannounced = talk(gateway, callers.head("/v1/audio/transcriptions", length=None), *pieces, until=b"}}")
    assert unannounced.startswith(b"HTTP/1.1 413 ")
    assert json.loads(unannounced.partition(b"\r\n\r\n")[2])["error"]["code"] == "body_too_large"
    whole = gateway.post("/transcribe", b"a" * 5_000_000)  # sends everything before it reads anything
    assert (whole.status_code, whole.json()) == (413, {"error": "the file is larger than 100000 bytes"})


def test_another_type_of_body_is_415_and_a_broken_form_is_400(strict: tuple[GatewayProcess, Broker]) -> None:
    """The message names what to send; a form without a file is still the old `No file provided`."""
    gateway, _ = strict
    for kind in ("audio/ogg", "application/json"):
        raw = httpx.post(f"{gateway.url}/transcribe", content=b"OggS", headers={"Content-Type": kind})
        assert raw.status_code == 415
        assert "-F file=@voice.ogg" in raw.json()["error"]
    for content in (b"no form", callers.part() + b"abc", b"--xyzzy\r\nno head\r\n"):
        headers = {"Content-Type": "multipart/form-data; boundary=xyzzy"}
        broken = httpx.post(f"{gateway.url}/transcribe", content=content, headers=headers)
        assert (broken.status_code, broken.json()) == (400, {"error": "the multipart form is broken or incomplete"})
    form = httpx.post(f"{gateway.url}/transcribe", data={"a": "b"})
    assert (form.status_code, form.json()) == (400, {"error": "No file provided"})


def test_a_slow_upload_is_408(strict: tuple[GatewayProcess, Broker]) -> None:
    """However steadily it dribbles in: the whole upload has a time."""
    gateway, _ = strict
    answer = talk(gateway, callers.head(length=1000), callers.part())
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_audio_held_at_once_is_bounded(start: StartGateway, broker: Broker) -> None:
    """Requests that wait for answers hold their audio; one more than there is room for is 429, and room comes back."""
    gateway, audio = start(gateway_memory_bytes="250000"), b"a" * 90_000
    gateway.wait_log("broker_connected")
    with ask(gateway, broker, queued=1, audio=audio), ask(gateway, broker, queued=2, audio=audio):
        assert gateway.post("/transcribe", audio).status_code == 429
    gateway.wait(lambda: [line["status"] for line in gateway.lines("request")].count(499) == 2, "end of both")
    with ask(gateway, broker, queued=3, audio=audio):
        pass


def test_a_caller_who_hangs_up_cancels_by_message_id(start: StartGateway, broker: Broker) -> None:
    """Every daemon gets the id of the very request that was queued."""
    gateway = start()
    gateway.wait_log("broker_connected")
    with broker.connect() as connection:
        channel = connection.channel()
        channel.exchange_declare("stt.control", "fanout", durable=True)
        heard = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(heard, "stt.control")
        with ask(gateway, broker):
            pass
        method, _, body = None, None, b""
        while method is None:
            connection.process_data_events(0.05)
            method, _, body = channel.basic_get(heard, auto_ack=True)
    (request,) = broker.take("stt.requests")
    assert json.loads(body) == {"cancel": request.properties.message_id}


@pytest.mark.parametrize("may_cancel", [True, False])
def test_the_documented_permissions_are_enough(start: StartGateway, broker: Broker, *, may_cancel: bool) -> None:
    """With the line of docs/operations.md it checks, asks and cancels.

    Without permission to cancel it does the rest.
    """
    line = json.loads(USERS.read_text(encoding="utf-8"))["users"]["gateway"]
    rights = {right: line[right] for right in ("configure", "read", "write")}
    if not may_cancel:
        rights["write"] = rights["write"].replace(r"|stt\.control", "")
    url = broker.add_user(f"{broker.vhost}-gateway", "pw", **rights)
    with broker.connect() as connection:
        channel = connection.channel()
        channel.exchange_declare("stt.control", "fanout", durable=True)
        heard = channel.queue_declare("heard", durable=True).method.queue
        channel.queue_bind(heard, "stt.control")
    gateway = start(url, gateway_timeout="1")
    gateway.wait_log("broker_connected")
    gateway.wait_health(200)
    with ask(gateway, broker):
        pass
    gateway.wait(lambda: [line for line in gateway.lines("request") if line["status"] == 499], "end of the request")
    assert gateway.post("/transcribe", b"note").status_code == 504
    assert broker.depth("stt.requests") == 2
    assert bool(broker.depth(heard)) is may_cancel
    assert gateway.stop() == 0


def _refuses(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, PATIENCE).close()
    except ConnectionRefusedError:
        return True
    return False


def test_sigterm_finishes_what_is_under_way(start: StartGateway, broker: Broker) -> None:
    """A deploy loses no answer: no new connections, the pending answer still comes, exit code 0."""
    gateway = start()
    gateway.wait_log("broker_connected")
    answers: list[httpx.Response] = []
    caller = threading.Thread(target=lambda: answers.append(gateway.post("/transcribe", b"note")))
    caller.start()
    with Rpc(broker.amqp_url) as daemon:
        gateway.wait(lambda: broker.depth("stt.requests"), "request")
        (request,) = broker.take("stt.requests")
        gateway.process.terminate()
        assert gateway.wait_log("draining")["under_way"] == 1
        gateway.wait(lambda: _refuses(gateway.address), "its port to close")
        failure = {"code": "model_error", "message": "it is model_error", "retryable": True}
        reply = {
            "status": "failed",
            "correlation_id": None,
            "message_id": request.properties.message_id,
            "error": failure,
        }
        daemon.send(json.dumps(reply | {"attempt": 1, "worker": "w"}).encode(), queue=str(request.properties.reply_to))
        daemon.flush()
        caller.join()
    assert (answers[0].status_code, answers[0].json()) == (500, {"error": "it is model_error"})
    assert gateway.process.wait(PATIENCE) == 0


def test_sigterm_cancels_what_outlasts_the_drain(start: StartGateway, broker: Broker) -> None:
    """The drain time is the limit; the caller is not left hanging."""
    gateway = start(gateway_drain_seconds="1")
    gateway.wait_log("broker_connected")
    with ask(gateway, broker) as caller:
        assert gateway.stop() == 0
        caller.recv(1000)


@pytest.mark.slow("several processes")
def test_a_port_that_is_taken_and_a_wrong_setting_end_the_start(tmp_path: Path) -> None:
    """One line names the setting to change, never with its value; the exit code is 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for name, (settings, said) in {
            "port": ({"gateway_port": str(taken.getsockname()[1])}, "STTD_GATEWAY_PORT"),
            "token": ({"gateway_tokens": "hush"}, "STTD_GATEWAY_TOKENS"),
            "url": ({}, "STTD_AMQP_URL"),
        }.items():
            url = "http://hush" if name == "url" else "amqp://localhost"
            with pytest.raises(AssertionError, match=f"(?s)exited with 2.*{said}") as failed:
                GatewayProcess(url, tmp_path / name, **settings).__enter__()
            assert "hush" not in str(failed.value)


def test_two_hundred_bad_callers_get_nowhere(start: StartGateway) -> None:
    """Slow, broken, endless, abandoned uploads at once: health answers all the time, and nothing is left of them.

    How quickly, and with how much memory: `python -m bench scenario siege`.
    """
    gateway = start(gateway_upload_seconds="3", gateway_memory_bytes="5000000", gateway_grace_seconds="3600")
    gateway.wait_log("broker_connected")
    idle, wanted = gateway.open_files(), {400, 408, 413, 429, 499}

    def answered() -> set[int]:
        return {line["status"] for line in gateway.lines("request") if line["path"] != "/health"}

    with callers.siege(gateway.address, 200) as besiegers:

        def lifted() -> bool:
            assert besiegers.poll() is None, "the besiegers gave up"
            # A new connection each time: one that is idle between two looks may be closed at any moment.
            health = httpx.get(f"{gateway.url}/health", timeout=PATIENCE)
            assert health.status_code in {200, 503}, "503: the look at the queue took too long"
            return answered() >= wanted

        gateway.wait(lifted, "end of each kind of caller")
    gateway.wait(lambda: gateway.open_files() <= idle + 1, "end of all connections")
    assert list(gateway.temporary.iterdir()) == []
    assert answered() == wanted
    gateway.stop()
    assert gateway.lines("draining")[-1]["under_way"] == 0
    assert gateway.lines("request_failed") == []
