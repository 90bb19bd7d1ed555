"""Two versions side by side on one queue, replaced one by one under load: nothing lost, nothing dead, nobody waits twice as long.

Both are this tree unless UPGRADE_FROM names a git revision: then the old ones run its code (`make upgrade FROM=v0.1.0`).
"""

from __future__ import annotations

import io
import os
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.broker import Broker
from tests.support.daemon import DaemonProcess
from tests.support.ledger import Ledger, balance_line
from tests.support.load import Load, Reader, Request, Requests

ROOT = Path(__file__).resolve().parents[2]
StartDaemon = Callable[..., DaemonProcess]
RATE = float(
    os.environ.get("UPGRADE_RATE", "3")
)  # notes per second: well below what two processes with one slot each can do
NORMAL_SECONDS = float(os.environ.get("UPGRADE_SECONDS", "9"))
WITHIN = 2.0  # times the normal p95
FLOOR = float(
    os.environ.get("UPGRADE_FLOOR", "0.5")
)  # s: below it, twice is a busy machine's noise; `make upgrade` knows no floor


class Plain(Requests):
    """Short notes only, one at a time: what is measured is the change, not the mixture."""

    def burst(self) -> int:
        """One."""
        return 1

    def draw(self) -> Request:
        """The usual kind."""
        return self.plain()


def old_code(folder: Path) -> dict[str, str]:
    """The environment in which a daemon runs the old revision's code; empty for this tree's own."""
    revision = os.environ.get("UPGRADE_FROM")
    if not revision:
        return {}
    packed = subprocess.run(
        ["git", "archive", revision, "consumer", "schemas", "sttd"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    if not (folder / "sttd" / "consumer").exists():  # before 0.2.0 the package was called `consumer`
        (folder / "sttd" / "consumer").mkdir()
        (folder / "sttd" / "consumer" / "__init__.py").write_text("")
        main = "import runpy; runpy.run_module('consumer', run_name='__main__')"
        (folder / "sttd" / "consumer" / "__main__.py").write_text(main)
    where = subprocess.run(
        [sys.executable, "-c", "import sttd.consumer; print(sttd.consumer.__file__)"],
        env=os.environ | {"PYTHONPATH": str(folder)},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(folder)), "the old code is not what would run"
    return {"PYTHONPATH": str(folder)}


def p95(ledger: Ledger, since: float, until: float) -> float:
    """Seconds from publishing to the answer that 95 % of the notes asked in this time did not exceed."""
    took = ledger.waits(since, until)
    assert len(took) >= 20, f"{len(took)} notes are too few to say"
    return statistics.quantiles(took, n=20)[-1]


@pytest.mark.timeout(240)
def test_processes_are_replaced_one_by_one_and_nobody_notices(
    start_daemon: StartDaemon, broker: Broker, tmp_path: Path
) -> None:
    """The promise of an upgrade at noon: 0 lost, 0 dead letters, p95 within twice the normal."""
    old = old_code(tmp_path / "old")
    serving = [start_daemon(slots="1", worker=f"old-{number}", **old).wait_ready() for number in range(2)]
    ledger = Ledger(tmp_path / "ledger.sqlite")
    load, reader = Load(broker.amqp_url, ledger, Plain("upgrade", seed=1), RATE), Reader(broker.amqp_url, ledger)
    for thread in (load, reader):
        thread.start()
    load.flow.set()
    try:
        time.sleep(3)  # the first notes warm caches
        began = time.time()
        time.sleep(NORMAL_SECONDS)  # what is normal has to be measured for a while
        changing = time.time()
        new = []
        for number, leaving in enumerate(serving):
            new.append(start_daemon(slots="1", worker=f"new-{number}").wait_ready())
            assert leaving.stop(seconds=40) == 0
            time.sleep(NORMAL_SECONDS / 3)  # the next one is not replaced in the same breath
        changed = time.time()
        load.flow.clear()
        end = time.monotonic() + 60
        while ledger.outstanding() and time.monotonic() < end:
            time.sleep(0.1)  # the reader writes to the books in its own thread
    finally:
        load.stop()
        reader.stop()
    normal, during = p95(ledger, began, changing), p95(ledger, changing, changed)
    balance = ledger.check(queued=())
    sys.stdout.write(
        f"p95 normal {normal:.2f} s, during {changed - changing:.0f} s of change {during:.2f} s; {balance_line(balance)}\n"
    )

    assert balance.lost == balance.dead == balance.parked == balance.duplicates == 0
    assert balance.replied == balance.confirmed == balance.asked
    assert during <= max(WITHIN * normal, FLOOR)
    for daemon in (*serving, *new):
        assert daemon.lines("request_done"), "one of the four had nothing to do"
