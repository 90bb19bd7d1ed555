"""pydantic's errors as text for a person: where and why, never the input, which may hold speech or secrets."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Final

from pydantic import ValidationError

LONGEST_NAME: Final = 100  # characters of an unknown name that are compared
_SENTENCES: Final = {
    "missing": "is missing",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
}
"""By pydantic's type of error, with the names of its context; a type that is not here keeps pydantic's own sentence."""


def problems(error: ValidationError, names: Iterable[str] = ()) -> Iterator[tuple[str, str]]:
    """Field (dotted; empty for a rule about several) and problem, one pair for each thing that is wrong.

    `names`: those that could have been meant by an unknown one. To look for them takes time, so take few pairs of an
    input that anybody may have written.
    """
    known = list(names)
    for one in error.errors(include_input=False, include_url=False):
        where = ".".join(map(str, one["loc"]))
        if one["type"] == "extra_forbidden":
            yield where, _unknown(str(one["loc"][-1]), known)
        else:
            sentence = _SENTENCES.get(one["type"])
            said = sentence.format(**one.get("ctx", {})) if sentence else one["msg"]
            yield where, said.removeprefix("Value error, ")  # pydantic's for "a rule of ours"


def _unknown(name: str, known: list[str]) -> str:
    meant = get_close_matches(name[:LONGEST_NAME].lower(), known, n=1)
    return f"there is no such option; did you mean {meant[0]}?" if meant else "there is no such option"
