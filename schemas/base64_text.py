"""Base64 as programs really write it: both alphabets, padded or not, in lines, behind `data:...;base64,`.

Pure. The message of a refusal is what was given and what is expected; it never quotes the text. The text may be
megabytes of anything: no list, exception or call for each of its characters.
"""

import base64
import re
from typing import Final

_EXPECTED: Final = "the audio file's bytes in base64 are expected"
_OTHER: Final = f"text with characters that are not base64 was given; {_EXPECTED}"
_LABEL: Final = re.compile(r".{0,200}?\bbase64\s*[,:]", re.IGNORECASE)
"""`data:audio/ogg;base64,`, or what a program has left of it. A browser's may have commas of its own:
`data:video/webm;codecs=vp8,opus;base64,`."""
_DATA_URL: Final = re.compile(r"data:[^,]{0,200},", re.IGNORECASE)
_ALPHABET: Final = re.compile(r"[A-Za-z0-9+/]*")
_HEX: Final = re.compile(r"[0-9a-f]{128,}|[0-9A-F]{128,}")
_LINE: Final = re.compile(r"\S+")
_SHORTEST_LINE: Final = 16
_PERCENT: Final = (("%2B", "+"), ("%2F", "/"), ("%3D", "="), ("%0D", ""), ("%0A", ""), ("%20", " "))
"""What programs write in URLs for the characters of base64 that are not letters or digits."""
_NO_SPACE: Final = dict.fromkeys(map(ord, " \t\r\n\v\f"))
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
    if not text.isascii():
        raise ValueError(_OTHER)
    if text.startswith(_PYTHONS_BYTES):
        raise ValueError(
            f"the text of a Python bytes object was given; {_EXPECTED}: base64.b64encode(audio).decode('ascii')"
        )
    if len(text) % 2 == 0 and _HEX.fullmatch(text):
        raise ValueError(f"hexadecimal was given; {_EXPECTED}")
    if " " in text and not _in_lines(text):  # a form's decoder makes spaces of `+`
        raise ValueError(f"base64 with spaces in it was given; {_EXPECTED}: was `+` turned into a space?")
    return _bytes(text.translate(_NO_SPACE).replace("-", "+").replace("_", "/"))


def _in_lines(text: str) -> bool:
    """Whether the spaces part lines: all of one length but the last."""
    lengths = (line.end() - line.start() for line in _LINE.finditer(text))
    first = last = next(lengths)
    for length in lengths:
        if last != first or first < _SHORTEST_LINE:
            return False
        last = length
    return last <= first


def _without_label(text: str) -> str:
    label = _LABEL.match(text)
    if label is None and _DATA_URL.match(text):
        raise ValueError(f"a data: URL without `;base64` was given; {_EXPECTED}")
    text = text[label.end() :] if label else text
    for escape, character in _PERCENT if "%" in text else ():
        text = text.replace(escape, character).replace(escape.lower(), character)
    return text


def _bytes(compact: str) -> bytes:
    bare = compact.rstrip("=")
    if not _ALPHABET.fullmatch(bare):
        raise ValueError(_OTHER)
    if len(bare) % 4 == 1:
        raise ValueError(f"base64 that was cut off was given (one character is left over); {_EXPECTED}, all of them")
    return base64.b64decode(bare + "=" * (-len(bare) % 4))
