"""The memory bus and the real one behind one interface, for the contract that both must keep (test_bus_contract.py).

Each method waits until its effect is there.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol
from uuid import uuid4

import pika
from pydantic import SecretStr

from sttd.consumer.bus import topology
from sttd.consumer.bus.direct import SplitPublisher
from sttd.consumer.bus.intake import AmqpIntake
from sttd.consumer.bus.link import Link
from sttd.consumer.bus.publisher import AmqpPublisher
from sttd.consumer.bus.seam import Incoming, Publisher
from sttd.schemas import names
from tests.support.broker import Broker
from tests.support.fakes import Watcher
from tests.support.memory_bus import MemoryBroker, MemoryIntake
from tests.support.waiting import PATIENCE, Deadline

PREFETCH = 4
CONFIRM_SECONDS = PATIENCE


class Caller(Protocol):
    """A requester that waits on direct reply-to."""

    address: str

    async def received(self) -> bytes:
        """The body of the one reply that arrived."""

    def leave(self) -> None:
        """Disconnect."""


class Bus(Protocol):
    """A broker with our topology, a publisher, and an intake on the interactive lane."""

    publisher: Publisher
    incoming: asyncio.Queue[Incoming]
    orphaned: int

    async def depth(self, queue: str) -> int:
        """Messages ready."""

    async def take(self, queue: str) -> list[bytes]:
        """Take all bodies out of a queue."""

    async def fill(self, queue: str) -> None:
        """Make a queue that takes no more: length limit 1, reject-publish, one message in it."""

    async def lose_connections(self) -> None:
        """Close them all, and wait until they are back."""

    async def delete(self, queue: str) -> None:
        """Delete a queue, and wait until its consumer has noticed and is back."""

    async def down(self) -> None:
        """Cut the publisher off."""

    async def up(self) -> None:
        """Let it connect again."""

    async def caller(self) -> Caller:
        """Someone with a direct reply-to address."""

    def hasty(self) -> Publisher:
        """A publisher that was never connected and waits for 50 ms."""


class _MemoryBus:
    """The memory bus, driven through its own methods."""

    def __init__(self) -> None:
        self.broker = MemoryBroker.with_topology()
        self.publisher: Publisher = self.broker.publisher(CONFIRM_SECONDS)
        self.incoming: asyncio.Queue[Incoming] = asyncio.Queue()
        self.orphaned = 0
        MemoryIntake(self.broker, {names.REQUESTS: PREFETCH}, self.incoming.put_nowait, self._orphan)

    def _orphan(self) -> None:
        self.orphaned += 1

    async def depth(self, queue: str) -> int:
        return len(self.broker.queues[queue].ready)

    async def take(self, queue: str) -> list[bytes]:
        ready = self.broker.queues[queue].ready
        bodies = [stored.body for stored in ready]
        ready.clear()
        return bodies

    async def fill(self, queue: str) -> None:
        self.broker.declare(queue, limit=1)
        self.broker.send(queue, b"first")

    async def lose_connections(self) -> None:
        self.broker.lose_connections()

    async def delete(self, queue: str) -> None:
        self.broker.delete(queue)

    async def down(self) -> None:
        self.broker.up.clear()

    async def up(self) -> None:
        self.broker.up.set()

    async def caller(self) -> Caller:
        return _MemoryCaller(self.broker)

    def hasty(self) -> Publisher:
        other = MemoryBroker()
        other.up.clear()
        return other.publisher(0.05)


class _MemoryCaller:
    def __init__(self, broker: MemoryBroker) -> None:
        self.address = f"{names.DIRECT_REPLY_TO}.{uuid4()}"
        self._broker = broker

    async def received(self) -> bytes:
        (stored,) = self._broker.direct[self.address]
        return stored.body

    def leave(self) -> None:
        self._broker.left.add(self.address)


class _RealBus:
    """`AmqpPublisher` and `AmqpIntake` on a vhost of a real RabbitMQ."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.watcher = Watcher()
        self.incoming: asyncio.Queue[Incoming] = asyncio.Queue()
        self.orphaned = 0
        self.amqp_publisher = AmqpPublisher(self._link("publish"), self.watcher, CONFIRM_SECONDS)
        self.direct_publisher = AmqpPublisher(self._link("direct"), self.watcher, CONFIRM_SECONDS)
        self.publisher: Publisher = SplitPublisher(self.amqp_publisher, self.direct_publisher, looks=True)
        self.intake = AmqpIntake(
            link=self._link("consume"), plan=topology.build(), mode="declare", lanes={names.REQUESTS: PREFETCH}
        )
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._callers: list[_RealCaller] = []

    def _link(self, role: str) -> Link:
        return Link(role, SecretStr(self.broker.amqp_url), "contract", self.watcher)

    def _orphan(self) -> None:
        self.orphaned += 1

    async def start(self) -> None:
        self._tasks["consume"] = asyncio.create_task(self.intake.run(self.incoming.put_nowait, self._orphan))
        self._tasks["direct"] = asyncio.create_task(self.direct_publisher.run())
        await self.watcher.until(lambda: self.watcher.connects("consume") == self.watcher.connects("direct") == 1)
        await self.up()

    async def close(self) -> None:
        for caller in self._callers:
            caller.leave()
        for task in self._tasks.values():
            task.cancel()
        await asyncio.wait(self._tasks.values())

    async def _and_back(self, step: Callable[[], Awaitable[Any]], *roles: str) -> None:
        before = {role: self.watcher.connects(role) for role in roles}
        await step()
        await self.watcher.until(lambda: all(self.watcher.connects(role) > before[role] for role in roles))

    async def depth(self, queue: str) -> int:
        return self.broker.depth(queue)

    async def take(self, queue: str) -> list[bytes]:
        return [message.body for message in self.broker.take(queue, 1000)]

    async def fill(self, queue: str) -> None:
        self.broker.declare(queue, x_max_length=1, x_overflow="reject-publish")
        self.broker.publish(queue, b"first")

    async def lose_connections(self) -> None:
        async def close_all() -> None:
            # The management API shows a connection about a second after it was made.
            await self.broker.wait_until(lambda: sum(map(_is_ours, self.broker.connections())) >= len(self._tasks))
            self.broker.close_connections()

        await self._and_back(close_all, *self._tasks)

    async def delete(self, queue: str) -> None:
        async def gone() -> None:
            with self.broker.connect() as connection:
                connection.channel().queue_delete(queue)

        await self._and_back(gone, "consume")

    async def down(self) -> None:
        task = self._tasks.pop("publish")
        task.cancel()
        await asyncio.wait({task})

    async def up(self) -> None:
        async def run() -> None:
            self._tasks["publish"] = asyncio.create_task(self.amqp_publisher.run())

        await self._and_back(run, "publish")

    async def caller(self) -> Caller:
        caller = _RealCaller(self.broker)
        self._callers.append(caller)
        message = await arrives(self)
        await message.settler.ack()
        caller.address = message.properties.reply_to or ""
        return caller

    def hasty(self) -> Publisher:
        return AmqpPublisher(self._link("publish"), self.watcher, 0.05)


def _is_ours(connection: dict[str, Any]) -> bool:
    name: str = connection.get("client_properties", {}).get("connection_name", "")
    return name.startswith("sttd")


class _RealCaller:
    """Another client: pika, which gets its address from the broker with its first request."""

    def __init__(self, broker: Broker) -> None:
        self.address = ""
        self._connection = broker.connect()
        self._replies: list[bytes] = []
        channel = self._connection.channel()
        channel.basic_consume(names.DIRECT_REPLY_TO, lambda _c, _m, _p, body: self._replies.append(body), auto_ack=True)
        channel.basic_publish("", names.REQUESTS, b"who am I?", pika.BasicProperties(reply_to=names.DIRECT_REPLY_TO))

    async def received(self) -> bytes:
        deadline = Deadline()
        while not (self._replies or deadline.passed):
            self._connection.process_data_events(0.05)
        (body,) = self._replies
        return body

    def leave(self) -> None:
        if self._connection.is_open:
            self._connection.close()


def memory_bus() -> Bus:
    """The memory bus, in the same clothes."""
    return _MemoryBus()


@asynccontextmanager
async def real_bus(broker: Broker) -> AsyncIterator[_RealBus]:
    """The real bus, connected; closed afterwards."""
    bus = _RealBus(broker)
    await bus.start()
    try:
        yield bus
    finally:
        await bus.close()


async def arrives(bus: Bus) -> Incoming:
    """The next delivery."""
    async with asyncio.timeout(PATIENCE):
        return await bus.incoming.get()
