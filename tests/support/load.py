"""Load that survives what the daemon must survive: a steady publisher with confirms, and a reader of all output.

Uses pika, no code of the daemon; both run in threads of their own and write to the ledger. A request whose confirm did
not come is left as unknown: it may be answered or not.
"""

import base64
import hashlib
import json
import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pika
import pika.exceptions
from pika.adapters.utils.connection_workflow import AMQPConnectorException

from sttd.samples import Sample, samples
from tests.support.ledger import Answered, Expected, Ledger
from tests.support.notes import note, short_notes

REPLIES = "chaos.replies"  # where most requests have their reply queue: durable and quorum, as for a careful caller
NOWHERE = "chaos.nowhere"  # a reply queue that never exists
READ = (REPLIES, "stt.replies", "stt.replies.dead", "stt.dead")
MOST_OUTSTANDING = 24  # requests without an answer at which the publisher waits: a backlog would only repeat itself
RETRY = 0.2  # s between two tries to connect
LOOK = 0.05  # s between two checks of what there is to publish
LOST = (pika.exceptions.AMQPError, AMQPConnectorException, OSError)  # what pika raises when a fault is on


@dataclass(frozen=True)
class Request:
    """One request to publish. `properties` go to pika as they are."""

    name: str
    queue: str
    body: bytes
    expected: Expected
    properties: dict[str, Any] = field(default_factory=dict)


class Requests:
    """Draws requests of all kinds that callers send, from a seed; each `draw` has a new name."""

    def __init__(self, prefix: str, seed: int) -> None:
        self._prefix = prefix
        self._dice = random.Random(seed)
        self._count = 0
        self._kinds: list[tuple[int, Callable[[str, Sample], Request]]] = [
            (40, self._plain),
            (20, self._of_a_caller),
            (2, self._long),
            (10, self._unnamed),
            (8, self._without_reply_to),
            (10, self._bulk),
            (4, self._json),
            (3, self._damaged),
            (2, self._forbidden),
            (1, self._nowhere),
        ]

    def draw(self) -> Request:
        return self.make(
            self._dice.choices([kind for _, kind in self._kinds], [weight for weight, _ in self._kinds])[0]
        )

    def burst(self) -> int:
        """How many come at once: people send notes in bunches, and a fault should find some in hand."""
        return self._dice.randint(1, 6)

    def plain(self, reply_to: str = REPLIES, *, parkable: bool = False) -> Request:
        """Make one of the usual kind, for this reply queue."""
        found = self.make(self._plain)
        expected = replace(found.expected, parkable=parkable)
        return Request(found.name, found.queue, found.body, expected, found.properties | {"reply_to": reply_to})

    def of_a_caller(self) -> Request:
        """Make one that names its caller; nearly all are of the same."""
        return self.make(self._of_a_caller)

    def long(self) -> Request:
        """Make one of several seconds of work."""
        return self.make(self._long)

    def make(self, kind: Callable[[str, Sample], Request]) -> Request:
        self._count += 1
        return kind(f"{self._prefix}-{self._count}", self._dice.choice(short_notes()))

    def _plain(self, name: str, sample: Sample) -> Request:
        properties = {"reply_to": REPLIES, "message_id": name, "headers": {"stt-language": sample.language}}
        return Request(name, "stt.requests", sample.path.read_bytes(), Expected("text", sample.text), properties)

    def _of_a_caller(self, name: str, sample: Sample) -> Request:
        found = self._plain(name, sample)
        caller = self._dice.choice(("many", "many", "many", "few"))
        headers = found.properties["headers"] | {"stt-caller": caller}
        return Request(name, found.queue, found.body, found.expected, found.properties | {"headers": headers})

    def _long(self, name: str, _sample: Sample) -> Request:
        """Several seconds of work, to be in hand at a fault. The demo model gives its beginning word for word."""
        sample = max(samples(), key=lambda sample: len(sample.text))
        found = self._plain(name, sample)
        return replace(found, expected=Expected("long", ". ".join(sample.text.split(". ")[:2])))

    def _unnamed(self, name: str, sample: Sample) -> Request:
        found = self._plain(name, sample)
        return Request(name, found.queue, found.body, found.expected, found.properties | {"message_id": None})

    def _without_reply_to(self, name: str, sample: Sample) -> Request:
        found = self._plain(name, sample)
        return Request(name, found.queue, found.body, found.expected, found.properties | {"reply_to": None})

    def _bulk(self, name: str, sample: Sample) -> Request:
        found = self._plain(name, sample)
        return Request(name, "stt.requests.bulk", found.body, found.expected, found.properties)

    def _json(self, name: str, sample: Sample) -> Request:
        text = json.dumps(
            {"audio": base64.b64encode(sample.path.read_bytes()).decode(), "options": {"language": sample.language}}
        )
        properties = {"reply_to": REPLIES, "message_id": name, "content_type": "application/json"}
        return Request(name, "stt.requests", text.encode(), Expected("text", sample.text), properties)

    def _damaged(self, name: str, _sample: Sample) -> Request:
        body = note(expect="audio_unreadable").path.read_bytes()
        return Request(
            name, "stt.requests", body, Expected("audio_unreadable"), {"reply_to": REPLIES, "message_id": name}
        )

    def _forbidden(self, name: str, sample: Sample) -> Request:
        return Request(
            name, "stt.requests", sample.path.read_bytes(), Expected("dead:bad_reply_to"), {"reply_to": "stt.dead"}
        )

    def _nowhere(self, name: str, sample: Sample) -> Request:
        found = self._plain(name, sample)
        properties = found.properties | {"reply_to": NOWHERE}
        return Request(name, found.queue, found.body, Expected("text", sample.text, parkable=True), properties)


class _Thread(ABC):
    """A thread that works on one connection after the other until it is stopped."""

    def __init__(self, url: Callable[[], str], name: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float = 40) -> None:
        self._stop.set()
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"{self._thread.name} does not end"

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                connection = pika.BlockingConnection(self._parameters())
            except LOST:
                self._stop.wait(RETRY)
                continue
            try:
                self._use(connection)
            except LOST:  # whatever fault is on: connect again
                self._stop.wait(RETRY)
            finally:
                _close(connection)

    def _parameters(self) -> pika.URLParameters:
        parameters = pika.URLParameters(self._url())
        parameters.heartbeat = 10
        parameters.socket_timeout = parameters.stack_timeout = 8
        return parameters

    @abstractmethod
    def _use(self, connection: pika.BlockingConnection) -> None:
        """Work with it until stopped."""


def _close(connection: pika.BlockingConnection) -> None:
    try:
        if connection.is_open:
            connection.close()
    except LOST:
        return  # gone already


class Load(_Thread):
    """Publishes drawn requests at `rate` per second, each confirmed before the next. Added ones go first.

    To count, clear `flow` and wait until `resting` is true. Without that a bunch that had begun went on, and its
    requests counted as lost a few milliseconds later (issue 11).
    """

    def __init__(self, url: Callable[[], str], ledger: Ledger, requests: Requests, rate: float) -> None:
        super().__init__(url, "load")
        self._ledger = ledger
        self._requests = requests
        self.rate = rate
        self.flow = threading.Event()
        self._turn = threading.Lock()  # held from reading `flow` until the last confirm of what follows from it
        self._extra: list[Request] = []

    def add(self, request: Request) -> None:
        """Have this one published next, even while paused."""
        self._extra.append(request)

    @property
    def idle(self) -> bool:
        """Whether no added request waits."""
        return not self._extra

    @property
    def resting(self) -> bool:
        """Whether nothing is being published, and nothing will be until `flow` is set or a request is added."""
        if self.flow.is_set() or self._extra or not self._turn.acquire(blocking=False):
            return False
        self._turn.release()  # the next turn reads `flow` again
        return True

    def _use(self, connection: pika.BlockingConnection) -> None:
        channel = connection.channel()
        channel.confirm_delivery()
        while not self._stop.is_set():
            with self._turn:
                published = self._publish_some(channel)
            connection.process_data_events(time_limit=published / self.rate or LOOK)

    def _publish_some(self, channel: Any) -> int:
        """The added requests, then a bunch of drawn ones.

        Returns how many were drawn, which the rate has to make up for.
        """
        while self._extra:
            self.publish(channel, self._extra[0])
            del self._extra[0]
        if not self.flow.is_set() or self._ledger.outstanding() >= MOST_OUTSTANDING:
            return 0
        burst = self._requests.burst()
        for _ in range(burst):
            self.publish(channel, self._requests.draw())
        return burst

    def publish(self, channel: Any, request: Request) -> None:
        """Publish one request on a channel with confirms, and write down what becomes of it.

        Raises what pika raises.
        """
        try:
            self.send(channel, request)
        except (pika.exceptions.UnroutableError, pika.exceptions.NackError):
            self._ledger.refuse(request.name)
        except LOST:
            if self._extra and self._extra[0] is request:
                del self._extra[0]  # unknown now: asked once
            raise
        else:
            self._ledger.confirm(request.name)

    def send(self, channel: Any, request: Request) -> None:
        """Publish one request; on a channel without confirms nobody knows whether the broker has it."""
        self._ledger.ask(request.name, hashlib.sha256(request.body).hexdigest(), request.expected)
        properties = pika.BasicProperties(correlation_id=request.name, delivery_mode=2, **request.properties)
        channel.basic_publish("", request.queue, request.body, properties, mandatory=True)


class Reader(_Thread):
    """Takes all out of the reply queues and the dead-letter queue into the ledger; acks what is written down."""

    def __init__(self, url: Callable[[], str], ledger: Ledger) -> None:
        super().__init__(url, "reader")
        self._ledger = ledger
        self.queues = list(READ)
        self._renew = threading.Event()

    def again(self) -> None:
        """Subscribe anew: a queue was added, or deleted and made again."""
        self._renew.set()

    @property
    def renewing(self) -> bool:
        """Whether `again` was called and its effect is still to come."""
        return self._renew.is_set()

    def _use(self, connection: pika.BlockingConnection) -> None:
        self._renew.clear()
        channel = connection.channel()
        channel.basic_qos(prefetch_count=200)
        channel.add_on_cancel_callback(lambda _frame: self._renew.set())
        channel.queue_declare(REPLIES, durable=True, arguments={"x-queue-type": "quorum"})
        for queue in tuple(self.queues):
            channel.basic_consume(queue, lambda *delivery, queue=queue: self._take(queue, *delivery))
        while not (self._stop.is_set() or self._renew.is_set()):
            connection.process_data_events(time_limit=0.2)

    def _take(self, queue: str, channel: Any, method: Any, properties: pika.BasicProperties, body: bytes) -> None:
        self.record(queue, body, properties, redelivered=method.redelivered)
        channel.basic_ack(method.delivery_tag)

    def record(self, queue: str, body: bytes, properties: pika.BasicProperties, *, redelivered: bool) -> None:
        """Write down one message of this queue; for those that a test takes itself, too."""
        if queue == "stt.dead":
            self._dead(properties, redelivered=redelivered)
        else:
            self._reply(queue, properties, json.loads(body), redelivered=redelivered)

    def _dead(self, properties: pika.BasicProperties, *, redelivered: bool) -> None:
        headers = properties.headers or {}
        reason = str(headers.get("sttd-reason") or f"the broker: {headers.get('x-first-death-reason')}")
        code = str(headers.get("sttd-error-code"))
        name = str(properties.correlation_id or properties.message_id)
        self._ledger.die(name, str(properties.message_id), reason, code, redelivered=redelivered)

    def _reply(self, queue: str, properties: pika.BasicProperties, said: dict[str, Any], *, redelivered: bool) -> None:
        if said["status"] == "progress":
            return
        answer = Answered(
            request=str(properties.correlation_id),
            queue=queue,
            wire=str(properties.message_id),
            reply_id=str((properties.headers or {}).get("stt-reply-id")),
            status=said["status"],
            code=(said.get("error") or {}).get("code", ""),
            text=said.get("text", ""),
            joined=said.get("joined", False),
        )
        self._ledger.reply(answer, redelivered=redelivered)
