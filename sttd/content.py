"""The content of one request: a file's bytes with options in headers, or a reference with options in JSON.

Reads files off the event loop.
"""

import asyncio
import errno
import inspect
import io
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias, TypeVar

from sttd import errors
from sttd.arguments import close, shown
from sttd.schemas import reference
from sttd.schemas.codes import ErrorCode
from sttd.schemas.options import TranscriptionOptions, to_headers
from sttd.schemas.reference import NoReference, Reference
from sttd.schemas.request import JSON_TYPE
from sttd.service import background

Audio: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO | Reference
"""The bytes of an audio file, its path, an open binary file, or where it lies in the object store of the daemon's
operator."""

T = TypeVar("T")

_EXPECTED: Final = "the bytes of an audio file, its path, a file opened in binary mode, or a Reference"
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]+:(?=//)|data:(?=.{0,200},)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Content:
    """Body and the properties that describe it."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = None


async def read(audio: Audio, seconds: float) -> bytes | Reference:
    """The bytes, off the event loop; a reference as it is. Raises `WrongArgument`, `RejectedAudio`, `OSError`.

    A read that takes longer than `seconds` cannot be ended: its thread goes on until the pipe or disk answers.
    """
    if isinstance(audio, Reference):
        return audio
    limit = asyncio.timeout(None if seconds == math.inf else seconds)
    try:
        async with limit:
            return await _read(audio)
    except TimeoutError:
        if not limit.expired():  # the file's own
            raise
        told = "a pipe without a writer, or a disk that does not answer? A slow one needs a longer timeout"
        raise TimeoutError(
            errno.ETIMEDOUT, f"the audio was not read to its end within {seconds:.4g} s: {told}"
        ) from None


def content_of(audio: bytes | Reference, options: TranscriptionOptions) -> Content:
    """Put audio and options together. Raises `RejectedAudio` for a reference that cannot be one."""
    if not isinstance(audio, Reference):
        return Content(audio, to_headers(options))
    try:
        named = str(reference.of(str(audio)))
    except NoReference as error:
        raise errors.RejectedAudio.by_code(ErrorCode.AUDIO_REF_DENIED, str(error), {"reason": "malformed"}) from None
    asked = options.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    return Content(json.dumps({"audio_ref": named, "options": asked}).encode(), content_type=JSON_TYPE)


async def _read(audio: object) -> bytes:
    """The bytes, whatever was given. Raises `WrongArgument` for no audio, `RejectedAudio` for 0 bytes, `OSError`."""
    if isinstance(audio, bytes | bytearray | memoryview):
        content, origin = bytes(audio), "0 bytes were given, as after a download that failed"
    elif isinstance(audio, str | os.PathLike):
        content, origin = await _aside(_from_path, audio), "the file at the path that was given has 0 bytes"
    else:
        content = await _from_file(audio)
        origin = "the file that was given has no more bytes: was it read to its end before? `seek(0)` goes back"
    if not content:
        raise errors.RejectedAudio.by_code(
            ErrorCode.AUDIO_EMPTY, f"the audio is empty: {origin}; expected: {_EXPECTED}"
        )
    return content


async def _aside(call: Callable[..., T], *given: object) -> T:
    """As `asyncio.to_thread`; but reads that never end take no threads from the bot, and do not keep it from ending."""
    return await asyncio.wrap_future(background.start(partial(call, *given), name="sttd read"))


def _from_path(path: str | os.PathLike[str]) -> bytes:
    text = os.fsdecode(path)
    if isinstance(path, str):
        _check_text(text)
    try:
        return Path(text).read_bytes()
    except FileNotFoundError as error:
        told = "a path was given where there is no file; expected: a file's path, or the audio itself as bytes"
        raise FileNotFoundError(error.errno, told, text) from None
    except IsADirectoryError as error:
        raise IsADirectoryError(error.errno, "a folder was given; expected: a file's path", text) from None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise _wrong(f"text of {len(text):,} characters, too long for a path,") from None
    except ValueError:  # NUL, or half of a surrogate pair
        raise _wrong("text with characters that no path has") from None


def _check_text(text: str) -> None:
    if not text:
        raise _wrong("an empty str")
    if scheme := _URL.match(text):
        hint = {"s3:": ", here Reference(bucket, key)", "data:": ", here what the base64 decodes to"}.get(
            scheme[0].lower(), ""
        )
        raise errors.WrongArgument.of("audio", f"a {scheme[0]} URL, which is never opened,", _EXPECTED + hint)


async def _from_file(audio: object) -> bytes:
    read = getattr(audio, "read", None)
    if not callable(read) or inspect.isclass(audio):
        close(audio)
        raise _wrong(shown(audio))
    if isinstance(audio, io.TextIOBase):
        raise _wrong("a file opened in text mode")
    if getattr(audio, "closed", False) is True:
        raise _wrong("a closed file")
    if inspect.iscoroutinefunction(read):
        raise _wrong_async(audio)
    if not _needs_nothing(read):
        raise _wrong(f"{shown(audio)}, whose read() wants arguments,")
    content = await _aside(_content, audio, read)
    if inspect.isawaitable(content):
        close(content)
        raise _wrong_async(audio)
    if not isinstance(content, bytes | bytearray | memoryview):
        raise _wrong(
            "a file opened in text mode" if isinstance(content, str) else f"a file whose read() gives {shown(content)}"
        )
    return bytes(content)


def _content(audio: object, read: Callable[[], object]) -> object:
    try:
        return read()
    except UnicodeDecodeError:
        raise _wrong("a file opened in text mode") from None
    except io.UnsupportedOperation:
        raise _wrong("a file that is not open for reading") from None
    except (RuntimeError, ValueError) as error:  # closed, or an answer of httpx that wants `await`
        raise _wrong(f"{shown(audio)}, whose read() raises {type(error).__name__} ({error}),") from error


def _needs_nothing(read: Callable[..., object]) -> bool:
    """Whether it can be called without arguments; aiogram's files want the bot."""
    try:
        inspect.signature(read).bind()
    except TypeError:
        return False
    except ValueError:  # written in C, and does not tell
        return True
    return True


def _wrong(given: str) -> errors.WrongArgument:
    return errors.WrongArgument.of("audio", given, _EXPECTED)


def _wrong_async(audio: object) -> errors.WrongArgument:
    return _wrong(f"an async file ({type(audio).__name__}), of which `await file.read()` is the bytes,")
