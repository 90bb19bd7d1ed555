"""pydantic's errors as text for a person: where and why, never the input, which may hold speech or secrets."""

from __future__ import annotations

from pydantic import ValidationError


def problems(error: ValidationError) -> list[tuple[str, str]]:
    """Field (dotted; empty for a rule about several) and problem, one pair for each thing that is wrong."""
    found = error.errors(include_input=False, include_url=False)
    return [
        (".".join(map(str, one["loc"])), one["msg"].removeprefix("Value error, ")) for one in found
    ]  # pydantic's for "a rule of ours"
