"""What the broker's refusals mean for a caller: our errors, in words with the next step. Opens nothing."""

import re
from typing import Final

import aio_pika
from aio_pika.exceptions import ChannelClosed

from sttd import errors
from sttd.schemas.codes import ErrorCode
from sttd.service.broker_errors import no_connection, refusal, words

_TOO_LARGE: Final = re.compile(r"message size \d+ is larger than configured max size (\d+)")


def blame(message: aio_pika.Message, error: ChannelClosed) -> None:
    """Raise if this very message closed the channel; the others that were on it are published again."""
    text = words(error)
    limit = _TOO_LARGE.search(text)
    if limit and len(message.body) > int(limit[1]):
        raise errors.RejectedAudio.by_code(
            ErrorCode.BODY_TOO_LARGE,
            f"the audio has {len(message.body)} bytes and the broker takes messages of {limit[1]} at most (its "
            "max_message_size)",
            {"bytes": len(message.body), "limit": int(limit[1])},
        ) from None
    if "ACCESS_REFUSED" in text:
        raise errors.BrokerUnavailable(f"the broker's user may not publish requests: {text}") from None


def not_served(queue: str, broker: str) -> str:
    """What is wrong and what to do, when there is no such queue."""
    return (
        f"queue {queue} does not exist at {broker}: no daemon has served it yet. Start one with `sttd serve` and wait "
        "until it says `ready`, or check STTD_AMQP_URL (host and vhost) and the queue's name"
    )


def blocked(broker: str) -> str:
    """What is wrong and what to do, while the broker takes nothing from those who publish."""
    return f"RabbitMQ at {broker} takes no messages: it has a memory or disk alarm (`rabbitmqctl status` shows which)"


def why(error: BaseException, broker: str) -> str:
    """What is wrong and what to do, for one failed attempt to connect."""
    text = words(error)
    if "ACCESS_REFUSED" in text and not refusal(error):
        return (
            f"the broker's user needs configure, write and read permission for its reply queue `sttd.client.*`: {text}"
        )
    return no_connection(error, broker)
