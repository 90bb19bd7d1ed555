"""A multipart form, read as it arrives: small fields, and one file, which stays in memory and never touches the disk.

Enforces every limit while reading; never trusts a name, a label or a length.
"""

import asyncio
from dataclasses import dataclass, field
from email.message import Message
from email.utils import collapse_rfc2231_value
from io import BytesIO
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request

from sttd.gateway.multipart import Head, Multipart, MultipartBroken
from sttd.gateway.problems import CallerGone, Problem, no_file
from sttd.gateway.room import STALLED_SECONDS, Hold

IDLE_SECONDS: Final = 15.0
"""Longest pause within an upload."""

MOST_PARTS: Final = 64
FIELD_BYTES: Final = 64 * 1024
"""All fields but the file, heads of the parts included."""

MOST_SEMICOLONS: Final = 500
"""Of one head, those in names included: `email` takes quadratic time for them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one upload may cost."""

    file_bytes: int
    seconds: float


@dataclass(slots=True)
class Form:
    """A form that was read. `audio` is None where there was no part `file` with a file name; empty files are files.

    `other_files`: the names of the parts with a file name that were not read.
    """

    fields: dict[str, list[str]] = field(default_factory=dict)
    audio: bytes | None = None
    other_files: list[str] = field(default_factory=list)

    def one(self, name: str) -> str | None:
        """The first value of a field; None for an absent or empty one."""
        return next((value for value in self.fields.get(name, ()) if value), None)

    def many(self, name: str) -> list[str]:
        """All values of a field, sent as `name` or `name[]`."""
        return [value for key in (name, f"{name}[]") for value in self.fields.get(key, ()) if value]


async def read(request: Request, hold: Hold, limits: Limits) -> Form:
    """Read the form.

    Raises `Problem`: 400 no form or a broken one, 408 too slow, 413 too large, 415 another type, 429 no room.
    """
    boundary = _boundary(request)
    _claimed(request, limits)
    reader = _Reader(boundary, limits)
    loop = asyncio.get_running_loop()
    end = loop.time() + limits.seconds
    try:
        async with asyncio.timeout_at(min(end, loop.time() + IDLE_SECONDS)) as scope:
            hold.uploading = scope
            async for chunk in request.stream():
                reader.write(chunk)
                hold.grow(len(chunk))
                if not hold.evicted:
                    scope.reschedule(min(end, loop.time() + IDLE_SECONDS))
    except TimeoutError:
        bound = f"{limits.seconds:g} s in all, no pause above {IDLE_SECONDS:g} s"
        if hold.evicted:
            bound = f"no pause above {STALLED_SECONDS:g} s while others need its room"
        raise Problem(408, f"the upload was too slow: {bound}", "too_slow") from None
    except ClientDisconnect:
        raise CallerGone from None
    else:
        return reader.form()
    finally:
        hold.uploading = None
        reader.close()


def _boundary(request: Request) -> bytes:
    """What parts the form. Forms without a file, and no body at all, are the old service's `No file provided`."""
    given = request.headers.get("content-type", "")
    kind, boundary = given.partition(";")[0].strip().lower(), _parameters(given).get("boundary")
    if kind == "multipart/form-data" and boundary and isinstance(boundary, str):
        return boundary.encode("latin-1")
    if kind in {"", "multipart/form-data", "application/x-www-form-urlencoded"}:
        raise no_file()
    message = 'send the audio as multipart/form-data in the field "file" (with curl: -F file=@voice.ogg)'
    raise Problem(415, message, "unsupported_content_type")


def _claimed(request: Request, limits: Limits) -> None:
    """Refuse by the announced length, before a byte is read."""
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > limits.file_bytes + FIELD_BYTES:
        raise too_large(limits)


def too_large(limits: Limits) -> Problem:
    """The file is larger than this gateway takes."""
    return Problem(413, f"the file is larger than {limits.file_bytes} bytes", "body_too_large", param="file")


class _Reader:
    """Collects what is wanted of a form's parts, and counts the rest."""

    def __init__(self, boundary: bytes, limits: Limits) -> None:
        try:
            self._parts = Multipart(boundary)
        except MultipartBroken:
            raise _broken() from None
        self._limits = limits
        self._form = Form()
        self._file: BytesIO | None = None
        self._name: str | None = None
        self._text = bytearray()
        self._is_audio = self._ignored = False
        self._count = self._small = self._total = 0

    def write(self, chunk: bytes) -> None:
        self._total += len(chunk)
        if self._total > self._limits.file_bytes + FIELD_BYTES:
            raise too_large(self._limits)
        try:
            for piece in self._parts.feed(chunk):
                if isinstance(piece, Head):
                    self._begin(piece)
                else:
                    self._data(piece)
        except MultipartBroken:
            raise _broken() from None

    def form(self) -> Form:
        if not self._parts.complete:
            raise _broken()
        self._end()
        if self._file is not None:
            self._form.audio = self._file.getvalue()  # shares the buffer: no second copy of the audio
        return self._form

    def close(self) -> None:
        """Release the audio: a refusal's traceback would hold it until the next garbage collection."""
        self._file = None

    def _begin(self, head: Head) -> None:
        self._end()
        self._count += 1
        if self._count > MOST_PARTS:
            raise Problem(400, f"the form has more than {MOST_PARTS} parts", "bad_form")
        self._spend(head.size)
        if head.disposition is None:
            raise _broken()
        self._name, is_file = _disposition(head.disposition)
        first = is_file and self._name == "file" and self._file is None
        self._is_audio, self._ignored = first, is_file and not first
        self._form.other_files += [self._name] if self._ignored else []
        if self._is_audio:
            self._file = BytesIO()

    def _data(self, data: bytes) -> None:
        if self._ignored:  # another file: counts towards the length of the whole body only
            return
        if not self._is_audio or self._file is None:
            self._spend(len(data))
            self._text.extend(data if self._name is not None else b"")
            return
        if self._file.tell() + len(data) > self._limits.file_bytes:
            raise too_large(self._limits)
        self._file.write(data)

    def _end(self) -> None:
        if self._name is not None and not (self._is_audio or self._ignored):
            self._form.fields.setdefault(self._name, []).append(self._text.decode(errors="replace").strip())
        self._text.clear()

    def _spend(self, count: int) -> None:
        self._small += count
        if self._small > FIELD_BYTES:
            raise Problem(413, f"the form's fields are larger than {FIELD_BYTES} bytes", "bad_form")


def _disposition(value: bytes) -> tuple[str, bool]:
    """The name of a part, and whether it is a file; `name*` and `filename*` count, as in the old service's Werkzeug.

    Older urllib3 and mail libraries send a name that is not ASCII only in that form, which RFC 7578 forbids in forms.
    """
    options = _parameters(value.decode("latin-1"))
    name = options.get("name", "")
    if isinstance(name, str):
        return name.encode("latin-1").decode(errors="replace"), "filename" in options
    try:
        return collapse_rfc2231_value(name).encode().decode(), "filename" in options
    except ValueError:  # charsets such as `undefined` refuse everything, others give halves of a pair: no UTF-8
        raise _broken() from None


def _parameters(value: str) -> dict[str, Any]:
    """The parameters of a head, by name in small letters: text, or the three parts that `email` has of `name*`."""
    if value.count(";") > MOST_SEMICOLONS:
        raise _broken()
    head = Message()
    head["content-type"] = value
    try:
        return dict(reversed(head.get_params() or []))
    except (TypeError, ValueError):  # pieces of a value that are numbered twice, or beyond all numbers
        raise _broken() from None


def _broken() -> Problem:
    return Problem(400, "the multipart form is broken or incomplete", "bad_form")
