"""sd_notify from our side: what is sent, when, to which socket, and that a broken service manager does no harm."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sttd.consumer.service_manager import ServiceManager

pytestmark = pytest.mark.virtual_time


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    """What systemd listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as heard:
        heard.bind(str(tmp_path / "notify"))
        yield heard


def manager(listener: socket.socket, **environment: str) -> ServiceManager:
    """One that reports to this listener."""
    return ServiceManager.from_environment({"NOTIFY_SOCKET": listener.getsockname(), **environment})


def heard(listener: socket.socket) -> list[str]:
    """Every datagram so far."""
    found = []
    while True:
        try:
            found.append(listener.recv(4096).decode())
        except BlockingIOError:
            return found


def test_ready_is_said_once_and_not_after_the_end_began(listener: socket.socket) -> None:
    """A daemon that loses its broker is not ready, but it is started; one that drains never becomes ready again."""
    told = manager(listener)
    told.health(False, "starting, model: downloading")
    told.health(True, "ok")
    told.health(False, "unavailable, publisher: gone")
    told.health(True, "ok")
    told.stopping()

    assert heard(listener) == [
        "STATUS=starting, model: downloading",
        "READY=1\nSTATUS=ok",
        "STATUS=unavailable, publisher: gone",
        "STATUS=ok",
        "STOPPING=1\nSTATUS=draining",
    ]

    late = manager(listener)
    late.stopping()
    late.health(True, "ok")
    assert not [words for words in heard(listener) if "READY=1" in words]


async def test_the_watchdog_is_fed_three_times_a_period(listener: socket.socket) -> None:
    """One word may be lost and one late."""
    loop = asyncio.get_running_loop()
    feeding = asyncio.create_task(manager(listener, WATCHDOG_USEC="300000").feed())
    moments = []
    for _ in range(4):
        assert await loop.sock_recv(listener, 100) == b"WATCHDOG=1"
        moments.append(loop.time())
    feeding.cancel()

    assert moments == pytest.approx([0, 0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "x"},
        {"WATCHDOG_USEC": "300000", "WATCHDOG_PID": str(os.getpid() + 1)},
    ],
)
async def test_a_watchdog_that_is_not_ours_is_not_fed(listener: socket.socket, environment: dict[str, str]) -> None:
    """And the task that would feed it does not end: its end would be the daemon's."""
    feeding = asyncio.create_task(manager(listener, **environment).feed())
    await asyncio.wait({feeding}, timeout=3600)

    assert not feeding.done()
    assert heard(listener) == []
    feeding.cancel()


async def test_without_a_service_manager_nothing_is_said_and_nothing_fails() -> None:
    """By hand, in a container, on Kubernetes."""
    told = ServiceManager.from_environment({"WATCHDOG_USEC": "300000"})
    told.health(True, "ok")
    told.stopping()
    feeding = asyncio.create_task(told.feed())
    await asyncio.wait({feeding}, timeout=3600)
    assert not feeding.done()
    feeding.cancel()


def test_a_service_manager_that_does_not_listen_harms_nobody(tmp_path: Path) -> None:
    """Its socket may be gone, or full."""
    ServiceManager(str(tmp_path / "missing"), None).health(True, "ok")


def test_an_address_in_the_abstract_namespace_is_understood() -> None:
    """Systemd writes it with an @ where the kernel has a zero byte."""
    name = f"sttd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as listening:
        listening.bind(f"\0{name}")
        ServiceManager.from_environment({"NOTIFY_SOCKET": f"@{name}"}).stopping()
        assert heard(listening) == ["STOPPING=1\nSTATUS=draining"]
