"""What a bot installs: `from sttd import Client`, the errors that it raises, and the command line `sttd`.

Imports schemas and its own modules; never the daemon. Importing it opens nothing and reads no setting.
"""

from __future__ import annotations

from schemas.reference import Reference
from schemas.reply import Progress, Segment, Transcript, Word
from sttd import errors
from sttd.blocking import BlockingClient
from sttd.client import Client
from sttd.content import Audio
from sttd.errors import SttdClientError, TranscriptionFailed

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
