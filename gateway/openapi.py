"""The OpenAPI document of the gateway, made from the models of its answers and the forms that it reads."""

from __future__ import annotations

from typing import Any


def document() -> dict[str, Any]:
    """The document."""
    return {}
