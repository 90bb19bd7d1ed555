"""What the daemon asks of an object store, and what can be wrong there.

Imports errors only. The library behind it is s3.py's business; its exceptions end there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from sttd.consumer.errors import SttdError
from sttd.schemas.reference import Reference


class ObjectDenied(SttdError):
    """There is no such object, or the daemon's own credentials may not read it: a store need not tell which."""


class StoreUnavailable(SttdError):
    """The store is away, busy, does not take our credentials, or answers with something else: it may be otherwise later."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object that is about to be read. `size`: bytes as the store claims, None if it does not; `chunks` may say otherwise."""

    size: int | None
    chunks: AsyncIterator[bytes]


class ObjectStore(Protocol):
    """Reads whole objects, one connection each; cancelling ends the connection."""

    def reading(self, reference: Reference) -> AbstractAsyncContextManager[StoredObject]:
        """Open an object. Raises `ObjectDenied` or `StoreUnavailable`, here and from `chunks`."""
        ...
