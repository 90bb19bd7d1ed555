"""The gateway under 200 bad callers at once: how quickly `/health` answers, and how much memory it takes, which no test asserts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex
from typing import Any, Final

import httpx
import pika

from bench import figures, process
from bench.scenarios.knobs import Knobs, promise
from bench.stage import Bench
from tests.support import gateway as callers
from tests.support.waiting import PATIENCE

CALLERS: Final = 200
PAUSE: Final = 0.05
"""Seconds between two probes."""

HEALTH_SECONDS: Final = 0.1
PEAK_MIB: Final = 150.0


async def siege(bench: Bench, knobs: Knobs) -> dict[str, Any]:
    """Slow, broken, endless and abandoned uploads; the besiegers want the same cores."""
    return await asyncio.to_thread(_besieged, bench, knobs.seconds or 30, knobs.count or CALLERS)


def _besieged(bench: Bench, seconds: float, count: int) -> dict[str, Any]:
    with _queue(bench.amqp_url) as queue:
        settings = {"request_queue": queue, "gateway_upload_seconds": "3"}
        with callers.GatewayProcess(bench.amqp_url, bench.scratch / queue, **settings) as gateway:
            gateway.wait_log("broker_connected")
            with callers.siege(gateway.address, count):
                answers = _probed(f"{gateway.url}/health", seconds)
            peak = process.peaks_mib(gateway.process.pid)[0]
    return {
        "verdict": {
            "health p90, s": promise(figures.percentile(answers, 90), "at most", HEALTH_SECONDS, "s"),
            "gateway, peak MiB": promise(peak, "at most", PEAK_MIB, "MiB"),
        },
        "callers": count,
        "health": figures.latencies(answers),
    }


@contextmanager
def _queue(url: str) -> Iterator[str]:
    """A request queue that nobody serves."""
    name = f"bench-{token_hex(4)}"
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        connection.channel().queue_declare(name)
    try:
        yield name
    finally:
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            connection.channel().queue_delete(name)


def _probed(url: str, seconds: float) -> list[float]:
    """How long each answer was waited for."""
    answers = []
    end = time.monotonic() + seconds
    with httpx.Client(timeout=PATIENCE) as probe:
        while time.monotonic() < end:
            asked = time.monotonic()
            probe.get(url)
            answers.append(time.monotonic() - asked)
            time.sleep(PAUSE)  # a probe now and then, as a probe does
    return answers
