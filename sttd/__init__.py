"""What a bot installs: `from sttd import Client`, the errors that it raises, and the command line `sttd`.

Imports schemas and its own modules; never the daemon. Importing it opens nothing and reads no setting.
"""

from __future__ import annotations

from schemas.reply import Progress, Transcript
from sttd import errors
from sttd.client import Client
from sttd.errors import SttdClientError, TranscriptionFailed

__all__ = ["Client", "Progress", "SttdClientError", "Transcript", "TranscriptionFailed", "errors"]
