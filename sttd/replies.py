"""Matches replies with pending requests and resolves their futures. Late and duplicate replies are counted.

Pure: no I/O, no clock; every method is synchronous and runs in the event loop.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from pydantic import ValidationError

from sttd import arguments, errors
from sttd.schemas.codes import ErrorCode
from sttd.schemas.reply import REPLY, Progress, Transcript
from sttd.schemas.validation import problems

REMEMBERED: Final = 10_000
"""Answers whose ids are kept, so that a duplicate is counted as one and not as late."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Replies that no request waits for.

    `duplicate`: the answer was already here; `late`: no request waits for it (any more).
    """

    duplicate: int = 0
    late: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """One request that waits. `message_id` is its own; `correlation_id` may be the caller's, and need not be unique."""

    message_id: str
    correlation_id: str
    answer: asyncio.Future[Transcript]
    on_progress: Callable[[Progress], None] | None = None


class Replies:
    """The table of pending requests. The first terminal reply to a request wins.

    A reply is matched by the request's `message_id` in its body: a late answer to an earlier request with the same
    correlation id must never become the answer to this one. Only a reply that names none is matched by correlation id.
    """

    def __init__(self) -> None:
        self.answered = 0
        self.dropped = Dropped()
        self._by_message: dict[str, Pending] = {}
        self._recent: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._by_message)

    def add(self, pending: Pending) -> None:
        """Begin to wait.

        Raises `BadRequest` if a request with this message id waits already: one answer cannot go to two.
        """
        if self._by_message.get(pending.message_id, pending) is not pending:
            raise errors.BadRequest.by_code(
                ErrorCode.BAD_REQUEST, f"message_id: {pending.message_id!r} is in flight already; ids are unique"
            )
        self._by_message[pending.message_id] = pending

    def discard(self, pending: Pending) -> None:
        """Stop waiting, whatever became of it; what still comes is dropped."""
        self._by_message.pop(pending.message_id, None)
        if not pending.answer.cancel() and not pending.answer.cancelled():
            pending.answer.exception()  # seen: the caller may have been cancelled just as the failure came

    def take(self, body: bytes, *, correlation_id: str | None, reply_id: str | None) -> None:
        """Hand one reply to the request that waits for it.

        `body`: JSON as received; `correlation_id`, `reply_id`: of the reply's properties. Never raises: an error goes
        to that request, or is counted.
        """
        try:
            reply = REPLY.validate_json(body)
        except ValidationError as error:
            self._unreadable(correlation_id, error)
            return
        pending = self._find(reply.message_id, correlation_id)
        if isinstance(reply, Progress):
            self._report(pending, reply)
        elif pending is None:
            self._drop(reply_id)
        else:
            self.answered += 1
            self._remember(reply_id)
            self._settle(pending, reply if isinstance(reply, Transcript) else errors.from_failure(reply))

    @property
    def waiting(self) -> list[str]:
        """The message ids of the requests that wait."""
        return list(self._by_message)

    def fail(self, message_id: str, error: errors.SttdClientError) -> None:
        """End the wait of this request, if it waits here."""
        pending = self._by_message.get(message_id)
        if pending is not None:
            self._settle(pending, error)

    def fail_all(self, error: errors.SttdClientError) -> None:
        """End every wait with this error."""
        for pending in list(self._by_message.values()):
            self._settle(pending, error)

    def _find(self, message_id: str | None, correlation_id: str | None) -> Pending | None:
        if message_id is not None:
            return self._by_message.get(message_id)
        waiting = [pending for pending in self._by_message.values() if pending.correlation_id == correlation_id]
        return waiting[0] if len(waiting) == 1 else None  # two with one id: a wrong text is worse than none

    def _report(self, pending: Pending | None, progress: Progress) -> None:
        if pending is None or pending.on_progress is None:
            return
        try:
            arguments.check_returned(pending.on_progress(progress))
        except Exception as error:  # noqa: BLE001 - the callback is the caller's, and so is its error
            self._settle(pending, error)

    def _unreadable(self, correlation_id: str | None, error: ValidationError) -> None:
        pending = self._find(None, correlation_id)
        if pending is None:
            self._drop(None)
            return
        where, problem = next(problems(error))
        self._settle(
            pending,
            errors.BadReply(
                f"the reply to request {pending.message_id} breaks the contract ({where or 'body'}: {problem}): "
                "is this sttd older than the daemon, or does something else answer on its queue?"
            ),
        )

    def _settle(self, pending: Pending, outcome: Transcript | Exception) -> None:
        self._by_message.pop(pending.message_id, None)
        if pending.answer.done():  # the caller gave up in this turn of the loop
            return
        if isinstance(outcome, Exception):
            pending.answer.set_exception(outcome)
        else:
            pending.answer.set_result(outcome)

    def _remember(self, reply_id: str | None) -> None:
        if reply_id is None:
            return
        self._recent[reply_id] = None
        if len(self._recent) > REMEMBERED:
            del self._recent[next(iter(self._recent))]

    def _drop(self, reply_id: str | None) -> None:
        if reply_id in self._recent:
            self.dropped = replace(self.dropped, duplicate=self.dropped.duplicate + 1)
        else:
            self.dropped = replace(self.dropped, late=self.dropped.late + 1)
