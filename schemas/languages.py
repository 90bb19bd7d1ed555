"""The language codes that Whisper supports, as one set; never a model's own subset."""

from __future__ import annotations

import re
from typing import Final

AUTO: Final = "auto"
"""Detect the language from the first window."""

CODES: Final = frozenset(
    "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht hu hy id "
    "is it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru sa sd "
    "si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo yue zh".split()
)

_ALSO: Final = {"nb": "no", "iw": "he", "in": "id", "ji": "yi", "jv": "jw", "fil": "tl"}
"""What phones and browsers call some of them: `nb-NO`, the old codes of Java and Android, and where Whisper has a name
of its own."""

_TAG: Final = re.compile(r"([a-z]{2,3})(?:[-_][a-z0-9]{1,8})*(?:\.[a-z0-9-]+)?(?:@[a-z0-9]+)?")
"""A language tag (`ru-RU`, `zh-Hans-CN`) or a locale (`ru_RU.UTF-8`), in small letters; its group is the primary
subtag."""


def code(given: str) -> str:
    """The Whisper code of a code, a language tag or a locale, in any case: only the primary subtag counts.

    Raises `ValueError`.
    """
    tag = _TAG.fullmatch(given.strip().lower())
    found = _ALSO.get(tag[1], tag[1]) if tag else ""
    if found not in CODES:
        raise ValueError(f"{given!r} is not a Whisper language code (ru), nor a tag that begins with one (ru-RU)")
    return found


def code_or_auto(given: str) -> str:
    """The same, where `auto` is allowed too. Raises `ValueError`."""
    return AUTO if given.strip().lower() == AUTO else code(given)
