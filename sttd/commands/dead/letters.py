"""One of the two dead-letter queues: read it message by message, settle what was chosen, give everything else back.

Never publishes. At most one body is in memory.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ChannelNotFoundEntity

from sttd.errors import BrokerUnavailable
from sttd.schemas import names

GET_SECONDS: Final = 10
"""On a parked reply: the queue that was gone."""

MS_OF_YEAR_10000: Final = 253_402_300_800_000
_COUNTS: Final = frozenset({"x-delivery-count", "x-acquired-count"})


class Kind(StrEnum):
    """The queues of messages that could not be served."""

    REQUESTS = names.DEAD
    REPLIES = names.REPLIES_DEAD


class NoSuchQueue(BrokerUnavailable):
    """The queue does not exist on this broker."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead message without its body. `size`: bytes of the body; `deliveries`: how often it was delivered before."""

    routing_key: str
    size: int
    headers: Mapping[str, Any] = field(repr=False)
    properties: Mapping[str, Any] = field(repr=False)
    malformed: str | None = None

    @property
    def message_id(self) -> str | None:
        """The request's own, or the one that the daemon gave it; a parked reply has its own."""
        return _text(self.properties.get("message_id"))

    @property
    def correlation_id(self) -> str | None:
        """The caller's."""
        return _text(self.properties.get("correlation_id"))

    @property
    def reply_to(self) -> str | None:
        """Where the answer should have gone."""
        return _text(self.properties.get("reply_to"))

    @property
    def death(self) -> Mapping[str, Any]:
        """The broker's own last entry in `x-death`; empty when the daemon sent it here."""
        deaths = self.headers.get("x-death")
        return deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], Mapping) else {}

    @property
    def reason(self) -> str:
        """Why it is here: the daemon's word, or the broker's, which comes later than any mark of a retry."""
        told = self.death.get("reason") or self.headers.get(names.REASON_HEADER)
        return str(told or ("unroutable" if self.meant_for else "unknown"))

    @property
    def code(self) -> str | None:
        """The error code in the failure that the caller got, or would have got."""
        return _text(self.headers.get(names.ERROR_CODE_HEADER))

    @property
    def attempt(self) -> int | None:
        """The last try, counted from 1."""
        told = self.headers.get(names.ATTEMPT_HEADER)
        return told if isinstance(told, int) and not isinstance(told, bool) else None

    @property
    def worker(self) -> str | None:
        """Who gave up on it."""
        return _text(self.headers.get(names.WORKER_HEADER))

    @property
    def meant_for(self) -> str | None:
        """Of a parked reply: the queue that was gone."""
        told = self.headers.get(names.MEANT_FOR_HEADER)
        return told if isinstance(told, str) and told else None

    @property
    def seen(self) -> datetime | None:
        """When a daemon first had it, or the broker put it here, or the sender's own timestamp."""
        told = self.headers.get(names.FIRST_SEEN_HEADER)
        if isinstance(told, int) and 0 < told < MS_OF_YEAR_10000:
            return datetime.fromtimestamp(told / 1000, UTC)
        for moment in (self.death.get("time"), self.properties.get("timestamp")):
            if isinstance(moment, datetime):
                return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return None

    def lane(self, lanes: Sequence[str]) -> str | None:
        """Which of our request queues it came from.

        Nothing that a sender could have made up counts beyond these names.
        """
        claims = (self.headers.get(names.LANE_HEADER), self.routing_key, self.death.get("queue"))
        return next((claim for claim in claims if claim in lanes), None)

    def same(self, other: "Letter") -> bool:
        """Whether it is the same message, looked at once more: only the count of looks may differ."""
        return (self.routing_key, self.size, self.properties, _lasting(self.headers)) == (
            other.routing_key,
            other.size,
            other.properties,
            _lasting(other.headers),
        )


def _text(told: object) -> str | None:
    return None if told is None else str(told)


def _lasting(headers: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in headers.items() if name not in _COUNTS}


@dataclass(frozen=True, slots=True)
class Held:
    """A letter that only we have now; it goes back to its queue unless it is removed."""

    letter: Letter
    body: bytes = field(repr=False)
    _message: AbstractIncomingMessage = field(repr=False)

    async def remove(self) -> None:
        """Take it out of the queue for good."""
        await self._message.ack()


class DeadQueue:
    """What is in the queue, one message at a time; everything stays ours until the `async with` ends."""

    def __init__(self, channel: AbstractChannel, name: str, total: int) -> None:
        """`total`: messages that were ready when it was opened."""
        self._channel = channel
        self._name = name
        self.total = total

    async def walk(self, limit: int | None = None) -> AsyncIterator[Held]:
        """Yield each message once, `limit` at most; what arrives meanwhile is left for the next time."""
        queue = await self._channel.get_queue(self._name, ensure=False)
        for _ in range(self.total if limit is None else min(limit, self.total)):
            message = await queue.get(fail=False, timeout=GET_SECONDS)
            if message is None:
                return
            yield Held(letter_of(message), message.body, message)


@asynccontextmanager
async def opened(connection: AbstractConnection, kind: Kind) -> AsyncIterator[DeadQueue]:
    """Open a dead-letter queue; what was not removed goes back at the end. Raises `NoSuchQueue`."""
    from sttd.consumer.bus import header_guard  # noqa: PLC0415 - commands import the daemon lazily

    channel = await connection.channel(publisher_confirms=False)
    try:
        found = await channel.declare_queue(kind, passive=True)
    except ChannelNotFoundEntity:
        raise NoSuchQueue(
            f"there is no queue {kind} on this broker: no daemon has served it yet, or STTD_AMQP_URL is wrong"
        ) from None
    with header_guard.installed():  # dead letters are where messages with properties that break the library end up
        try:
            yield DeadQueue(channel, kind, found.declaration_result.message_count or 0)
        finally:
            await _give_back(channel)


async def _give_back(channel: AbstractChannel) -> None:
    """With nack, which RabbitMQ 4.3 does not count as a failed delivery.

    A closed channel would count on every version.
    """
    with suppress(TimeoutError, *CONNECTION_EXCEPTIONS):  # the end of the connection gives them back as well
        async with asyncio.timeout(GET_SECONDS):
            if not channel.is_closed:
                underlay = await channel.get_underlay_channel()
                await underlay.basic_nack(0, multiple=True, requeue=True)
                await channel.close()


PROPERTIES: Final = tuple(
    """
    message_id correlation_id reply_to content_type content_encoding timestamp expiration type app_id user_id priority
    delivery_mode
    """.split()
)


def letter_of(message: AbstractIncomingMessage) -> Letter:
    """Describe a message, and forget its body."""
    from sttd.consumer.bus import header_guard  # noqa: PLC0415 - commands import the daemon lazily

    headers = dict(message.headers or {})
    malformed = header_guard.reason_of(headers)
    told = {name: getattr(message, name, None) for name in PROPERTIES}
    return Letter(
        routing_key=message.routing_key or "",
        size=len(message.body),
        headers={} if malformed else headers,
        properties={name: value for name, value in told.items() if value not in (None, "")},
        malformed=malformed,
    )


@dataclass(frozen=True, slots=True)
class Choice:
    """Which letters are meant: by name, by reason, by code, or all. What is given must all fit."""

    ids: frozenset[str] = frozenset()
    reason: str | None = None
    code: str | None = None

    def takes(self, letter: Letter) -> bool:
        """Whether the letter is meant."""
        named = not self.ids or bool(self.ids & {letter.message_id, letter.correlation_id})
        return named and self.reason in (None, letter.reason) and self.code in (None, letter.code)

    def unmet(self, letters: Sequence[Letter]) -> Iterator[str]:
        """The names among `ids` that no letter bears."""
        borne = {name for letter in letters for name in (letter.message_id, letter.correlation_id)}
        return (name for name in sorted(self.ids) if name not in borne)
