"""The libraries that commands need beyond the base install, and the message when one is missing. None is imported."""

from importlib.util import find_spec
from typing import Final

from sttd.commands.exit_codes import Exit
from sttd.commands.terminal import leave

CONSUMER: Final = tuple(
    """
    av ctranslate2 faster_whisper huggingface_hub num2words prometheus_client starlette structlog uvicorn
    """.split()
)
"""Modules of the `[consumer]` extra; a test compares with pyproject.toml."""

GATEWAY: Final = ("starlette", "structlog", "uvicorn")
"""Modules of the `[gateway]` extra; a test compares with pyproject.toml."""


INSTALL: Final = {name: f'`pip install ".[{name}]"` in the folder of sttd' for name in ("consumer", "gateway", "onnx")}
"""How an extra is installed while no package index has a release."""


def missing(modules: tuple[str, ...]) -> list[str]:
    """Those of the modules that are not installed."""
    return [name for name in modules if find_spec(name) is None]


def need_consumer() -> None:
    """End the command with one line unless the `[consumer]` extra is installed."""
    _need("consumer", "daemon", CONSUMER)


def need_gateway() -> None:
    """End the command with one line unless the `[gateway]` extra is installed."""
    _need("gateway", "gateway", GATEWAY)


def _need(extra: str, whose: str, modules: tuple[str, ...]) -> None:
    if lacking := missing(modules):
        raise leave(Exit.USAGE, f"this needs the {whose}'s libraries ({', '.join(lacking)} missing): {INSTALL[extra]}")
