"""Consumes the request lanes: deliveries come in as `Incoming`, acks go back on the channel they came from.

Never settles a message itself and never uses `message.process()`, which rejects without requeue when cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import ChannelClosed

from sttd.consumer.bus import control, header_guard, topology
from sttd.consumer.bus.lane_consumer import CANCEL_SECONDS, LaneConsumer, stale
from sttd.consumer.bus.link import Link, Loss, lost_as, open_channel
from sttd.consumer.bus.seam import Incoming, Settler
from sttd.consumer.errors import StaleDelivery
from sttd.schemas import names
from sttd.schemas.request import Properties

WATCH_EVERY = 4.0  # s between two checks of the queues' lengths, and of whether the broker has us as a consumer
WATCH_SECONDS = 10.0  # for one look; half of it where there is another node to go to
LOOKS_WITHOUT_US = 3  # in a row; a leader of a node that stands still is replaced after 5 to 10 s

log = structlog.get_logger(__name__)

KEPT = {"dead": names.DEAD, "replies_dead": names.REPLIES_DEAD}  # without consumers


class AmqpIntake:
    """The consuming half of the bus. `lanes` maps each queue to its prefetch."""

    def __init__(
        self,
        *,
        link: Link,
        plan: topology.Topology,
        mode: Literal["declare", "check"],
        lanes: Mapping[str, int],
        cancel: Callable[[str], None] = lambda _message_id: None,
        counted: Callable[[str, int], None] = lambda _queue, _depth: None,
        ignored: Callable[[], None] = lambda: None,
    ) -> None:
        """`cancel` gets the id of each request that its caller cancels.

        `counted` gets how many messages are ready: by a lane's queue name, or by `dead` and `replies_dead`.
        `ignored` is called for each message on the operator's exchange that is no order.
        """
        self._counted = counted
        self._link = link
        self._plan = plan
        self._mode: Literal["declare", "check"] = mode
        self._wanted = lanes
        self._ignored = ignored
        self._obey: control.Orders | None = None
        self._most: dict[str, int] = {}
        self._sink: Callable[[Incoming], None]
        self._orphaned: Callable[[], None]
        self._cancel = cancel
        self._lanes: list[LaneConsumer] = []
        self._loss: Loss | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = False
        self._paused: set[str] = set()
        self._settled = asyncio.Event()
        # A session's set-up and a resume at one time would register two consumers for a lane.
        self._registering = asyncio.Lock()

    async def run(
        self,
        sink: Callable[[Incoming], None],
        orphaned: Callable[[], None],
        obey: control.Orders | None = None,
    ) -> None:
        """Keep the consuming connection up until cancelled. Raises `TopologyMismatch`.

        `sink` takes each delivery at once; `orphaned` is called when a connection is gone: its deliveries come again.
        `obey` carries out an operator's orders.
        """
        self._sink, self._orphaned, self._obey = sink, orphaned, obey
        await self._link.run(self._session, self._ended)

    async def _session(self, connection: AbstractConnection, loss: Loss) -> None:
        await topology.ensure(connection, self._plan, self._mode, _hidden)
        await control.hear_cancels(connection, self._cancel)
        if self._obey is not None:
            await control.hear_orders(connection, self._obey, self._ignored)
        self._loss = loss
        for name in self._wanted:
            channel = await open_channel(connection, loss, confirms=False)
            await _hear_cancels(channel, name, loss)
            self._lanes.append(LaneConsumer(name, channel, await channel.get_queue(name, ensure=False)))
        await self._consume()
        for name, work in (("consumer-watch", self._watch_consumer(connection, loss)), ("refill", self._refill())):
            task = asyncio.create_task(work, name=name)
            task.add_done_callback(partial(_report_end, loss))
            self._tasks.append(task)

    def _ended(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        self._lanes.clear()
        self._loss = None
        self._orphaned()

    async def _consume(self) -> None:
        async with self._registering:
            loss = self._loss
            # The first lane last: a refusal of another one, which ends the session, must not use up its deliveries.
            for lane in (*self._lanes[1:], *self._lanes[:1]):
                # Lost during the drain: a new connection must not bring new work. Paused: `resume` registers them.
                if loss is not None and not (self._stopped or self._paused):
                    await lane.fill(self._most_of(lane), partial(self._deliver, lane, loss))

    async def _refill(self) -> None:
        """Let consumers take what cancelled ones had in hand, as it is settled."""
        while True:
            await self._settled.wait()
            self._settled.clear()
            if any(lane.left(self._most_of(lane)) > 0 for lane in self._lanes):
                await self._consume()

    def _most_of(self, lane: LaneConsumer) -> int:
        return min([self._wanted[lane.name], *self._most.values()])

    async def _deliver(self, lane: LaneConsumer, loss: Loss, message: AbstractIncomingMessage) -> None:
        settler = lane.took(message, self._settled.set)
        # A delivery between the loss of one channel and the end of the connection, or after the stop, is delivered
        # again elsewhere.
        if not (self._stopped or loss.happened):
            self._sink(incoming(lane.name, message, settler))

    async def _watch_consumer(self, connection: AbstractConnection, loss: Loss) -> None:
        """Ask the broker how long the queues are, and whether we are still consumers.

        After a failover it may have lost the consumer without a notice (aio-pika #231). One look proves nothing:
        RabbitMQ says 0 of everything while a queue's leader is elected, or does not answer it in 250 ms. A node that
        is cut off from the others says so for ever.
        """
        missing = 0
        while True:
            wanted = self._consumes
            async with asyncio.timeout(WATCH_SECONDS / 2 if self._link.several else WATCH_SECONDS):
                consumers = await self._look(connection)
                if self._link.several:
                    await self._renew()
            gone = wanted and self._consumes and consumers == 0
            missing = missing + 1 if gone else 0
            if missing == LOOKS_WITHOUT_US:
                loss.report(f"the broker has no consumer of {next(iter(self._wanted))}")
            await asyncio.sleep(WATCH_EVERY)

    @property
    def _consumes(self) -> bool:
        """Whether the broker should have us as a consumer of the first lane."""
        return not (self._stopped or self._paused) and any(lane.consuming for lane in self._lanes[:1])

    async def _renew(self) -> None:
        """Be the last lane's consumer anew, for which the broker needs a majority of its nodes.

        A leader that is cut off from the others says for ever that it has our consumer, and delivers nothing.
        The old one goes first: two could bring two suspects, of which only one may be in hand.
        """
        async with self._registering:
            lane, loss = self._lanes[-1], self._loss
            if loss is not None and lane.consuming and not (self._stopped or self._paused):
                await lane.leave()
                await lane.fill(self._most_of(lane), partial(self._deliver, lane, loss))

    async def _look(self, connection: AbstractConnection) -> int | None:
        """Report how long each queue is; return the first lane's consumers, None if the user may not look."""
        channel = await connection.channel(publisher_confirms=False)
        try:
            found = {
                name: (await channel.declare_queue(name, passive=True)).declaration_result for name in self._wanted
            }
        except ChannelClosed as error:
            if "ACCESS_REFUSED" not in str(error):
                raise
            return None
        for name, result in found.items():
            self._counted(name, result.message_count or 0)
        with suppress(ChannelClosed):  # no work depends on these: deleted, or not permitted, they are not counted
            for label, name in KEPT.items():
                kept = await channel.declare_queue(name, passive=True)
                self._counted(label, kept.declaration_result.message_count or 0)
            await channel.close()
        return found[next(iter(self._wanted))].consumer_count or 0

    def reconnect(self, reason: str) -> None:
        """See `Intake.reconnect`: the only way to have one delivery again, counted, without settling it."""
        if self._loss is not None:
            self._loss.report(reason)

    @property
    def hand(self) -> int:
        """How many notes of the first lane may be in hand now."""
        return min([next(iter(self._wanted.values())), *self._most.values()])

    async def stop_consuming(self) -> None:
        """Ask the broker for no more deliveries, now and after a reconnect.

        The connection stays up for what is in hand.
        """
        self._stopped = True
        await self._leave()

    async def pause(self, reason: str) -> None:
        """See `Intake.pause`."""
        self._paused.add(reason)
        await self._leave()

    async def resume(self, reason: str, most: int | None = None) -> None:
        """See `Intake.resume`. `most` holds for consumers that register from now on, so after a pause."""
        self._paused.discard(reason)
        self._most.pop(reason, None)
        if most is not None:
            self._most[reason] = most
        try:
            with lost_as(stale):
                await self._consume()
        except StaleDelivery as error:  # the next session consumes by itself
            self.reconnect(f"no consumer could be registered: {error.__cause__!r}")

    async def _leave(self) -> None:
        """Cancel all consumers at once.

        A broker that does not answer costs one timeout, not one for each lane.
        """
        with suppress(TimeoutError):  # a registration that gets no answer makes no consumer
            async with asyncio.timeout(CANCEL_SECONDS), self._registering:
                await asyncio.gather(*(lane.leave() for lane in self._lanes))


def _hidden(what: str, refusal: str) -> None:
    log.warning(
        "the daemon's user may not look whether this is there; it must be, and the daemon serves without the look",
        action="topology_hidden",
        what=what,
        reason=refusal[:200],
    )


def _report_end(loss: Loss, task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        loss.report(f"the {task.get_name()} of the intake ended: {task.exception()!r}")


async def _hear_cancels(channel: AbstractChannel, lane: str, loss: Loss) -> None:
    """A deleted queue or a failover cancels the consumer while the connection looks healthy (aio-pika #334)."""
    underlay = await channel.get_underlay_channel()
    underlay.on_consumer_cancel_callbacks.add(
        lambda _frame: loss.report(f"the broker cancelled the consumer of {lane}")
    )


def incoming(lane: str, message: AbstractIncomingMessage, settler: Settler) -> Incoming:
    """Translate aio-pika's message. `settler`: its way back."""
    headers: dict[str, Any] = dict(message.headers or {})
    redelivered = bool(message.redelivered)
    return Incoming(
        lane=lane,
        body=message.body,
        properties=_properties(message, headers),
        settler=settler,
        received=asyncio.get_running_loop().time(),
        received_at=datetime.now(UTC),
        redelivered=redelivered,
        # On a first delivery quorum queues write no count, so one that is there came from the caller.
        deliveries=_count(headers.get("x-delivery-count")) if redelivered else 0,
        malformed=header_guard.reason_of(headers),
    )


def _properties(message: AbstractIncomingMessage, headers: dict[str, Any]) -> Properties:
    expiration = message.expiration
    return Properties(
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        correlation_id=message.correlation_id,
        reply_to=message.reply_to or None,
        message_id=message.message_id,
        expiration=expiration if isinstance(expiration, int | float) else None,
        timestamp=_aware(message.timestamp),
        headers=headers,
    )


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def _count(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**31 else 0
