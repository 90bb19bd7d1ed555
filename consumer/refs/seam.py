"""What the daemon needs of an object store, and its errors.

The exceptions of the library behind it end in s3.py.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from sttd.consumer.errors import SttdError
from sttd.schemas.reference import Reference


class ObjectDenied(SttdError):
    """There is no such object, or the daemon's own credentials may not read it: a store need not say which."""


class StoreUnavailable(SttdError):
    """The store is down, busy, refuses our credentials, or answers with something else.

    A later try may succeed.
    """


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object that is about to be read.

    `size`: bytes as the store claims, None if it does not; `chunks` may differ.
    """

    size: int | None
    chunks: AsyncIterator[bytes]


class ObjectStore(Protocol):
    """Reads whole objects, one connection each; cancelling ends the connection."""

    def reading(self, reference: Reference) -> AbstractAsyncContextManager[StoredObject]:
        """Open an object. Raises `ObjectDenied` or `StoreUnavailable`, here and from `chunks`."""
