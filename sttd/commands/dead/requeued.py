"""Makes what a requeue publishes: a request as if just sent, or a parked reply for the queue it was meant for.

Pure but for the clock and fresh ids. Copies carry an allow-list of headers, as the daemon's own do: a caller's `CC`,
`BCC` or `x-death` would make RabbitMQ route or count with our rights.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from aio_pika import DeliveryMode, Message

from sttd.commands.dead.letters import Letter
from sttd.schemas import names
from sttd.schemas.options import copied, option_of


@dataclass(frozen=True, slots=True)
class Fresh:
    """What to publish to which queue; `warnings`: why it may come to nothing."""

    queue: str
    message: Message
    warnings: tuple[str, ...] = ()


class NotPossible(Exception):
    """This letter cannot be sent again as it is; the text is what to do."""


def request(letter: Letter, body: bytes, *, lanes: Collection[str], queue: str | None, reply_to: str | None) -> Fresh:
    """Send a request again, from the beginning: no attempt count, no expiration, a timestamp of now.

    `queue`: the lane if it is not to be its own; `reply_to`: where the answer goes instead. Raises `NotPossible`.
    """
    if letter.malformed:
        raise NotPossible(
            "its properties cannot be read, so it would be malformed again: `sttd dead show --save` keeps its audio"
        )
    lane = queue or letter.lane(tuple(lanes))
    if lane is None:
        raise NotPossible(f"it came from none of {', '.join(lanes)}: name one with --to")
    target = reply_to or letter.reply_to
    message = _message(
        letter, body, message_id=letter.message_id or uuid4().hex, headers=_options(letter), reply_to=target
    )
    return Fresh(lane, message, tuple(_doubts(letter, target, replaced=reply_to is not None)))


def reply(letter: Letter, body: bytes, *, forbidden: Collection[str], queue: str | None) -> Fresh:
    """Send a parked reply to the queue it was meant for, or to `queue`, with its reply id. Raises `NotPossible`."""
    target = queue or letter.meant_for
    if target is None:
        raise NotPossible("it does not name the queue it was meant for: name one with --to")
    if target in forbidden or target.startswith("amq."):
        raise NotPossible(f"{target} cannot take replies now: name another queue with --to")
    reply_id = letter.headers.get(names.REPLY_ID_HEADER)
    kept = {names.REPLY_ID_HEADER: reply_id} if isinstance(reply_id, str) else {}
    return Fresh(target, _message(letter, body, message_id=str(uuid4()), headers=kept, reply_to=None))


def _message(
    letter: Letter, body: bytes, *, message_id: str, headers: Mapping[str, Any], reply_to: str | None
) -> Message:
    told = letter.properties
    answer = letter.meant_for is not None
    return Message(
        body,
        headers=dict(headers),
        content_type=told.get("content_type"),
        content_encoding=told.get("content_encoding"),
        correlation_id=letter.correlation_id,
        reply_to=reply_to,
        message_id=message_id,
        timestamp=told.get("timestamp") if answer else datetime.now(UTC),
        type=told.get("type") if answer else None,
        app_id=names.APP_ID if answer else None,
        delivery_mode=DeliveryMode.PERSISTENT,
    )


def _options(letter: Letter) -> dict[str, Any]:
    options = copied(letter.headers)
    if letter.headers.get(names.UNNAMED_HEADER) is True or letter.message_id is None:
        options[names.UNNAMED_HEADER] = True  # the library always writes a message id; this one is not the caller's
    return options


def _doubts(letter: Letter, target: str | None, *, replaced: bool) -> list[str]:
    """What the operator needs to know first."""
    doubts = []
    if target and target.startswith(f"{names.DIRECT_REPLY_TO}."):
        doubts.append(
            "its sender waited with amq.rabbitmq.reply-to and is gone: give --reply-to QUEUE to get the answer"
        )
    if letter.reason == "bad_reply_to" and not replaced:
        doubts.append(f"it will be refused again for its reply_to {target!r}: give --reply-to QUEUE")
    deadline = next((_moment(value) for name, value in letter.headers.items() if option_of(name) == "deadline"), None)
    if deadline is not None and deadline <= datetime.now(UTC):
        doubts.append(f"its deadline passed at {deadline:%Y-%m-%d %H:%M:%S} UTC: it will be answered `expired`")
    return doubts


def _moment(value: Any) -> datetime | None:
    """A deadline as the contract allows it: RFC 3339 or epoch milliseconds."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    try:
        text = str(value)
        moment = datetime.fromtimestamp(int(text) / 1000, UTC) if text.isdecimal() else datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.tzinfo else None
