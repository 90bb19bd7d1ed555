"""The client against the real daemon: progress as it is worked on, and cancels and deadlines that stop the work."""

import asyncio
import os
import signal
from contextlib import aclosing

import pytest

from sttd import Client, errors
from sttd.samples import samples
from sttd.schemas.reply import Progress, Transcript
from tests.support.broker import Broker, wait_until
from tests.support.daemon import DaemonProcess
from tests.support.notes import GROCERIES, note, spoken
from tests.support.waiting import BRIEFLY

LONG = max(samples(), key=lambda sample: len(sample.text))


@pytest.mark.slow("long notes through the model")
async def test_progress_cancels_and_deadlines_mean_the_same_to_client_and_daemon(
    daemon: DaemonProcess, broker: Broker
) -> None:
    """Progress of a long note; cancelled midway it is not finished; a queued one is not begun; a late one expires."""

    def cancelled() -> float:
        return daemon.metric("sttd_requests_finished_total", code="cancelled")

    def transcribed() -> float:
        return daemon.counted("sttd_stage_duration_seconds_count", stage="transcribe")

    async with Client(broker.amqp_url) as client:
        updates = [update async for update in client.stream(LONG.path)]
        fractions = [update.fraction for update in updates if isinstance(update, Progress)]
        assert fractions == sorted(fractions)
        assert len(fractions) > 1
        assert isinstance(updates[-1], Transcript)

        async with aclosing(client.stream(LONG.path)) as left:
            assert isinstance(await anext(left), Progress)
        await wait_until(lambda: cancelled() == 1)

        queued = [asyncio.create_task(client.transcribe(LONG.path, message_id=f"queued-{n}")) for n in range(8)]
        await wait_until(lambda: "8 in flight" in repr(client))
        for n in range(8):
            await client.cancel(f"queued-{n}")
        outcomes = await asyncio.gather(*queued, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {errors.Cancelled}
        await wait_until(lambda: cancelled() == 9)

        before = transcribed()
        os.kill(daemon.running.pid, signal.SIGSTOP)  # so that the deadline is over before the daemon reads the request
        with pytest.raises(errors.ReplyTimeout):
            await client.transcribe(LONG.path, timeout=BRIEFLY)
        os.kill(daemon.running.pid, signal.SIGCONT)
        assert spoken((await client.transcribe(note(text=GROCERIES).path)).text) == spoken(GROCERIES)
    assert transcribed() == before + 1
    assert broker.depth("stt.requests") == broker.depth("stt.dead") == broker.depth("stt.replies.dead") == 0
