"""Two versions on one queue, replaced one by one under load: nothing lost, dead or answered twice.

Both are this tree unless UPGRADE_FROM names a git revision: then the old ones run its code (`make upgrade
FROM=v0.1.0`). How long answers take before and during the change is printed, not asserted: a busy machine proves
nothing about the daemon (issue 11).
"""

from __future__ import annotations

import io
import math
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
from tests.support.waiting import PATIENCE, wait_for

ROOT = Path(__file__).resolve().parents[2]
StartDaemon = Callable[..., DaemonProcess]
RATE = float(
    os.environ.get("UPGRADE_RATE", "3")
)  # notes per second: well below what two processes with one slot each can do
NOTES = int(os.environ.get("UPGRADE_NOTES", "24"))
"""Answers before the change begins; a third as many between two replacements, and after the last one."""


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


def _wait_for_answers(ledger: Ledger, more: int) -> None:
    wanted = ledger.answers() + more
    wait_for(lambda: ledger.answers() >= wanted, f"{more} answers", 3 * PATIENCE)


def p95(ledger: Ledger, since: float, until: float) -> float:
    """Seconds from publishing to the answer that 95 % of the notes asked in this time did not exceed."""
    waits = ledger.waits(since, until)
    return statistics.quantiles(waits, n=20)[-1] if len(waits) > 1 else math.nan


@pytest.mark.slow("four daemons under load")
def test_processes_are_replaced_one_by_one_and_nobody_notices(
    start_daemon: StartDaemon, broker: Broker, tmp_path: Path
) -> None:
    """An upgrade at noon: 0 lost, 0 dead letters, 0 second answers, and each of the four daemons at work."""
    old = old_code(tmp_path / "old")
    serving = [start_daemon(slots="1", worker=f"old-{number}", **old).wait_ready() for number in range(2)]
    ledger = Ledger(tmp_path / "ledger.sqlite")
    load = Load(lambda: broker.amqp_url, ledger, Plain("upgrade", seed=1), RATE)
    reader = Reader(lambda: broker.amqp_url, ledger)
    for thread in (load, reader):
        thread.start()
    load.flow.set()
    try:
        _wait_for_answers(ledger, NOTES // 3)  # the first notes warm caches
        began = time.time()
        _wait_for_answers(ledger, NOTES)
        changing = time.time()
        new = []
        for number, leaving in enumerate(serving):
            new.append(start_daemon(slots="1", worker=f"new-{number}").wait_ready())
            assert leaving.stop() == 0
            _wait_for_answers(ledger, NOTES // 3)  # the next one is not replaced at the same moment
        changed = time.time()
        load.flow.clear()
        wait_for(lambda: load.resting and not ledger.outstanding(), "end of the load")
    finally:
        load.stop()
        reader.stop()
    normal, during = p95(ledger, began, changing), p95(ledger, changing, changed)
    balance = ledger.check(queued=())
    sys.stdout.write(f"p95 normal {normal:.2f} s, during the change {during:.2f} s; {balance_line(balance)}\n")

    assert balance.lost == balance.dead == balance.parked == balance.duplicates == 0
    assert balance.replied == balance.confirmed == balance.asked
    for daemon in (*serving, *new):
        assert daemon.lines("request_done"), "one of the four had nothing to do"
