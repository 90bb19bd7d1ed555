"""A multipart body taken apart as it arrives: the heads of its parts, and their bytes. Pure.

As lenient as the old service's Werkzeug, so that every form that it read is still read: lines may end with a line feed
alone, a head may be folded, spaces may follow a boundary, and text may stand before the first one. Never holds more
than one head, or what may be the beginning of a boundary.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

LONGEST_BOUNDARY: Final = 256
HEAD_BYTES: Final = 8 * 1024
"""Of one part."""
_PADDING: Final = 64
"""Spaces behind a boundary."""
_AFTER: Final = re.compile(rb"(--)|[ \t]{0,%d}(?=\r?\n)" % _PADDING)
_BLANK: Final = re.compile(rb"\r?\n\r?\n")
_FOLDED: Final = re.compile(rb"\r?\n[ \t]+")


class MultipartBroken(Exception):
    """The body is no multipart body, or one with an endless head."""


@dataclass(frozen=True, slots=True)
class Head:
    """A part begins. `disposition`: the value of its Content-Disposition, None without one; `size`: of it all."""

    disposition: bytes | None
    size: int


class _At(Enum):
    PREAMBLE = auto()
    HEAD = auto()
    BODY = auto()
    END = auto()


class Multipart:
    """Fed with chunks, gives heads, each followed by the bytes of its part; bytes before the first head are no part."""

    def __init__(self, boundary: bytes) -> None:
        """`boundary`: as in the Content-Type. Raises `MultipartBroken` for one that nobody sends."""
        if not 0 < len(boundary) <= LONGEST_BOUNDARY:
            raise MultipartBroken
        self._line = b"--" + boundary
        self._undecided = len(b"\r\n") + len(self._line) + _PADDING + len(b"\r\n") - 1
        self._held = b""
        self._at = _At.PREAMBLE

    @property
    def complete(self) -> bool:
        """Whether the last boundary has come."""
        return self._at is _At.END

    def feed(self, chunk: bytes) -> Iterator[Head | bytes]:
        """What this chunk decides. Raises `MultipartBroken`."""
        self._held += chunk
        while self._at is not _At.END:
            if self._at is _At.HEAD:
                head = self._head()
                if head is None:
                    return
                yield head
                continue
            found = self._boundary()
            ends = self._open_end() if found is None else found[0]
            if ends:
                yield self._held[:ends]
            if found is None:
                self._held = self._held[ends:]
                return
            self._held, self._at = self._held[found[1] :], _At.END if found[2] else _At.HEAD
        self._held = b""

    def _head(self) -> Head | None:
        """The head that `_held` begins with, from the end of the boundary's line on; None where more must come."""
        blank = _BLANK.search(self._held, 0, HEAD_BYTES)
        if blank is None:
            if len(self._held) >= HEAD_BYTES:
                raise MultipartBroken
            return None
        lines = _FOLDED.sub(b" ", self._held[: blank.start()]).splitlines()
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        self._held, self._at = self._held[blank.end() :], _At.BODY
        return Head(fields.get(b"content-disposition"), blank.end())

    def _open_end(self) -> int:
        """Where a boundary may begin whose end is still to come."""
        sign = b"-" if self._at is _At.PREAMBLE else b"\n"
        at = self._held.find(sign, max(0, len(self._held) - self._undecided))
        return self._without_return(len(self._held) if at < 0 else at)

    def _without_return(self, at: int) -> int:
        """The carriage return before a line feed belongs to it."""
        return at - (at > 0 and self._held.startswith(b"\r", at - 1))

    def _boundary(self) -> tuple[int, int, bool] | None:
        """Where what is before the next boundary ends, where the boundary's own line ends, whether it is the last."""
        wanted = self._line if self._at is _At.PREAMBLE else b"\n" + self._line
        at = self._held.find(wanted)
        while at >= 0:
            behind = at + len(wanted)
            if after := _AFTER.match(self._held, behind):
                return self._without_return(at), after.end(), after[1] is not None
            at = self._held.find(wanted, at + 1)
        return None
