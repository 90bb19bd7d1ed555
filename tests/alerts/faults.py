"""The faults, each with the alerts that it must raise: how it begins and how it ends.

What must be seen is checked by the test.
"""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.alerts.rig import Rig
from tests.support.notes import short_notes

Step = Callable[[Rig], object]

FLOOD = 420
"""Notes at once. More follow each second, so that one slot never comes to an end of them, however fast it is."""

FLOOD_GOES_ON = 20
BLOCK_EVERY = 3.0  # s


@dataclass(frozen=True)
class Fault:
    """`begin` once, `go_on` every second until the alerts fire, `end` once; `told` is the table's text."""

    alerts: tuple[str, ...]
    told: str
    begin: Step
    end: Step
    go_on: Step = lambda _rig: None


def _nothing(_rig: Rig) -> None:
    """It passes by itself."""


def _scraped_since(rig: Rig, moment: float) -> bool:
    """Whether Prometheus has seen a process that began after `moment`.

    The kernel counts in hundredths, from a boot in seconds.
    """
    return (rig.prometheus.value("sttd_process_start_time_seconds") or 0) > moment - 1


def _restart_thrice(rig: Rig) -> None:
    for _ in range(3):
        rig.kill()
        killed = time.time()
        rig.start()
        rig.until(partial(_scraped_since, rig, killed), "scrape of this life")


def _cut_off(rig: Rig) -> None:
    rig.proxy.stall()
    rig.proxy.cut()


def _memory_alarm(rig: Rig) -> None:
    """RabbitMQ blocks a connection when it publishes: the daemon must have something to answer."""
    rig.send(60)
    rig.node.rabbitmqctl("set_vm_memory_high_watermark", "0.00001")


def _flood(rig: Rig) -> None:
    for _ in range(6):
        rig.send(FLOOD // 6)


def _block_loop(rig: Rig) -> None:
    """Block it once, then let it answer: a daemon that never answers is down, not late."""
    rig.signal(signal.SIGHUP)
    time.sleep(BLOCK_EVERY)


def _kill_decoders(rig: Rig) -> None:
    rig.kill_decoders()
    rig.send()


def _time_out(rig: Rig) -> None:
    rig.restart(job_seconds="0.02")
    rig.send(15)


def _memory_back(rig: Rig) -> None:
    rig.signal(signal.SIGUSR2)
    rig.restart()


def _sick(rig: Rig) -> None:
    rig.restart(sick=str(rig.sick))
    rig.sick.touch()


def _small_bound(rig: Rig) -> None:
    rig.restart(max_body_bytes="100000", max_audio_seconds="30", prefetch="1")


FAULTS = (
    Fault(("SttdEventLoopLag",), "main thread blocked for 1.4 s, repeatedly", _nothing, _nothing, go_on=_block_loop),
    Fault(("SttdDown",), "daemon killed with `kill -9`", Rig.kill, Rig.start),
    Fault(("SttdAbsent",), "target removed from Prometheus", lambda rig: rig.prometheus.targets(), Rig.watch),
    Fault(("SttdRestarting",), "daemon killed and started three times", _restart_thrice, _nothing),
    Fault(
        ("SttdNotReady", "SttdNoConsumer", "SttdConnectionDown"),
        "all connections to RabbitMQ reset, new ones stalled",
        _cut_off,
        lambda rig: rig.proxy.resume(),
    ),
    Fault(
        ("SttdBrokerBlocked",),
        "RabbitMQ's memory limit set below its use",
        _memory_alarm,
        lambda rig: rig.node.rabbitmqctl("set_vm_memory_high_watermark", "0.4"),
    ),
    Fault(
        ("SttdQueueGrowing", "SttdAnswersLate", "SttdOldestMessageOld"),
        f"{FLOOD} notes for one slot, and {FLOOD_GOES_ON} more every second",
        _flood,
        Rig.purge,
        go_on=lambda rig: rig.send(FLOOD_GOES_ON),
    ),
    Fault(
        ("SttdDeadLetters",),
        "a request whose `reply_to` is `stt.dead`",
        lambda rig: rig.send(reply_to="stt.dead"),
        _nothing,
    ),
    Fault(
        ("SttdRepliesUnroutable",),
        "a request whose reply queue does not exist",
        lambda rig: rig.send(reply_to="nowhere"),
        _nothing,
    ),
    Fault(
        ("SttdFaults",),
        "`STTD_JOB_SECONDS=0.02`: every note is `timed_out`",
        _time_out,
        Rig.restart,
        go_on=lambda rig: rig.send(2),
    ),
    Fault(
        ("SttdDecoderCrashes",),
        "decoder children killed with `kill -9`, a note after each",
        _nothing,
        _nothing,
        go_on=_kill_decoders,
    ),
    Fault(
        ("SttdBreakerOpen",),
        "an engine that raises on every note",
        _sick,
        lambda rig: rig.sick.unlink(),
        go_on=lambda rig: rig.send(len(short_notes())),
    ),
    Fault(
        ("SttdMemoryHigh",),
        "128 MiB more every second, past a small bound",
        _small_bound,
        _memory_back,
        go_on=lambda rig: rig.signal(signal.SIGUSR1),
    ),
)
