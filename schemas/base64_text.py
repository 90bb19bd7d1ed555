"""Base64 as programs really write it: both alphabets, padded or not, in lines, behind `data:...;base64,`.

Pure. The message of a refusal is what was given and what is expected; it never quotes the text.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final
from urllib.parse import unquote

_EXPECTED: Final = "the audio file's bytes in base64 are expected"
_DATA_URL: Final = re.compile(r"data:[^,]{0,200},", re.IGNORECASE)
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
    text = _without_label(value.strip())
    if text.startswith(_PYTHONS_BYTES):
        raise ValueError(
            f"the text of a Python bytes object was given; {_EXPECTED}: base64.b64encode(audio).decode('ascii')"
        )
    compact = "".join(text.split()).replace("-", "+").replace("_", "/")
    if len(compact) % 4 and " " in text:  # a form's decoder makes spaces of `+`
        raise ValueError(
            f"base64 with spaces in it and characters missing was given; {_EXPECTED}: was `+` turned into a space?"
        )
    return _bytes(compact)


def _without_label(text: str) -> str:
    label = _DATA_URL.match(text)
    if label is None:
        return text
    if not label[0][:-1].lower().rstrip().endswith(";base64"):
        raise ValueError(f"a data: URL without `;base64` was given; {_EXPECTED}")
    rest = text[label.end() :]
    return unquote(rest) if "%" in rest else rest


def _bytes(compact: str) -> bytes:
    bare = compact.rstrip("=")
    if len(bare) % 4 == 1:
        raise ValueError(f"base64 that was cut off was given (one character is left over); {_EXPECTED}, all of them")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"text with characters that are not base64 was given; {_EXPECTED}") from None
