"""A broker in memory behind the bus seam: queues, fanouts, confirms, nacks, redelivery counts, dead letters.

The contract tests in tests/integration/test_bus_contract.py compare it with RabbitMQ. `steps` records the order of
events: ("publish" | "confirm", target) and ("ack" | "reject", lane).
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

from sttd.consumer.bus.seam import Incoming, Outgoing
from sttd.consumer.bus.topology import Topology, build
from sttd.consumer.errors import PublishForbidden, StaleDelivery, Unconfirmed, Unroutable
from sttd.schemas import names
from sttd.schemas.request import Properties
from tests.support.waiting import PATIENCE

FOR_EVER = 10**9
DIRECT = f"{names.DIRECT_REPLY_TO}."


class Fault(StrEnum):
    """What the broker does with a publish instead of confirming it."""

    NACK = "nack"
    HANG = "hang"
    FORBIDDEN = "forbidden"


@dataclass(slots=True)
class Stored:
    """A message in a queue; `deliveries`: how often it was delivered before."""

    body: bytes
    properties: Properties
    type: str | None = None
    malformed: str | None = None
    deliveries: int = 0

    @property
    def headers(self) -> Mapping[str, Any]:
        return self.properties.headers


@dataclass(slots=True)
class MemoryQueue:
    """One queue.

    `limit`: most messages, beyond which publishes are nacked; `dead_letters`: the exchange for rejected ones.
    """

    limit: int | None = None
    dead_letters: str | None = None
    ready: deque[Stored] = field(default_factory=deque)


class MemorySettler:
    """The way back of one delivery. Settling twice is what RabbitMQ answers with 406: an assertion error here."""

    def __init__(self, connection: "MemoryConnection", lane: str, stored: Stored) -> None:
        self._connection = connection
        self._lane = lane
        self._stored = stored
        self._settled = False

    async def ack(self) -> None:
        await self._settle("ack")

    async def reject(self) -> None:
        await self._settle("reject")

    async def _settle(self, how: str) -> None:
        await asyncio.sleep(0)  # as a socket would, let others run in between
        if self._connection.closed:
            raise StaleDelivery("the connection of this delivery is gone")
        assert not self._settled, "406 PRECONDITION_FAILED: unknown delivery tag"
        self._settled = True
        self._connection.settled(self._lane, self._stored, how)


class MemoryConnection:
    """Deliveries that are not settled when it closes go back to the head of their queue, with a higher count."""

    def __init__(self, broker: "MemoryBroker") -> None:
        self._broker = broker
        self._unsettled: list[tuple[str, Stored]] = []
        self.closed = False

    def deliver(self, lane: str) -> Incoming:
        """Take the head of a queue as a delivery."""
        stored = self._broker.queues[lane].ready.popleft()
        self._unsettled.append((lane, stored))
        headers = dict(stored.headers) | ({"x-delivery-count": stored.deliveries} if stored.deliveries else {})
        return Incoming(
            lane=lane,
            body=stored.body,
            properties=replace(stored.properties, headers=headers),
            settler=MemorySettler(self, lane, stored),
            received=asyncio.get_running_loop().time(),
            received_at=datetime.now(UTC),
            redelivered=stored.deliveries > 0,
            deliveries=stored.deliveries,
            malformed=stored.malformed,
        )

    def unsettled(self, lane: str) -> int:
        """How many of this lane's deliveries are in hand."""
        return sum(1 for name, _ in self._unsettled if name == lane)

    def settled(self, lane: str, stored: Stored, how: str) -> None:
        """Take one out of the books."""
        self._unsettled = [pair for pair in self._unsettled if pair[1] is not stored]
        self._broker.settled(lane, stored, how)

    def close(self) -> None:
        """Lose the connection."""
        self.closed = True
        for lane, stored in reversed(self._unsettled):
            stored.deliveries += 1
            if lane in self._broker.queues:
                self._broker.queues[lane].ready.appendleft(stored)
        self._unsettled.clear()


class MemoryPublisher:
    """See `Publisher`. Waits for a broker that is down, but not longer than `confirm_seconds`."""

    def __init__(self, broker: "MemoryBroker", confirm_seconds: float) -> None:
        self._broker = broker
        self._confirm_seconds = confirm_seconds

    async def publish(self, message: Outgoing) -> None:
        target = message.exchange or message.routing_key
        self._broker.note("publish", target)
        fault = await self._answer(target)
        if fault is Fault.FORBIDDEN:
            raise PublishForbidden(f"access to {target!r} refused")
        if fault is Fault.NACK:
            raise Unconfirmed("the broker refused the message (nack)")
        self._broker.route(message)
        self._broker.note("confirm", target)

    async def _answer(self, target: str) -> Fault | None:
        try:
            async with asyncio.timeout(self._confirm_seconds):
                await self._broker.up.wait()
                for _ in range(3):  # a confirm never comes in the same step
                    await asyncio.sleep(0)
                fault = self._broker.next_fault(target)
                if fault is Fault.HANG:
                    await asyncio.Event().wait()
                return fault
        except TimeoutError as error:
            raise Unconfirmed(f"no confirm within {self._confirm_seconds:g} s") from error


class MemoryIntake:
    """Consumes lanes like `AmqpIntake`: prefetch, an `orphaned` call when the connection goes, a new one after it."""

    def __init__(
        self,
        broker: "MemoryBroker",
        lanes: Mapping[str, int],
        sink: Callable[[Incoming], None],
        orphaned: Callable[[], None],
    ) -> None:
        self._broker = broker
        self._lanes = lanes
        self._sink = sink
        self._orphaned = orphaned
        self._connection = MemoryConnection(broker)
        broker.intakes.append(self)
        self.wake()

    def wake(self) -> None:
        """Check for work soon."""
        asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        for lane, prefetch in self._lanes.items():
            queue = self._broker.queues.get(lane)
            while queue and queue.ready and self._broker.up.is_set() and self._connection.unsettled(lane) < prefetch:
                self._sink(self._connection.deliver(lane))

    def lose(self) -> None:
        """Lose the connection and come back on a new one, with the queues that the daemon declares again."""
        self._connection.close()
        self._orphaned()
        self._connection = MemoryConnection(self._broker)
        for lane in self._lanes:
            self._broker.queues.setdefault(lane, MemoryQueue(dead_letters=names.DEAD_EXCHANGE))
        self.wake()


class MemoryBroker:
    """The broker.

    `queues` may be read by tests; `direct` holds what went to direct reply-to addresses, but for those that `left`.
    """

    def __init__(self) -> None:
        self.queues: dict[str, MemoryQueue] = {}
        self.direct: dict[str, list[Stored]] = defaultdict(list)
        self.left: set[str] = set()
        self.steps: list[tuple[str, str]] = []
        self.intakes: list[MemoryIntake] = []
        self.up = asyncio.Event()
        self.up.set()
        self._bindings: dict[str, list[str]] = {"": []}
        self._faults: dict[str, list[Fault]] = defaultdict(list)
        self._news = asyncio.Event()
        self._connection = MemoryConnection(self)

    @classmethod
    def with_topology(cls, plan: Topology | None = None) -> Self:
        """A broker that has the daemon's own queues and exchanges."""
        broker = cls()
        plan = plan or build()
        for exchange in plan.exchanges:
            broker._bindings[exchange] = []
        for queue in plan.queues:
            broker.declare(queue.name, dead_letters=queue.arguments.get("x-dead-letter-exchange") or None)
            if queue.bound_to:
                broker._bindings[queue.bound_to].append(queue.name)
        return broker

    def declare(self, name: str, *, limit: int | None = None, dead_letters: str | None = None) -> str:
        """Make a queue; returns its name."""
        self.queues[name] = MemoryQueue(limit, dead_letters)
        return name

    def delete(self, name: str) -> None:
        """Delete a queue: its consumer loses its session."""
        del self.queues[name]
        for intake in self.intakes:
            intake.lose()

    def publisher(self, confirm_seconds: float = 5.0) -> MemoryPublisher:
        return MemoryPublisher(self, confirm_seconds)

    def fail(self, target: str, fault: Fault, times: int = FOR_EVER) -> None:
        """Answer the next publishes to a queue or exchange with a fault."""
        self._faults[target] = [fault] * min(times, 1000)

    def note(self, what: str, where: str) -> None:
        """Record a step and wake who waits for it."""
        self.steps.append((what, where))
        self._news.set()

    async def until(self, true: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Wait until a fact about the broker holds; looked at after each step. Raises `TimeoutError`."""
        async with asyncio.timeout(seconds):
            while not true():
                self._news.clear()
                await self._news.wait()

    def next_fault(self, target: str) -> Fault | None:
        """What to answer the next publish with; None for what a broker does."""
        faults = self._faults[target]
        return faults.pop() if faults else None

    def send(self, queue: str, body: bytes, properties: Properties | None = None, malformed: str | None = None) -> None:
        """Put a request into a queue, as a caller would."""
        self.queues[queue].ready.append(Stored(body, properties or Properties(), malformed=malformed))
        self._wake()

    def deliver(self, lane: str = names.REQUESTS) -> Incoming:
        """Take the head of a queue as a delivery on a connection that only `lose_connections` ends."""
        return self._connection.deliver(lane)

    def route(self, message: Outgoing) -> None:
        """Put a message where it belongs. Raises `Unroutable`, or `Unconfirmed` for a full queue."""
        stored = Stored(message.body, _properties(message), message.type)
        if message.routing_key.startswith(DIRECT) and not message.exchange:
            if message.routing_key not in self.left:
                self.direct[message.routing_key].append(stored)
            elif message.mandatory:
                raise Unroutable("the requester has gone")
            return
        bound = self._bindings[message.exchange] if message.exchange else [message.routing_key]
        found = [self.queues[name] for name in bound if name in self.queues]
        if not found and message.mandatory:
            raise Unroutable(f"no queue takes {message.routing_key!r}")
        if any(queue.limit is not None and len(queue.ready) >= queue.limit for queue in found):
            raise Unconfirmed("the broker refused the message (nack)")
        for queue in found:
            queue.ready.append(stored)
        self._wake()

    def settled(self, lane: str, stored: Stored, how: str) -> None:
        """Note an ack or a reject; a rejected message goes where its queue sends dead letters."""
        self.note(how, lane)
        dead_letters = self.queues[lane].dead_letters
        if how == "reject" and dead_letters:
            for name in self._bindings[dead_letters]:
                self.queues[name].ready.append(stored)
        self._wake()

    def lose_connections(self) -> None:
        """Close every connection, as `rabbitmqctl close_all_connections` would."""
        self._connection.close()
        self._connection = MemoryConnection(self)
        for intake in self.intakes:
            intake.lose()

    def _wake(self) -> None:
        for intake in self.intakes:
            intake.wake()


def _properties(message: Outgoing) -> Properties:
    return Properties(
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        message_id=message.message_id,
        expiration=message.expiration,
        timestamp=message.timestamp,
        headers=dict(message.headers),
    )
