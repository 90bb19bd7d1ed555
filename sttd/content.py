"""What one request carries: an audio file's bytes with options in headers, or a reference to an object with options in JSON.

Imports schemas and sttd.errors; reads files off the event loop, and knows nothing of connections.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeAlias

from sttd import errors
from sttd.schemas import reference
from sttd.schemas.codes import ErrorCode
from sttd.schemas.options import TranscriptionOptions, to_headers
from sttd.schemas.reference import NoReference, Reference
from sttd.schemas.request import JSON_TYPE

Audio: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO | Reference
"""The bytes of an audio file, its path, an open binary file, or where it lies in the object store of the daemon's operator."""


@dataclass(frozen=True, slots=True)
class Content:
    """Body and the properties that say how to read it."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = None


async def content_of(audio: Audio, options: TranscriptionOptions) -> Content:
    """Read the audio, or check the reference. Raises `RejectedAudio`, `OSError`, `TypeError`."""
    if not isinstance(audio, Reference):
        return Content(await _read(audio), to_headers(options))
    try:
        named = str(reference.of(str(audio)))
    except NoReference as error:
        raise errors.RejectedAudio.by_code(ErrorCode.AUDIO_REF_DENIED, str(error), {"reason": "malformed"}) from None
    asked = options.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    return Content(json.dumps({"audio_ref": named, "options": asked}).encode(), content_type=JSON_TYPE)


async def _read(audio: bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO) -> bytes:
    if isinstance(audio, bytes | bytearray | memoryview):
        return bytes(audio)
    if isinstance(audio, str | os.PathLike):
        return await asyncio.to_thread(Path(audio).read_bytes)
    content = await asyncio.to_thread(audio.read)
    if not isinstance(content, bytes):
        raise TypeError("audio must be opened in binary mode: open(path, 'rb')")
    return content
