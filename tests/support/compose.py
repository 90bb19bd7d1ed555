"""docker-compose.yml as compose would see it: merged, with `${NAME:-default}` filled in from an environment.

Covers the part of compose's syntax that our file uses; anything else fails.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # comes with ctranslate2; its types are not worth a dependency

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"
UNITS = {"k": 1024, "m": 1024**2, "g": 1024**3, "Mi": 1024**2, "Gi": 1024**3, "M": 1024**2, "G": 1024**3}


def load(environment: Mapping[str, str] = {}) -> dict[str, Any]:
    """The whole file, filled in after parsing, as compose does it. `environment` stands for the operator's `.env`."""
    found: dict[str, Any] = _filled(yaml.safe_load(FILE.read_text(encoding="utf-8")), environment)
    return found


def _filled(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner, environment) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, environment) for inner in value]
    return interpolated(value, environment) if isinstance(value, str) else value


def interpolated(text: str, environment: Mapping[str, str]) -> str:
    """Fill in `${NAME:-default}`; other forms are an error, so that none slips by unread."""
    filled = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: environment.get(found[1]) or found[2], text)
    assert "$" not in filled, filled
    return filled


def services(environment: Mapping[str, str] = {}) -> dict[str, dict[str, Any]]:
    """The services by name."""
    found: dict[str, dict[str, Any]] = load(environment)["services"]
    return found


def size(text: str) -> int:
    """Bytes of `9g`, `64m`, `1Gi`."""
    found = re.fullmatch(r"(\d+)([a-zA-Z]+)", text)
    assert found, text
    return int(found[1]) * UNITS[found[2]]
