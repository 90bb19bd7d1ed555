"""What a person is told of the three connections, and what only a collector is."""

from structlog.testing import capture_logs

from sttd.consumer.observe import BusReporter
from sttd.consumer.side_port.health import DaemonHealth
from sttd.consumer.side_port.metrics import Metrics

ROLES = ("publish", "direct", "consume")


def test_three_connections_that_are_lost_together_are_one_line_for_people() -> None:
    """A broker that goes away is one event; JSON still has a line for each connection."""
    reporter = BusReporter(Metrics(), DaemonHealth(("publisher", "consumer")))
    with capture_logs() as lines:
        for _ in range(2):
            for role in ROLES:
                reporter.lost(role, "connection refused")
            for role in ROLES:
                reporter.connected(role)
    lost = [line for line in lines if line["action"] == "bus_lost"]
    assert [line["role"] for line in lost] == [*ROLES, *ROLES]
    assert [line["people"] for line in lost] == [True, False, False] * 2


def test_the_sentence_about_a_lost_broker_has_the_reason() -> None:
    """With the reason comes the next step; a second one beside it could contradict it."""
    reporter = BusReporter(Metrics(), DaemonHealth(("publisher", "consumer")))
    with capture_logs() as lines:
        reporter.lost("publish", "RabbitMQ at rabbit:5672/stt refuses the vhost: does it exist?")
    [sentence] = [line["event"] % line.get("positional_args", ()) for line in lines if line["action"] == "bus_lost"]
    assert "rabbit:5672/stt refuses the vhost" in sentence
    assert "is it running" not in sentence


def test_a_blocked_neighbour_does_not_hide_why_the_publisher_is_away() -> None:
    """The reason on /readyz is the one to act on: a broker that refuses us has no alarm to look for."""
    health = DaemonHealth(("publisher", "consumer"))
    reporter = BusReporter(Metrics(), health)
    reporter.lost("publish", "refuses the vhost")
    for blocked in (True, False):
        reporter.blocked("direct", blocked)
        assert health.as_dict()["checks"]["publisher"]["reason"] == "refuses the vhost"
