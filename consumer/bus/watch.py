"""Watches a consuming session: how long the queues are, whether the broker has our consumers, whether the node serves.

Only asks, and ends the session by its `Loss` or by an error; what is consumed is the intake's matter.

A node that stands still, or is cut off from the others, keeps its connections. So each question to one of several nodes
has a short time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol, TypeAlias, TypeVar

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelClosed

from sttd.consumer.bus.link import Loss
from sttd.schemas import names

EVERY = 4.0  # s between two looks at a single node
EVERY_OF_SEVERAL = 2.0
PATIENCE = 10.0  # s for one look at a single node: there is no better one
PATIENCE_OF_SEVERAL = 4.0  # s for each question; it is more than a disk or a pause of a well node takes
WITHOUT_US = 12.0  # s; a leader of a node that stands still is replaced after 5 to 10 s

KEPT = {"dead": names.DEAD, "replies_dead": names.REPLIES_DEAD}  # without consumers

T = TypeVar("T")
Consumers: TypeAlias = dict[str, int] | None
"""Of each lane; None: the user may not look."""


class Watched(Protocol):
    """The intake, as far as it is watched."""

    @property
    def consuming(self) -> frozenset[str]:
        """Of `lanes` those of which the broker should have us as a consumer: not while it is paused, or has enough."""

    @property
    def lanes(self) -> tuple[str, ...]:
        """The queues that are served."""

    async def renew(self) -> None:
        """Be the last lane's consumer anew, for which the broker needs that queue's leader and a majority of nodes."""

    async def agree(self) -> None:
        """Have the broker write something that changes nothing, for which it needs a majority of nodes."""


class Watch:
    """Looks at the queues again and again."""

    def __init__(self, intake: Watched, counted: Callable[[str, int], None], *, several: bool) -> None:
        """`counted`: see `AmqpIntake`. `several`: whether there is another node to go to."""
        self._intake = intake
        self._counted = counted
        self._several = several

    async def run(self, connection: AbstractConnection, loss: Loss) -> None:
        """Until the session is lost: report that, or raise `TimeoutError` where the node does not answer.

        One look without a consumer proves nothing: RabbitMQ says 0 of everything while a queue's leader is elected, or
        does not answer it in 250 ms.
        """
        clock = asyncio.get_running_loop().time
        seen: dict[str, float] = {}
        while True:
            wanted = self._intake.consuming
            found = await self._in_time(self._look(connection))
            wanted &= self._intake.consuming
            missed = {lane for lane in wanted if found is not None and not found.get(lane)}
            seen |= dict.fromkeys({*self._intake.lanes} - missed, clock())
            gone = {lane for lane in missed if clock() - seen.setdefault(lane, clock()) >= WITHOUT_US}
            if self._several and wanted:
                await self._in_time(self._proof(wanted - missed | gone))
                gone.discard(self._intake.lanes[-1])  # it has a consumer again
            if gone:
                loss.report(f"the broker has no consumer of {', '.join(sorted(gone))}")
            await asyncio.sleep(EVERY_OF_SEVERAL if self._several else EVERY)

    async def _proof(self, ready: frozenset[str]) -> None:
        """Have a node show that it serves, which one that is cut off from the others cannot.

        A leader that is cut off says for ever that it has our consumers, and delivers nothing. To be the consumer of a
        queue that is not `ready`, without a leader, would end the connection after half a minute: such a node is asked
        for something else, and stays ours while the leader is replaced.
        """
        await (self._intake.renew() if self._intake.lanes[-1] in ready else self._intake.agree())

    async def _in_time(self, question: Awaitable[T]) -> T:
        async with asyncio.timeout(PATIENCE_OF_SEVERAL if self._several else PATIENCE):
            return await question

    async def _look(self, connection: AbstractConnection) -> Consumers:
        """Report how long each queue is; return each lane's consumers.

        After a failover the broker may have lost a consumer without a notice (aio-pika #231).
        """
        channel = await connection.channel(publisher_confirms=False)
        try:
            found = {
                name: (await channel.declare_queue(name, passive=True)).declaration_result
                for name in self._intake.lanes
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
        return {name: result.consumer_count or 0 for name, result in found.items()}
