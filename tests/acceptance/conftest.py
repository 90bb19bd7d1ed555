"""Fixtures of the acceptance tier: a daemon as a subprocess on a fresh vhost. Owns no test data."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.broker import Broker, Endpoint
from tests.support.daemon import DaemonProcess

StartDaemon = Callable[..., DaemonProcess]


@pytest.fixture
def start_daemon(broker: Broker, tmp_path: Path) -> Iterator[StartDaemon]:
    """Start daemons on the test's vhost; all are ended with the test, and no log may hold its password."""
    started: list[DaemonProcess] = []

    def start(amqp_url: str = broker.amqp_url, **settings: str) -> DaemonProcess:
        log = tmp_path / f"daemon-{len(started)}.log"
        daemon = DaemonProcess(amqp_url, log, **settings).start()
        started.append(daemon)
        return daemon

    yield start
    for daemon in started:
        daemon.close()
    for daemon in started:
        assert broker.password not in daemon.log, "a log holds the broker's password"


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> DaemonProcess:
    """One daemon that is ready."""
    return start_daemon().wait_ready()


@pytest.fixture(scope="module")
def shared_broker(node: Endpoint) -> Iterator[Broker]:
    """A vhost for all tests of a file; each leaves its queues empty."""
    with Broker(node) as shared:
        yield shared


@pytest.fixture(scope="module")
def shared_daemon(shared_broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """One daemon on it that is ready: a start costs seconds."""
    daemon = DaemonProcess(shared_broker.amqp_url, tmp_path_factory.mktemp("shared") / "daemon.log").start()
    try:
        yield daemon.wait_ready()
    finally:
        daemon.close()
    assert shared_broker.password not in daemon.log, "a log holds the broker's password"
