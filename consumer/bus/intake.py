"""Consumes the request lanes: deliveries come in as `Incoming`, acks go back on the channel they came from.

Never settles a message itself and never uses `message.process()`, which rejects without requeue when cancelled.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Literal

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import ChannelClosed

from sttd.consumer.bus import control, topology
from sttd.consumer.bus.deliveries import incoming, stale
from sttd.consumer.bus.lane_consumer import CANCEL_SECONDS, LaneConsumer
from sttd.consumer.bus.link import Link, Loss, denied, lost_as, open_channel
from sttd.consumer.bus.seam import Incoming
from sttd.consumer.bus.watch import Watch
from sttd.consumer.errors import StaleDelivery
from sttd.schemas import names

log = structlog.get_logger(__name__)


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
        self._link = link
        self._watch = Watch(self, counted, several=link.several)
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
        self._cancels: AbstractQueue | None = None
        self._without: dict[str, str] = {}
        self._told: frozenset[str] = frozenset()
        self._loss: Loss | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = False
        self._paused: set[str] = set()
        self._settled = asyncio.Event()
        # A session's set-up and a resume at one time would register two consumers for a lane.
        self._registering = asyncio.Lock()

    async def run(
        self, sink: Callable[[Incoming], None], orphaned: Callable[[], None], obey: control.Orders | None = None
    ) -> None:
        """Keep the consuming connection up until cancelled. Raises `TopologyMismatch`.

        `sink` takes each delivery at once; `orphaned` is called when a connection is gone: its deliveries come again.
        `obey` carries out an operator's orders.
        """
        self._sink, self._orphaned, self._obey = sink, orphaned, obey
        await self._link.run(self._session, self._ended)

    async def _session(self, connection: AbstractConnection, loss: Loss) -> None:
        self._without = {}
        await topology.ensure(connection, self._plan, self._mode, self._hidden)
        self._cancels = await control.hear_cancels(connection, self._cancel)
        if self._obey is not None:
            try:
                await control.hear_orders(connection, self._obey, self._ignored)
            except ChannelClosed as error:
                self._without[names.OPERATOR_EXCHANGE] = str(error)
        self._loss = loss
        for name in self._wanted:
            channel = await open_channel(connection, loss, confirms=False, optional=name in self._plan.optional)
            await _hear_cancels(channel, name, loss)
            self._lanes.append(LaneConsumer(name, channel, await channel.get_queue(name, ensure=False)))
        await self._consume()
        self._tasks.append(loss.watch(self._watch.run(connection, loss), "the watch over the consumer"))
        self._tasks.append(loss.watch(self._refill(), "the refill of the intake"))

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
                if loss is not None and not self._halted():
                    try:
                        await self._fill(lane, loss)
                    except ChannelClosed as error:
                        if not (lane.name in self._plan.optional and denied(error)):
                            raise
                        self._without[lane.name] = str(error)
                        self._lanes.remove(lane)
        self._tell_without()

    def _halted(self) -> bool:
        return self._stopped or bool(self._paused)

    def _tell_without(self) -> None:
        """Once, not at each connection: users of earlier versions have no right to what is new."""
        if self._told < self._without.keys() | self._told:
            self._told |= self._without.keys()
            log.warning(
                "serving without %s: the user in STTD_AMQP_URL has no right to it, or it does not exist; to have it, "
                "run `sttd topology declare`, set the permissions in docs/operations.md and restart",
                " and ".join(sorted(self._without)),
                action="served_without",
                reasons=[reason[:200] for reason in self._without.values()],
            )

    def _hidden(self, what: str, refusal: str) -> None:
        if what.rpartition(" ")[2] not in self._plan.optional:  # of these `_tell_without` tells
            log.warning(
                "the daemon's user may not check whether this exists; the daemon goes on and expects that it does",
                action="topology_hidden",
                what=what,
                reason=refusal[:200],
            )

    async def _refill(self) -> None:
        """Let consumers take what cancelled ones had in hand, as it is settled."""
        while True:
            await self._settled.wait()
            self._settled.clear()
            if any(lane.left(self._most_of(lane.name)) > 0 for lane in self._lanes):
                await self._consume()

    async def _fill(self, lane: LaneConsumer, loss: Loss) -> None:
        await lane.fill(self._most_of(lane.name), partial(self._deliver, lane, loss))
        if self._halted():  # meanwhile: a pause does not wait long for a slow broker
            await lane.leave()

    def _most_of(self, lane: str) -> int:
        return min([self._wanted[lane], *self._most.values()])

    async def _deliver(self, lane: LaneConsumer, loss: Loss, message: AbstractIncomingMessage) -> None:
        settler = lane.took(message, self._settled.set)
        # A delivery between the loss of one channel and the end of the connection, or after the stop, is delivered
        # again elsewhere.
        if not (self._stopped or loss.happened):
            self._sink(incoming(lane.name, message, settler))

    @property
    def consuming(self) -> frozenset[str]:
        """See `Watched.consuming`."""
        return frozenset(lane.name for lane in self._lanes if lane.consuming and not self._halted())

    @property
    def lanes(self) -> tuple[str, ...]:
        """See `Watched.lanes`."""
        return tuple(lane.name for lane in self._lanes)

    def serves(self, queue: str) -> bool:
        """Whether this queue is consumed, as far as is known: an optional one may be denied to us."""
        return queue not in self._without

    async def renew(self) -> None:
        """See `Watched.renew`."""
        async with self._registering:
            lane, loss = self._lanes[-1], self._loss
            if loss is not None and lane.name in self.consuming:
                await lane.leave()  # first: two consumers could bring two suspects, of which one may be in hand
                await self._fill(lane, loss)

    async def agree(self) -> None:
        """See `Watched.agree`: bind our queue as it is bound. Without a queue of our own `renew` must do."""
        if self._cancels is None:
            await self.renew()
        else:
            await self._cancels.bind(names.CONTROL_EXCHANGE)

    def reconnect(self, reason: str) -> None:
        """See `Intake.reconnect`: the only way to have one delivery again, counted, without settling it."""
        if self._loss is not None:
            self._loss.report(reason)

    @property
    def hand(self) -> int:
        """How many notes of the first lane may be in hand now."""
        return self._most_of(next(iter(self._wanted)))

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


async def _hear_cancels(channel: AbstractChannel, lane: str, loss: Loss) -> None:
    """A deleted queue or a failover cancels the consumer while the connection looks healthy (aio-pika #334)."""
    underlay = await channel.get_underlay_channel()
    underlay.on_consumer_cancel_callbacks.add(
        lambda _frame: loss.report(f"the broker cancelled the consumer of {lane}")
    )
