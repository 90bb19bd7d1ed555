"""How long a call waits for its answer, and what the broker says where none came: the reason, and the next step.

Publishes nothing and declares nothing.
"""

import asyncio
from typing import Final

from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from sttd import errands, errors, refusals
from sttd.amqp import ClientLink
from sttd.schemas import names

LEAST_SECONDS: Final = 300
BYTES_A_SECOND: Final = 4000
"""Of audio, for one more second of patience: half an hour as a messenger's voice note (16 kbit/s) gets 1,200 s."""

MOST_SECONDS: Final = 1500
"""The 1,200 s that a daemon gives one note unless set otherwise (STTD_JOB_SECONDS), and 300 s in the queue."""

LOOK_SECONDS: Final = 1.0


def patience(size: int | None) -> float:
    """Seconds for a note of `size` bytes whose call names no timeout; None: the size is not known."""
    return MOST_SECONDS if size is None else min(MOST_SECONDS, LEAST_SECONDS + size / BYTES_A_SECOND)


async def why(link: ClientLink, queue: str, broker: str) -> str:
    """One clause on why a confirmed request is not answered. Looks at its queue, for a second at most."""
    if not link.connected:
        return await away(link, broker)
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            state = await errands.look(await link.connection(), queue)
    except errors.NotVisible:
        return f"is a daemon serving {queue}, and is the queue short? This user may not look at it"
    except (TimeoutError, *CONNECTION_EXCEPTIONS):
        return await away(link, broker)
    if state is None:
        return f"queue {queue} was deleted; a daemon makes it again (`sttd serve`)"
    return _of_queue(state, queue)


def _of_queue(state: errands.QueueState, queue: str) -> str:
    waiting, daemons = state.waiting, state.consumers
    if not daemons:
        return (
            f"no daemon serves {queue}, {_waiting(waiting)} in it: start one (`sttd serve`), or resume one that is "
            "paused (`sttd control status`)"
        )
    serving = "1 daemon serves" if daemons == 1 else f"{daemons:,} daemons serve"
    if waiting:
        return f"{_waiting(waiting)} in {queue} and {serving} it: more daemons or a longer timeout would help"
    moved = "" if queue.endswith(".bulk") else f", or waits in {names.overflow_of(queue)} behind others of its caller"
    return (
        f"{serving} {queue} and nothing waits in it: the note is at work{moved}, or is tried again after a failure; "
        "give a longer timeout"
    )


def _waiting(count: int) -> str:
    return "1 request waits" if count == 1 else f"{count:,} requests wait"


async def away(link: ClientLink, broker: str) -> str:
    """That there is no connection, for how long, and the last reason; or that it takes no messages."""
    if await link.blocked():
        return refusals.blocked(broker)
    if link.connected:
        return f"RabbitMQ at {broker} does not answer"
    trouble = link.trouble or f"no connection to RabbitMQ at {broker}"
    return f"the broker has been away for {link.down_seconds:.0f} s: {trouble}"
