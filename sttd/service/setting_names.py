"""The names of all settings, of every part of sttd: what is set and read by no part changes nothing and is reported.

Shows names, never values.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

PREFIX: Final = "STTD_"

READ: Final = frozenset(
    f"{PREFIX}{name}"
    for name in """
    AMQP_URL TOPOLOGY REQUEST_QUEUE REPLY_QUEUE PREFETCH CALLER_SHARE JOIN HOTWORDS HOTWORDS_FILE MODEL MODEL_CACHE
    ENGINE DEVICE COMPUTE_TYPE ENCODER ENCODER_CONTEXT SLOTS LANGUAGE BEAM_SIZE DOUBTFUL NUMERALS
    CONDITION_ON_PREVIOUS_TEXT LONG_AUDIO BATCH_SIZE MAX_BODY_BYTES S3_ENDPOINT S3_REGION S3_ACCESS_KEY
    S3_SECRET_KEY S3_BUCKETS S3_CA_FILE MAX_REF_BYTES MAX_AUDIO_SECONDS DECODE_SECONDS JOB_SECONDS
    DRAIN_SECONDS BREAKER_FAILURES CHECK_REQUESTER SIDE_HOST SIDE_PORT LOG_FORMAT LOG_LEVEL WORKER
    TIMEOUT GATEWAY_HOST GATEWAY_PORT GATEWAY_TOKENS GATEWAY_ORIGINS GATEWAY_MAX_UPLOAD_BYTES GATEWAY_MEMORY_BYTES
    GATEWAY_UPLOAD_SECONDS GATEWAY_TIMEOUT GATEWAY_GRACE_SECONDS GATEWAY_MAX_QUEUED GATEWAY_DRAIN_SECONDS
    """.split()
)
"""Of daemon, gateway and client together: they often share an environment, and neither may import the other's settings.
A test compares with the three."""

REMOVED: Final = {
    "STTD_BATCH_SECONDS": "a call waits 0.02 s for its batch; unset it",
    "STTD_LONG_SECONDS": "audio of more than 60 s is cut into windows; STTD_LONG_AUDIO=sequential cuts none",
    "STTD_PUBLISH_SECONDS": "a publish waits 10 s for its confirm; unset it",
    "STTD_REF_SECONDS": "reading an object may take 60 s; unset it",
    "STTD_WINDOW_SECONDS": "windows of long audio are of 30 s, which is what Whisper takes; unset it",
    "STTD_DECODER_CONTEXT": "on real models it cost more time than it saved, and errors; STTD_ENCODER_CONTEXT remains",
    "STTD_FAILPOINT": "the daemon has no points any more at which it kills itself; unset it",
}
"""Settings of earlier versions: why each went and what to do."""

OTHERS: Final = ("STTD_RABBITMQ_", "STTD_MEMORY_LIMIT", "STTD_PRIVATE_NODE")
"""Of docker-compose.yml, whose `.env` may be the one here, and of `make run`."""

ALL: Final = "all settings: docs/settings.md"


def removed(given: Iterable[str]) -> list[str]:
    """A sentence for each removed setting among the names in `given`."""
    names = set(given)
    return [f"{name} is set and no longer read: {reason}" for name, reason in REMOVED.items() if name in names]


def unread(given: Iterable[str]) -> tuple[str, str] | None:
    """What no part of sttd reads among the names in `given`, and the settings that were perhaps meant; None if nothing.

    Of removed ones `removed` has a sentence.
    """
    unknown = sorted({name for name in given if not name.startswith(OTHERS)} - READ - REMOVED.keys())
    if not unknown:
        return None
    meant = [match for name in unknown for match in get_close_matches(name, READ, n=1, cutoff=0.8)]
    step = f"did you mean {', '.join(meant)}? {ALL.capitalize()}" if meant else ALL
    return f"no part of sttd reads {', '.join(unknown)}", step
