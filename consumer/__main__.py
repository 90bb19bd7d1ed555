"""`python -m sttd.consumer`: read the settings, run the daemon, exit with a code from the table in errors.py.

Nothing is constructed here; see app.py.
"""

import asyncio
import logging
import os
import sys

from sttd.consumer import settings
from sttd.consumer.engine import environment
from sttd.consumer.errors import SettingsError
from sttd.service import log


def main() -> int:
    """Run the daemon; returns only when the settings are wrong, else ends the process."""
    try:
        loaded = settings.load()
    except SettingsError as error:
        sys.stderr.write(f"sttd: {error.message}\n")
        return int(error.exit_code)
    environment.prepare()
    log.configure(loaded.log_format, loaded.log_level)
    # Here, because numpy, ctranslate2 and onnxruntime load for a second: a wrong setting need not wait for that.
    from sttd.consumer.app import serve  # noqa: PLC0415 - see above

    with asyncio.Runner() as runner:
        code = runner.run(serve(loaded))
        logging.shutdown()
        sys.stdout.flush()
        # Interpreter exit would wait for native thread pools, which can deadlock. Everything is closed at this point.
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
