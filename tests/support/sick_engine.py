"""The daemon with an engine that fails, or waits, as long as a file exists: in place of `python -m sttd.consumer`."""

import sys
import time
from pathlib import Path
from typing import Any

from sttd.consumer.engine import environment

POLL = 0.01


def main(sick: Path, held: Path) -> int:
    """Run the daemon; its model calls raise while `sick` is there, and wait while `held` is.

    Those of the self-test at start, too.
    """
    environment.prepare()
    from sttd.consumer.__main__ import main as daemon  # noqa: PLC0415 - imports numpy, which prepare() is for
    from sttd.consumer.engine.schedule.scheduler import Scheduler  # noqa: PLC0415 - as above

    healthy = Scheduler.run

    def run(scheduler: Scheduler, call: Any, **how: Any) -> Any:
        while held.exists():
            time.sleep(POLL)
        if sick.exists():
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return healthy(scheduler, call, **how)

    Scheduler.run = run  # type: ignore[method-assign, assignment]  # the fault
    return daemon()


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
