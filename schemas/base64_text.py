"""Base64 as programs really write it: both alphabets, padded or not, in lines, behind `data:...;base64,`.

Pure. The message of a refusal is what was given and what is expected; it never quotes the text.
"""

from __future__ import annotations

import base64
import re
from typing import Final
from urllib.parse import unquote

_EXPECTED: Final = "the audio file's bytes in base64 are expected"
_DATA_URL: Final = re.compile(r"data:(?:.{0,200}?;\s*base64\s*|[^,]{0,200}),", re.IGNORECASE)
"""A browser's label may have commas of its own: `data:video/webm;codecs=vp8,opus;base64,`."""
_IS_BASE64: Final = re.compile(r";\s*base64\s*,$", re.IGNORECASE)
_ALPHABET: Final = re.compile(r"[A-Za-z0-9+/]*")
_HEX: Final = re.compile(r"(?:[0-9a-f]{2}){64,}|(?:[0-9A-F]{2}){64,}")
_PYTHONS_BYTES: Final = ("b'", 'b"')
_KINDS: Final = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "an array",
    dict: "an object",
}


def decoded(value: object) -> bytes:
    """The bytes that base64 text stands for.

    Raises `ValueError` with a sentence where it could mean two things, or nothing.
    """
    if not isinstance(value, str):
        raise ValueError(f"{_KINDS.get(type(value), 'something else')} was given; {_EXPECTED}, as a string")
    text = _without_label(value.strip("\ufeff \t\r\n")).strip()
    if text.startswith(_PYTHONS_BYTES):
        raise ValueError(
            f"the text of a Python bytes object was given; {_EXPECTED}: base64.b64encode(audio).decode('ascii')"
        )
    if _HEX.fullmatch(text):
        raise ValueError(f"hexadecimal was given; {_EXPECTED}")
    if " " in text and not _in_lines(text):  # a form's decoder makes spaces of `+`
        raise ValueError(f"base64 with spaces in it was given; {_EXPECTED}: was `+` turned into a space?")
    return _bytes("".join(text.split()).replace("-", "+").replace("_", "/"))


def _in_lines(text: str) -> bool:
    """Whether the spaces part lines: all of one length but the last."""
    *lines, last = text.split()
    return len({len(line) for line in lines}) == 1 and len(last) <= len(lines[0])


def _without_label(text: str) -> str:
    label = _DATA_URL.match(text)
    if label is None:
        return _unquoted(text)
    if not _IS_BASE64.search(label[0]):
        raise ValueError(f"a data: URL without `;base64` was given; {_EXPECTED}")
    return _unquoted(text[label.end() :])


def _unquoted(text: str) -> str:
    return unquote(text) if "%" in text else text


def _bytes(compact: str) -> bytes:
    bare = compact.rstrip("=")
    if not _ALPHABET.fullmatch(bare):
        raise ValueError(f"text with characters that are not base64 was given; {_EXPECTED}")
    if len(bare) % 4 == 1:
        raise ValueError(f"base64 that was cut off was given (one character is left over); {_EXPECTED}, all of them")
    return base64.b64decode(bare + "=" * (-len(bare) % 4))
