"""Fixtures for every tier: a clean environment, the session's RabbitMQ, a fresh vhost on it, a node of one's own.

Owns no test data. Starts nothing until a test asks for it.
"""

import logging
import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support import second_engine
from tests.support.broker import Broker, External
from tools.rabbitmq import Node

EXTERNAL_AMQP = os.environ.get("STTD_TEST_AMQP_URL")
EXTERNAL_MANAGEMENT = os.environ.get("STTD_TEST_MANAGEMENT_URL")


def pytest_configure() -> None:
    """Set what holds for every test.

    A shell starts background jobs with SIGINT ignored: processes under test must not inherit that. Hypothesis measures
    times of its own, which on a busy machine say nothing about the code.
    """
    settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("busy")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    second_engine.install()


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the developer's shell or `.env` reaches a test; what a test sets is undone after it."""
    from sttd.consumer.settings import Settings  # noqa: PLC0415 - only a test that runs needs it, not every collection
    from sttd.gateway.settings import GatewaySettings  # noqa: PLC0415 - the same
    from sttd.settings import ClientSettings  # noqa: PLC0415 - the same

    for name in [name for name in os.environ if name.startswith("STTD_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    for model in (Settings, GatewaySettings, ClientSettings):
        monkeypatch.setitem(model.model_config, "env_file", None)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A command that a test runs in this process sets up logging; later ones would write to its closed stderr."""
    import structlog  # noqa: PLC0415 - as above

    from sttd.service import log  # noqa: PLC0415 - as above

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    floors = {name: logging.getLogger(name).level for name in log.NOISY}
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, floor in floors.items():
        logging.getLogger(name).setLevel(floor)


@pytest.fixture(scope="session")
def node() -> Iterator[Node | External]:
    """The session's RabbitMQ: a private node, or the broker that STTD_TEST_AMQP_URL names.

    Tests share it and must leave it running.
    """
    if EXTERNAL_AMQP:
        yield External(EXTERNAL_AMQP, EXTERNAL_MANAGEMENT)
        return
    with Node() as private:
        yield private


@pytest.fixture(scope="session")
def spare_node() -> Iterator[Node]:
    """The node behind `own_node`: a start costs seconds."""
    with Node() as private:
        yield private


@pytest.fixture
def own_node(spare_node: Node) -> Iterator[Node]:
    """A private node that the test may kill, stop and freeze; others use it before and after, in their own vhosts."""
    yield spare_node
    spare_node.thaw()
    if spare_node.pid is None:
        spare_node.start()


@pytest.fixture
def broker(node: Node | External) -> Iterator[Broker]:
    """A fresh vhost with a user of its own on the session's RabbitMQ."""
    with Broker(node) as fresh:
        yield fresh


@pytest.fixture
def own_broker(own_node: Node) -> Broker:
    """A vhost on `own_node`. It stays: the node may be down when the test ends."""
    return Broker(own_node).__enter__()
