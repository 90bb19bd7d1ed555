"""The client: audio in, transcript out, over one reply queue for any number of requests in flight.

Connections are amqp.py's.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self, Unpack
from uuid import uuid4

import aio_pika
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from pydantic import ValidationError

from sttd import arguments, errands, errors, late, refusals, tracing
from sttd.amqp import ClientLink
from sttd.arguments import Id, as_text, identifier
from sttd.call_options import CallOptions, Options
from sttd.cancelling import Control
from sttd.content import Audio, Content, content_of, read
from sttd.errands import QueueState
from sttd.replies import Dropped, Pending, Replies
from sttd.schemas.codes import ErrorCode
from sttd.schemas.options import TranscriptionOptions
from sttd.schemas.reply import Progress, Transcript
from sttd.schemas.validation import problems
from sttd.settings import load

_CLOCKS_AGREE_SECONDS: Final = 5.0


class Client:
    """Publishes voice notes and awaits their transcripts.

    One client serves any number of concurrent calls of one event loop.

    A request whose call returned from publishing is at the broker; it survives a restart of the broker, of the daemon
    and of this client's connection. An answer reaches its call if the client is back within ten minutes.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        queue: str | None = None,
        timeout: float | None = None,
        name: str = "sttd client",
    ) -> None:
        """Open nothing yet. What is None comes from `STTD_AMQP_URL`, `STTD_REQUEST_QUEUE` and `STTD_TIMEOUT` (seconds).

        `name` is shown in the broker's list of connections. Raises `SettingsInvalid`.
        """
        self._settings = load(amqp_url=url, request_queue=queue, timeout=timeout)
        self._replies = Replies()
        self._reply_queue = f"sttd.client.{uuid4()}"
        self._link = ClientLink(
            self._settings,
            name=name,
            reply_queue=self._reply_queue,
            on_reply=self._replies.take,
            on_down=self._replies.fail_all,
        )
        self._control = Control(self._link)
        self._open = False
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Connect and start to listen for replies; `async with` does it. May be called twice.

        Raises `BrokerUnavailable`.
        """
        async with self._opening:  # a second connection would never be closed
            if not self._open:
                await self._link.open()
                self._open = True

    async def close(self) -> None:
        """Close: pending calls fail with `ClientClosed` and are cancelled, the reply queue is deleted.

        May be called twice.
        """
        self._open = False
        self._control.withdraw(*self._replies.waiting)
        self._replies.fail_all(
            errors.ClientClosed("the client was closed before the answer came; the daemon was asked to stop")
        )
        await self._control.close()
        await self._link.close()

    async def transcribe(
        self,
        audio: Audio,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - it is also the daemon's deadline, which a scope is not
        queue: str | None = None,
        correlation_id: Id | None = None,
        message_id: Id | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        **options: Unpack[Options],
    ) -> Transcript:
        """Send one voice note and await its transcript. Silence is a transcript too: `no_speech`, empty `text`.

        `audio`: the file's bytes, a path, an open binary file (read off the event loop), or a `Reference` to an object.
        `timeout`: seconds for the whole call (default: the client's, else by the size of the audio; `math.inf`: none);
        unless `deadline` is given, it is the daemon's deadline too. `queue`: `stt.requests.bulk` for backfills.
        `correlation_id`: shown in the daemon's log; need not be unique; the message id if absent; an integer travels as
        its decimal text. `message_id`: names the request for `cancel`; must be unique, and is made up if absent.
        `on_progress`: called in the event loop with each progress message; must not block. `options`:
        `sttd.schemas.options.TranscriptionOptions`. A call that is cancelled or times out cancels its request at the
        daemon as well.

        Raises `TranscriptionFailed` (by code: `BadRequest`, of which `WrongArgument` is one, `RejectedAudio`,
        `Expired`, `Cancelled`, `DaemonFailed`), `NotServed`, `QueueFull`, `ReplyTimeout`, `BrokerUnavailable`,
        `BadReply`, `ClientClosed`; `OSError` when the file cannot be read, as `TimeoutError` when not in time.
        """
        self._must_be_open()
        arguments.check(timeout=timeout, queue=queue, on_progress=on_progress)
        begun, called = asyncio.get_running_loop().time(), datetime.now(UTC)
        chosen = self._settings.timeout if timeout is None else timeout
        given = await read(audio, late.LEAST_SECONDS if chosen is None else chosen)
        self._must_be_open()  # still: what is added to the replies after `close` would wait in vain
        patience = late.patience(len(given) if isinstance(given, bytes) else None) if chosen is None else chosen
        asked = _asked(options, patience, progress=on_progress is not None, called=called)
        named = identifier("message_id", message_id)
        both = named, identifier("correlation_id", named if correlation_id is None else correlation_id)
        pending = Pending(*both, asyncio.get_running_loop().create_future(), on_progress)
        message = self._message(content_of(given, asked), pending)
        return await self._ask(message, queue or self._settings.request_queue, pending, patience, begun)

    async def stream(self, audio: Audio, **call: Unpack[CallOptions]) -> AsyncGenerator[Progress | Transcript]:
        """The same as an iterator: each `Progress` as it comes, and the `Transcript` as the last item.

        Takes the arguments of `transcribe` but for `on_progress`, and raises the same. Leaving the loop early cancels
        the request; `contextlib.aclosing` makes that happen at once, as with any asynchronous generator.
        """
        updates: asyncio.Queue[Progress | None] = asyncio.Queue()
        answer = asyncio.create_task(self.transcribe(audio, on_progress=updates.put_nowait, **call), name="sttd stream")
        answer.add_done_callback(lambda _: updates.put_nowait(None))
        try:
            while (update := await updates.get()) is not None:
                yield update
            yield await answer
        finally:
            answer.cancel()
            await asyncio.gather(answer, return_exceptions=True)

    async def cancel(self, message_id: Id) -> None:
        """Cancel a request, this client's or another's, queued or in hand.

        A call of this client that waits for it raises `Cancelled`. A request that is answered already stays answered.
        Raises `BrokerUnavailable`, `NotServed`, `ClientClosed`, `BadRequest`.
        """
        self._must_be_open()
        named = identifier("message_id", message_id)
        said = "the request was cancelled through this client"
        self._replies.fail(named, errors.Cancelled(ErrorCode.CANCELLED, said, message_id=named))
        await self._control.cancel([named])

    async def _ask(
        self, message: aio_pika.Message, queue: str, pending: Pending, patience: float, begun: float
    ) -> Transcript:
        confirmed = False
        limit = asyncio.timeout_at(None if patience == math.inf else begun + patience)
        self._replies.add(pending)
        try:
            async with limit:
                with tracing.publishing(message.headers, queue):
                    await self._link.publish(message, queue, wanted=lambda: not pending.answer.done())
                confirmed = True
                return await pending.answer
        except errors.Expired as error:
            raise _doubt_clocks(error, begun + patience - asyncio.get_running_loop().time()) from None
        except errors.SttdClientError as error:
            if isinstance(error, errors.WrongArgument):  # of `on_progress`, which wants to be awaited
                self._control.withdraw(pending.message_id)
            raise
        except (asyncio.CancelledError, Exception) as error:  # nobody waits: left, too late, or `on_progress` failed
            self._control.withdraw(pending.message_id)
            if not (isinstance(error, TimeoutError) and limit.expired()):
                raise
            raise await self._too_late(pending, queue, patience, confirmed=confirmed) from None
        finally:
            self._replies.discard(pending)

    def _must_be_open(self) -> None:
        if not self._open:
            raise errors.ClientClosed("the client is not open: use `async with Client() as client:`")

    def _message(self, content: Content, pending: Pending) -> aio_pika.Message:
        return aio_pika.Message(
            content.body,
            headers=dict(content.headers),
            content_type=content.content_type,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            correlation_id=pending.correlation_id,
            message_id=pending.message_id,
            reply_to=self._reply_queue,
            timestamp=datetime.now(UTC),
        )

    async def _too_late(
        self, pending: Pending, queue: str, patience: float, *, confirmed: bool
    ) -> errors.SttdClientError:
        if confirmed:
            why = await late.why(self._link, queue, self._settings.broker)
            return errors.ReplyTimeout(f"no answer to request {pending.message_id} within {patience:.4g} s: {why}")
        why = await late.away(self._link, self._settings.broker)
        return errors.BrokerUnavailable(
            f"the broker did not confirm request {pending.message_id} within {patience:.4g} s: {why}; it may or may "
            "not be queued"
        )

    async def queue_state(self, queue: str | None = None) -> QueueState:
        """How many requests wait in a queue (default: the client's) and how many daemons serve it, by passive declare.

        Raises `NotServed` if there is no such queue, `NotVisible` if the user may not look at it, `BrokerUnavailable`
        if the broker is away or does not answer within 3 s.
        """
        name = queue or self._settings.request_queue
        if not self._link.connected:
            raise errors.BrokerUnavailable(
                self._link.trouble or f"no connection to RabbitMQ at {self._settings.broker} yet"
            )
        try:
            async with asyncio.timeout(errands.ERRAND_SECONDS):
                state = await errands.look(await self._link.connection(), name)
        except CONNECTION_EXCEPTIONS as error:
            if await self._link.blocked():
                raise errors.BrokerBlocked(refusals.blocked(self._settings.broker)) from error
            raise errors.BrokerUnavailable(
                f"RabbitMQ at {self._settings.broker} does not answer ({type(error).__name__})"
            ) from error
        if state is None:
            raise errors.NotServed(
                f"queue {name} does not exist at {self._settings.broker}: no daemon has served it yet (`sttd serve`)"
            )
        return state

    @property
    def request_queue(self) -> str:
        """Where its requests go, unless a call names another queue."""
        return self._settings.request_queue

    @property
    def dropped(self) -> Dropped:
        """Replies that no call waited for: duplicates of an answer, and answers that came too late."""
        return self._replies.dropped

    @property
    def connected(self) -> bool:
        """Whether the broker is connected now. Calls made while it is not wait for it."""
        return self._link.connected

    def __repr__(self) -> str:
        state = "connected" if self.connected and self._open else "reconnecting" if self._open else "closed"
        dropped = self.dropped.duplicate + self.dropped.late
        return (
            f"<Client {self._settings.request_queue} at {self._settings.broker}: {state}, "
            f"{len(self._replies)} in flight, {self._replies.answered} answered, {dropped} dropped>"
        )

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _asked(
    options: Options, patience: float, *, progress: bool, called: datetime | None = None
) -> TranscriptionOptions:
    """Validate the options here, with the daemon's own messages. `called`: when the call began, if not now."""
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if "caller" in given:
        given["caller"] = as_text("caller", given["caller"])
    if progress:
        given.setdefault("progress", True)
    if patience != math.inf:
        given.setdefault("deadline", (called or datetime.now(UTC)) + timedelta(seconds=patience))
    try:
        return TranscriptionOptions.model_validate(given)
    except ValidationError as error:
        raise _refusal(error) from None


def _refusal(error: ValidationError) -> errors.BadRequest:
    found = [{"field": field, "problem": problem} for field, problem in problems(error, CallOptions.__annotations__)]
    first = found[0]
    return errors.BadRequest.by_code(
        ErrorCode.BAD_REQUEST, f"{first['field']}: {first['problem']}", {"problems": found}
    )


def _doubt_clocks(error: errors.Expired, left: float) -> errors.Expired:
    """Describe a deadline, made from the timeout, that passes long before the timeout.

    The cause is a difference of clocks, and hard to guess.
    """
    if _CLOCKS_AGREE_SECONDS < left < math.inf:
        error.add_note(
            f"{left:.0f} s of this call's timeout were left: unless it gave a `deadline`, the two machines' clocks "
            "disagree"
        )
    return error
