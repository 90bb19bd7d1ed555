"""What a bot installs: `from sttd import Client`, the errors that it raises, and the command line `sttd`.

Everything is imported at its first use: the daemon and its decoder processes live below this package and need no
client.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sttd import errors
    from sttd.blocking import BlockingClient
    from sttd.client import Client
    from sttd.content import Audio
    from sttd.errors import SttdClientError, TranscriptionFailed
    from sttd.schemas.reference import Reference
    from sttd.schemas.reply import Progress, Segment, Transcript, Word

__all__ = [
    "Audio",
    "BlockingClient",
    "Client",
    "Progress",
    "Reference",
    "Segment",
    "SttdClientError",
    "Transcript",
    "TranscriptionFailed",
    "Word",
    "errors",
]

_HOMES: Final = {
    "sttd.blocking": ("BlockingClient",),
    "sttd.client": ("Client",),
    "sttd.content": ("Audio",),
    "sttd.errors": ("SttdClientError", "TranscriptionFailed"),
    "sttd.schemas.reference": ("Reference",),
    "sttd.schemas.reply": ("Progress", "Segment", "Transcript", "Word"),
}


if not TYPE_CHECKING:  # a type checker shall report a name that is not there

    def __getattr__(name: str) -> Any:
        """Import a public name when it is first used (PEP 562). Raises `AttributeError` for any other name."""
        if name == "errors":
            return importlib.import_module("sttd.errors")
        home = next((module for module, names in _HOMES.items() if name in names), None)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return __all__
