"""Which references are followed, and how much of them is read: the operator's list, the size, the time.

Turns errors of the store into what the caller reads.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from sttd.consumer.errors import AudioRejected, RequestFailed
from sttd.consumer.refs.seam import ObjectDenied, ObjectStore, StoreUnavailable
from sttd.schemas.codes import ErrorCode
from sttd.schemas.reference import Reference

SECONDS: Final = 60.0
"""Longest time to read one object."""

log = structlog.get_logger(__name__)


class References:
    """Follows references into one store; without a store it refuses them all."""

    def __init__(self, store: ObjectStore | None, allowed: Sequence[tuple[str, str]], most_bytes: int) -> None:
        """`store`: None means that references are off; `most_bytes`: of one object.

        `allowed`: the operator's list of buckets, each with what its keys must begin with (empty: anything).
        """
        self._store = store
        self._allowed = allowed
        self._most_bytes = most_bytes

    async def fetch(self, reference: Reference) -> bytes:
        """Read the object. As many may be read at a time as notes are in hand: the memory bound counts them all.

        Raises `RequestFailed`: `audio_ref_denied`, `audio_ref_unavailable`, `body_too_large` or `audio_empty`.
        """
        store = self._permitted(reference)
        try:
            async with asyncio.timeout(SECONDS):
                return await self._whole(store, reference)
        except ObjectDenied as error:
            raise _denied("not_readable", error.message) from error
        except StoreUnavailable as error:
            raise self._unavailable(error.message) from error
        except TimeoutError as late:
            raise self._unavailable(f"the object store did not send the file within {SECONDS:g} s") from late

    def _permitted(self, reference: Reference) -> ObjectStore:
        if self._store is None:
            raise _denied(
                "off",
                "this daemon follows no references: send the audio itself, or ask its operator to set STTD_S3_ENDPOINT",
            )
        if not any(reference.bucket == bucket and reference.key.startswith(prefix) for bucket, prefix in self._allowed):
            raise _denied("not_listed", "this daemon's operator does not allow this bucket or prefix (STTD_S3_BUCKETS)")
        return self._store

    async def _whole(self, store: ObjectStore, reference: Reference) -> bytes:
        async with store.reading(reference) as found:
            if found.size is not None and found.size > self._most_bytes:
                raise self._too_large(found.size)
            content = bytearray()
            async for chunk in found.chunks:
                content += chunk
                if len(content) > self._most_bytes:  # whatever was claimed
                    raise self._too_large(None)
        if not content:
            raise AudioRejected(ErrorCode.AUDIO_EMPTY, "the object is empty")
        if found.size is not None and len(content) != found.size:
            raise StoreUnavailable("the object store sent another number of bytes than it had announced")
        return bytes(content)

    def _too_large(self, size: int | None) -> RequestFailed:
        said = f"the object has {size} bytes" if size is not None else "the object goes on beyond the limit"
        most = self._most_bytes
        return AudioRejected(
            ErrorCode.BODY_TOO_LARGE, f"{said}; at most {most} are taken", {"bytes": size, "limit": most}
        )

    def _unavailable(self, said: str) -> RequestFailed:
        log.warning("a reference could not be followed: %s", said, action="ref_unavailable")
        return RequestFailed(ErrorCode.AUDIO_REF_UNAVAILABLE, said)


def _denied(reason: str, said: str) -> RequestFailed:
    return RequestFailed(ErrorCode.AUDIO_REF_DENIED, said, {"reason": reason})
