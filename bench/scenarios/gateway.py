"""The gateway under 200 bad callers at once: how quickly `/health` answers, and how much memory it takes."""

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex
from typing import Any, Final

import httpx
import pika

from bench import figures
from bench.process import HOST, Process, environment, peaks_mib
from bench.scenarios.knobs import Knobs, promise
from bench.stage import Bench
from tools import callers
from tools.rabbitmq.plan import free_ports

CALLERS: Final = 200
PAUSE: Final = 0.05
"""Seconds between two probes."""

LONGEST: Final = 120.0
"""Seconds until a probe fails."""

HEALTH_SECONDS: Final = 0.1
PEAK_MIB: Final = 150.0


async def besieged(bench: Bench, knobs: Knobs) -> dict[str, Any]:
    """Slow, broken, endless and abandoned uploads; the callers use the same cores."""
    seconds, count, (port,) = knobs.seconds or 30, knobs.count or CALLERS, free_ports(1)
    with _queue(bench.amqp_url) as queue:
        variables = environment(
            amqp_url=bench.amqp_url, request_queue=queue, gateway_port=str(port), gateway_upload_seconds="3"
        )
        command = [sys.executable, "-m", "sttd.gateway"]
        async with Process(command, variables, bench.scratch / f"{queue}.log") as gateway:
            await gateway.until(lambda: _connected(gateway))
            with callers.siege((HOST, port), count):
                answers = await asyncio.to_thread(_probed, f"http://{HOST}:{port}/health", seconds)
            peak = peaks_mib(gateway.pid)[0]
    return {
        "verdict": {
            "health p90, s": promise(figures.percentile(answers, 90), "at most", HEALTH_SECONDS, "s"),
            "gateway, peak MiB": promise(peak, "at most", PEAK_MIB, "MiB"),
        },
        "callers": count,
        "health": figures.latencies(answers),
    }


async def _connected(gateway: Process) -> bool:
    return "broker_connected" in gateway.log


@contextmanager
def _queue(url: str) -> Iterator[str]:
    """A request queue whose daemon has its hands full."""
    name = f"bench-{token_hex(4)}"
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        connection.channel().queue_declare(name)
    try:
        with callers.occupied(url, name):
            yield name
    finally:
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            connection.channel().queue_delete(name)


def _probed(url: str, seconds: float) -> list[float]:
    """How long each answer was waited for."""
    answers = []
    end = time.monotonic() + seconds
    with httpx.Client(timeout=LONGEST) as probe:
        while time.monotonic() < end:
            asked = time.monotonic()
            probe.get(url)
            answers.append(time.monotonic() - asked)
            time.sleep(PAUSE)  # a probe now and then, as a probe does
    return answers
