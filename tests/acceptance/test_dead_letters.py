"""A dead letter of a real daemon, found and sent again with the command line, is answered."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from sttd.commands import main
from tests.support.broker import Broker, wait_until
from tests.support.daemon import DaemonProcess
from tests.support.notes import GROCERIES, note, spoken


def sttd(*args: str) -> str:
    """Stdout of an `sttd` command that must succeed."""
    result = CliRunner().invoke(main.build(), args)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.slow("several tries of a request")
async def test_a_requeued_request_and_a_requeued_reply_reach_somebody(
    daemon: DaemonProcess, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tool and the daemon mean the same by their headers, lanes and queues."""
    monkeypatch.setenv("STTD_AMQP_URL", broker.amqp_url)
    audio = note(text=GROCERIES).path.read_bytes()
    broker.publish("stt.requests.bulk", audio, reply_to="stt.dead", correlation_id="refused")
    broker.publish("stt.requests", audio, reply_to="mine", correlation_id="parked")
    await wait_until(lambda: broker.depth("stt.dead") and broker.depth("stt.replies.dead"))

    [dead] = json.loads(await in_thread("dead", "list", "--json"))
    assert (dead["reason"], dead["lane"], dead["attempt"]) == ("bad_reply_to", "stt.requests.bulk", 1)
    broker.declare("mine")
    await in_thread("dead", "requeue", "refused", "--reply-to", "mine", "--yes")
    await in_thread("dead", "requeue", "parked", "--queue", "stt.replies.dead", "--yes")
    await wait_until(lambda: broker.depth("mine") == 2)

    answers = {message.properties.correlation_id: message.json() for message in broker.take("mine", 2)}
    assert {spoken(answer["text"]) == spoken(GROCERIES) for answer in answers.values()} == {True}
    assert answers["refused"]["message_id"] is None
    assert broker.depth("stt.dead") == broker.depth("stt.replies.dead") == 0
    assert daemon.ready()


async def in_thread(*args: str) -> str:
    """A command has an event loop of its own."""
    return await asyncio.to_thread(sttd, *args)
