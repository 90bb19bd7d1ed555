"""The claim check end to end: a daemon, a real S3 server behind a faulty proxy, and files too large for a message."""

import io
import json
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import av
import numpy as np
import pytest

from sttd import Client, Reference
from tests.support.broker import Broker, wait_until
from tests.support.daemon import DaemonProcess
from tests.support.notes import GROCERIES, note, spoken
from tests.support.object_store import OTHER_BUCKET, REGION, Door, S3Server, listener, s3_server
from tests.support.rpc import Answer, Rpc
from tools.rabbitmq import Node

MIB = 1024 * 1024
MOST = 24 * MIB
BIG = 20 * 1000 * 1000  # what a messenger lets a bot fetch; RabbitMQ 4 takes 16 MiB


@dataclass
class Site:
    """One daemon with an object store, shared by the tests of this file."""

    broker: Broker
    server: S3Server
    door: Door
    daemon: DaemonProcess

    def ask(self, reference: Any, correlation_id: str = "1", **options: Any) -> Answer:
        with Rpc(self.broker.amqp_url) as client:
            return client.ask(
                claim(reference, **options), content_type="application/json", correlation_id=correlation_id
            )


def claim(reference: Any, **options: Any) -> bytes:
    """The body of a request with a reference."""
    return json.dumps({"audio_ref": reference, "options": options}).encode()


def big_wav() -> bytes:
    """A spoken note as a WAV of 20 MB: 96 kHz, two channels, 24 bits, and silence after the words."""
    resampler = av.AudioResampler(format="s32", layout="stereo", rate=96_000)
    with av.open(str(note(text=GROCERIES).path)) as container:
        frames = [frame for packet in container.decode(audio=0) for frame in resampler.resample(packet)]
    sound = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]).astype("<i4")
    samples = np.zeros(BIG // 3, "<i4")
    samples[: sound.size] = sound
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        cast("Any", file).setparams((2, 3, 96_000, 0, "NONE", ""))
        file.writeframes(samples.view(np.uint8).reshape(-1, 4)[:, 1:].tobytes())
    return content.getvalue()


@pytest.fixture(scope="module")
def site(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Everything started once; at the end the forbidden address had no connection, and no log holds a secret."""
    folder = tmp_path_factory.mktemp("site")
    with (
        Broker(node) as broker,
        listener() as elsewhere,
        s3_server(folder / "s3.log") as server,
        Door(server.port, f"http://127.0.0.1:{elsewhere.getsockname()[1]}/voice/a") as door,
    ):
        daemon = DaemonProcess(
            broker.amqp_url,
            folder / "daemon.log",
            log_level="debug",
            max_body_bytes=str(MIB),
            max_ref_bytes=str(MOST),
            s3_endpoint=door.endpoint,
            s3_region=REGION,
            s3_access_key=server.access_key,
            s3_secret_key=server.secret_key,
            s3_buckets="voice",
        ).start()
        try:
            yield Site(broker, server, door, daemon.wait_ready())
        finally:
            daemon.close()
        with pytest.raises(BlockingIOError):
            elsewhere.accept()
        for secret in (server.secret_key, server.access_key, broker.password, "AWS4-HMAC-SHA256", "Signature="):
            assert secret not in daemon.log, "a log holds what opens the store"


@pytest.mark.slow("a large file")
async def test_a_file_that_no_message_could_carry_is_transcribed(site: Site) -> None:
    """20 MB by reference, while the daemon takes bodies of one MiB only; as JSON from any client, and from ours."""
    content = big_wav()
    assert len(content) > BIG
    reference = site.server.put("notes/большая запись.wav", content)

    answer = site.ask(reference)
    async with Client(site.broker.amqp_url) as client:
        transcript = await client.transcribe(Reference("voice", "notes/большая запись.wav"), language="ru")

    assert spoken(answer.body["text"]) == spoken(transcript.text) == spoken(GROCERIES)
    assert answer.body["audio"]["sample_rate"] == 96_000
    assert site.daemon.counted("sttd_stage_duration_seconds_count", stage="fetch") == 2
    assert site.broker.depth("stt.requests") == site.broker.depth("stt.dead") == 0


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("s3://voice/missing.ogg", "not_readable"),
        ({"bucket": OTHER_BUCKET, "key": "note.ogg"}, "not_listed"),
        ("http://127.0.0.1:9/note.ogg", "malformed"),
        ("file:///etc/passwd", "malformed"),
        ("s3://voice/a/../../secrets/note.ogg", "malformed"),
    ],
)
def test_what_may_not_be_read_is_denied_at_once(reference: Any, reason: str, site: Site) -> None:
    """Only an object that is on the operator's list and is there; for the rest no address is opened at all."""
    asked = len(site.door.asked)

    answer = site.ask(reference)

    assert (answer.code, answer.body["error"]["details"]["reason"]) == ("audio_ref_denied", reason)
    assert not answer.body["error"]["retryable"]
    assert len(site.door.asked) - asked == (1 if reason == "not_readable" else 0)


def test_a_body_beyond_the_limit_is_cut_off_while_it_is_read(site: Site) -> None:
    """Whatever length was claimed, or none: what is read is bounded, and the connection ends."""
    flood, boast = site.ask("s3://voice/rude/flood"), site.ask("s3://voice/rude/boast")

    assert flood.code == boast.code == "body_too_large"
    assert boast.body["error"]["details"] == {"bytes": 1_000_000_000, "limit": MOST}
    assert site.door.sent < MOST + 16 * MIB  # and what lay in the sockets' buffers


@pytest.mark.slow("waits for a deadline")
def test_a_store_that_stands_still_costs_no_more_than_the_deadline(site: Site) -> None:
    """The caller's deadline is kept, and others are served meanwhile."""
    soon = {"language": "ru"}
    reference = site.server.put("short.ogg", note(text=GROCERIES).path.read_bytes())
    with Rpc(site.broker.amqp_url) as client:
        client.send(
            claim("s3://voice/rude/stand_still"),
            content_type="application/json",
            correlation_id="slow",
            expiration="5000",
        )
        client.send(claim(reference, **soon), content_type="application/json", correlation_id="quick")
        answers = client.collect(2)

    assert [answer.properties.correlation_id for answer in answers] == ["quick", "slow"]
    assert [answer.code for answer in answers] == [None, "expired"]


@pytest.mark.slow("waits for the second try")
async def test_a_store_that_is_down_is_asked_again_later(site: Site) -> None:
    """Down, busy, or redirecting: no answer while there are tries left, and then the caller gets the text."""
    reference = site.server.put("later.ogg", note(text=GROCERIES).path.read_bytes())
    site.door.close()
    with Rpc(site.broker.amqp_url) as client:
        client.send(claim(reference), content_type="application/json", correlation_id="later")
        client.flush()
        await wait_until(lambda: site.broker.depth("stt.retry.10s") == 1)
        site.door.open()
        client.send(claim("s3://voice/rude/elsewhere_307"), content_type="application/json", correlation_id="elsewhere")
        client.send(claim("s3://voice/rude/busy"), content_type="application/json", correlation_id="busy")
        client.flush()
        await wait_until(lambda: site.daemon.metric("sttd_retries_total", code="audio_ref_unavailable") == 3)
        [answer] = client.collect(1)

    assert answer.properties.correlation_id == "later"
    assert spoken(answer.body["text"]) == spoken(GROCERIES)
    assert answer.body["attempt"] == 2
