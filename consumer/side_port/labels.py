"""The documented values of every label, and the buckets of every histogram: what docs/metrics.md lists.

A label takes values from here or `other`; never one that a caller can choose.
"""

from collections.abc import Iterable
from typing import Final

from sttd.schemas.codes import DeadReason, ErrorCode

OK: Final = "ok"
"""`code` of a request that went well."""

OTHER: Final = "other"
"""The label of a value outside its documented set: one more series, never a series per message."""

LANES: Final = ("interactive", "overflow", "bulk", "suspect")
QUEUES: Final = (*LANES, "dead", "replies_dead")
OUTCOMES: Final = ("completed", "failed", "retried", "suspected", "moved", "dead_lettered", "handed_back")
STAGES: Final = ("queued", "fetch", "decode", "transcribe", "wait", "encode", "generate", "reply", "total")
ROLES: Final = ("consume", "publish", "direct")
RERUNS: Final = ("unfinished", "empty", "improbable", "repetition", "late", "dense", "unsure")
RESTARTS: Final = ("died", "timed_out", "protocol", "cancelled", "recycled")
FAILURES: Final = tuple(str(code) for code in ErrorCode)
CODES: Final = (OK, *FAILURES, str(DeadReason.MALFORMED))
RETRYABLE: Final = tuple(str(code) for code in ErrorCode if code.retryable)
REASONS: Final = tuple(str(reason) for reason in DeadReason)

STAGE_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 13, 20, 30, 60, 120, 300, 600, 1200, 1800)
AUDIO_BUCKETS: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)
FACTOR_BUCKETS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 5, 10)
LAG_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
BATCH_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64)

EXPECTED: Final = {
    "completed": (OK,),
    "failed": FAILURES,
    "retried": RETRYABLE,
    "dead_lettered": (str(DeadReason.MALFORMED), str(ErrorCode.BAD_REPLY_TO), str(ErrorCode.INTERNAL_ERROR)),
    "suspected": (OK,),
    "moved": (OK,),
    "handed_back": (OK,),
}
"""The codes that belong to each outcome: these series exist at 0 from the start, so that a first failure is an
increase."""


def known(value: str, documented: Iterable[str]) -> str:
    """`value` where it is documented, else `other`."""
    return value if value in documented else OTHER


def lane_of(queue: str) -> str:
    """The lane of a queue, whatever the operator calls the request queue: a dashboard must not depend on that."""
    if queue in LANES:
        return queue
    beside = queue.rpartition(".")[2]
    return beside if beside in LANES else "interactive"
