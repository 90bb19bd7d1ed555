"""What `requeue` and `drop` do with each chosen dead letter, one by one: confirmed copy first, then remove.

Without `yes` it publishes nothing and removes nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelClosed, ChannelNotFoundEntity, DeliveryError, PublishError

from sttd.commands.dead import requeued
from sttd.commands.dead.letters import Choice, DeadQueue, Held, Kind, Letter
from sttd.commands.dead.report import name_of
from sttd.commands.dead.requeued import Fresh, NotPossible
from sttd.commands.exit_codes import Exit
from sttd.commands.terminal import harmless, say, tell
from sttd.errors import BrokerUnavailable
from sttd.schemas import names
from sttd.service.broker_errors import UNWRITABLE, words
from sttd.settings import ClientSettings

CONFIRM_SECONDS: Final = 10


@dataclass
class Drop:
    """Remove the letter."""

    verb: str = "drop"
    participle: str = "dropped"

    async def would(self, held: Held) -> str:
        """What would be dropped; changes nothing."""
        return _about(held.letter)

    async def do(self, held: Held) -> str:
        """Drop it, and return what was dropped."""
        await held.remove()
        return _about(held.letter)


@dataclass
class Requeue:
    """Publish what the letter becomes, then remove it: never the other way round."""

    connection: AbstractConnection
    renew: Callable[[Held], Fresh]
    verb: str = "requeue"
    participle: str = "requeued"
    _outbox: AbstractChannel | None = field(default=None, init=False)
    _known: dict[str, bool] = field(default_factory=dict, init=False)

    async def would(self, held: Held) -> str:
        """What would go where; changes nothing. Raises `NotPossible`, also for a queue that does not exist."""
        fresh = self.renew(held)
        if not await self._exists(fresh.queue):
            raise _gone(fresh.queue)
        return self._told(held, fresh)

    async def do(self, held: Held) -> str:
        """Send it again, and return what went where. Raises `NotPossible` when the letter had to stay."""
        fresh = self.renew(held)
        await self._publish(fresh)
        await held.remove()
        return self._told(held, fresh)

    def _told(self, held: Held, fresh: Fresh) -> str:
        for doubt in fresh.warnings:
            say(f"warning: {name_of(held.letter)}: {harmless(doubt)}")
        return f"{_about(held.letter)} -> {harmless(fresh.queue)}"

    async def _publish(self, fresh: Fresh) -> None:
        if self._outbox is None:
            self._outbox = await self.connection.channel(publisher_confirms=True, on_return_raises=True)
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                await self._outbox.default_exchange.publish(fresh.message, fresh.queue, mandatory=True)
        except PublishError:
            raise _gone(fresh.queue) from None
        except UNWRITABLE as error:
            raise NotPossible(f"it cannot be sent: {error}") from None
        except DeliveryError:
            raise NotPossible(f"the broker did not take it: is {fresh.queue} at its limit?") from None
        except ChannelClosed as error:
            raise BrokerUnavailable(
                f"the broker refuses the copy ({words(error)}): nothing was removed for it"
            ) from error
        except TimeoutError:
            raise BrokerUnavailable(
                f"no confirm from the broker within {CONFIRM_SECONDS} s (memory or disk alarm?): "
                "the last message may be in both queues now"
            ) from None

    async def _exists(self, queue: str) -> bool:
        if queue not in self._known:
            channel = await self.connection.channel(publisher_confirms=False)
            try:
                await channel.declare_queue(queue, passive=True)
                self._known[queue] = True
                await channel.close()
            except ChannelNotFoundEntity:
                self._known[queue] = False
            except (ChannelClosed, ValueError):
                # Another connection's exclusive queue, or a name that the library will not ask for: both take what is
                # published to them, and whether there is one is found out then.
                self._known[queue] = True
        return self._known[queue]


Deed = Drop | Requeue


def requeueing(
    connection: AbstractConnection, kind: Kind, settings: ClientSettings, to: str | None, reply_to: str | None
) -> Requeue:
    """Bind the command line's options to what is published."""
    from sttd.consumer.bus.topology import build  # noqa: PLC0415 - commands import the daemon lazily

    if kind is Kind.REPLIES:
        forbidden = build(settings.request_queue).forbidden_reply_targets
        return Requeue(connection, lambda held: requeued.reply(held.letter, held.body, forbidden=forbidden, queue=to))
    lanes = lanes_of(settings)
    return Requeue(
        connection, lambda held: requeued.request(held.letter, held.body, lanes=lanes, queue=to, reply_to=reply_to)
    )


def lanes_of(settings: ClientSettings) -> tuple[str, ...]:
    """Our request queues, the interactive one first."""
    return names.request_queues(settings.request_queue)[:-1]


async def work(queue: DeadQueue, choice: Choice, deed: Deed, limit: int | None, *, yes: bool) -> Exit:
    """Go through the queue once. A letter that has to stay is reported on stderr, and by the exit code."""
    seen: list[Letter] = []
    done = stayed = 0
    async for held in queue.walk():
        seen.append(held.letter)
        if not choice.takes(held.letter):
            continue
        if await _one(held, deed, yes=yes):
            done += 1
        else:
            stayed += 1
        if done == limit:
            break
    missing = list(choice.unmet(seen))
    for name in missing:
        say(f"nothing is called {harmless(name)}")
    say(_summary(deed, done, stayed, yes=yes))
    return Exit.FAILED if stayed or missing else Exit.OK


async def _one(held: Held, deed: Deed, *, yes: bool) -> bool:
    act: Callable[[Held], Awaitable[str]] = deed.do if yes else deed.would
    try:
        told = await act(held)
    except NotPossible as error:
        say(f"{name_of(held.letter)} stays: {harmless(str(error))}")
        return False
    tell(f"{deed.participle if yes else 'would ' + deed.verb} {told}")
    return True


def _summary(deed: Deed, done: int, stayed: int, *, yes: bool) -> str:
    if not done and not stayed:
        return f"none {deed.participle}: `sttd dead list` shows what is there"
    told = f"{done} {deed.participle}" if yes else f"{done} would be {deed.participle}: add --yes to do it"
    return told + (f"; {stayed} cannot be" if stayed else "")


def _about(letter: Letter) -> str:
    why = letter.reason if letter.code is None else f"{letter.reason}, {letter.code}"
    return f"{name_of(letter)} ({harmless(why)}; {letter.size:,} bytes)"


def _gone(queue: str) -> NotPossible:
    return NotPossible(f"there is no queue {queue} now")
