"""The second engine as a daemon: it answers, refuses by its rules, cancels, drains, and shares a broker with the first.

Its model reads letters from tones (tests/support/tone_model.py).
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pika
import pytest

from sttd.commands.size.measure import measure
from sttd.consumer.settings import Settings
from tests.support import second_engine, tone_model
from tests.support.broker import Broker, wait_until
from tests.support.daemon import DaemonProcess
from tests.support.notes import GROCERIES, note
from tests.support.notes import spoken as said
from tests.support.rpc import Rpc
from tests.support.tone_model import Sound, pause
from tools.audio.files import encode

StartDaemon = Callable[..., DaemonProcess]
TEXT = "купил хлеб и молоко"
RUSSIAN = "stt.ru"


def wav(sound: Sound) -> bytes:
    """As a file."""
    return encode("wav", "pcm_s16le", 16_000, "mono", sound)


def long_sound(words: int, seed: int = 2) -> tuple[bytes, str]:
    """Some minutes, and their text."""
    text = tone_model.words(np.random.default_rng(seed), words)
    parts = [piece for word in text.split() for piece in (tone_model.spoken(word).sound, pause(1.0))]
    return encode("flac", "flac", 16_000, "mono", np.concatenate(parts)), text


@pytest.fixture
def onnx(start_daemon: StartDaemon, tmp_path: Path) -> Callable[..., DaemonProcess]:
    """Start a daemon with the second engine."""
    path = tone_model.build(tmp_path / "tones")
    return lambda **settings: start_daemon(**({"engine": "onnx", "model": str(path)} | settings))


def test_a_note_is_answered_with_words_and_the_engines_name(onnx: StartDaemon, broker: Broker) -> None:
    """The contract is that of every engine."""
    daemon = onnx().wait_ready()
    with Rpc(broker.amqp_url) as client:
        answer = client.ask(
            wav(tone_model.spoken(TEXT).sound), headers={"stt-word-timestamps": "true", "stt-hotwords": "Хлеб."}
        ).body
    assert (answer["text"], answer["language"], answer["no_speech"]) == (TEXT, "ru", False)
    assert [word["word"].strip() for segment in answer["segments"] for word in segment["words"]] == TEXT.split()
    assert answer["model"]["engine"].startswith("onnx-asr ")
    assert answer["ignored"] == ["hotwords"]
    assert json.loads(daemon.get("/health")[1])["model"] == "onnx-tones"
    assert daemon.metric("sttd_model_info", engine=answer["model"]["engine"], compute_type="float32") == 1


def test_numbers_become_digits_although_the_engine_writes_words(onnx: StartDaemon, broker: Broker) -> None:
    """`numerals` works on the text, whoever wrote it."""
    onnx().wait_ready()
    with Rpc(broker.amqp_url) as client:
        answer = client.ask(
            wav(tone_model.spoken("с меня двадцать пять рублей").sound), headers={"stt-numerals": "digits"}
        ).body
    assert (answer["text"], answer["raw_text"]) == ("с меня 25 рублей", "с меня двадцать пять рублей")


def test_what_it_cannot_do_is_refused_at_once_by_name(onnx: StartDaemon, broker: Broker) -> None:
    """A caller learns the option, the engine and the next step."""
    onnx().wait_ready()
    sound = wav(tone_model.spoken(TEXT).sound)
    with Rpc(broker.amqp_url) as client:
        for option, value in (("stt-language", "en"), ("stt-task", "translate")):
            answer = client.ask(sound, headers={option: value})
            assert answer.code == "bad_request"
            message = answer.body["error"]["message"]
            assert message.startswith(f"{option.removeprefix('stt-')}: the engine onnx with the model ")
            assert message.endswith("or send the request to the queue of another engine")
    assert broker.depth("stt.dead") == 0


async def test_a_cancelled_file_ends_between_two_windows(onnx: StartDaemon, broker: Broker) -> None:
    """A quarter of an hour of audio must not hold a slot for somebody who has gone."""
    daemon = onnx(slots="1").wait_ready()
    sound, _ = long_sound(300)
    with Rpc(broker.amqp_url) as client:
        client.send(sound, message_id="long", headers={"stt-progress": "true"})
        client.collect(1)
        with broker.connect() as connection:
            connection.channel().basic_publish("stt.control", "", json.dumps({"cancel": "long"}).encode())
        await wait_until(lambda: daemon.metric("sttd_requests_in_flight") == 0)
        while client.answers[-1].body["status"] == "progress":
            client.collect(len(client.answers) + 1)
        assert client.answers[-1].code == "cancelled"


async def test_sigterm_finishes_what_is_in_hand(onnx: StartDaemon, broker: Broker) -> None:
    """A rolling restart loses nothing, with this engine too."""
    daemon = onnx(slots="2").wait_ready()
    sound, text = long_sound(120)
    with Rpc(broker.amqp_url) as client:
        for number in range(3):
            client.send(sound, correlation_id=str(number))
        await wait_until(lambda: daemon.metric("sttd_requests_in_flight") == 3)
        assert daemon.stop() == 0
        finished = daemon.lines("drained")[0]["finished"]
        assert {answer.body["text"] for answer in client.collect(finished)} <= {text}
    assert finished + broker.depth("stt.requests") == 3
    assert broker.depth("stt.dead") == 0


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ({"model": "base"}, 2, ("STTD_MODEL=base is a Whisper model", "STTD_ENGINE=whisper")),
        ({"model": "/nowhere/at/all"}, 3, ("/nowhere/at/all", "there is no such directory")),
        ({"device": "cuda"}, 2, ("STTD_DEVICE=cpu",)),
        ({"compute_type": "float16"}, 2, ("STTD_COMPUTE_TYPE",)),
        ({"compute_type": "int8"}, 3, ("v3_ctc.int8.onnx missing",)),
        ({"language": "en"}, 2, ("STTD_LANGUAGE=en",)),
        ({"engine": "whisper", "model": "gigaam-v3-ctc"}, 2, ("STTD_ENGINE=onnx",)),
    ],
)
def test_a_start_that_cannot_work_ends_with_one_sentence_and_its_code(
    onnx: StartDaemon, settings: dict[str, str], code: int, words: tuple[str, ...]
) -> None:
    """An operator reads what to set; the supervisor reads the code."""
    daemon = onnx(**settings)
    assert daemon.wait_exit() == code
    assert all(word in daemon.log for word in words)


def _sttd(*arguments: str, model: Path, at: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "STTD_ENGINE": "onnx", "STTD_MODEL": str(model)}
    return subprocess.run(
        [sys.executable, "-m", "sttd", *arguments],
        env=environment, cwd=at, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_the_commands_know_the_engine(tmp_path: Path) -> None:
    """`sttd bench` compares with onnx-asr as it is; `sttd model` describes and verifies what lies there."""
    model, file = tone_model.build(tmp_path / "tones"), tmp_path / "note.wav"
    file.write_bytes(wav(tone_model.spoken(TEXT).sound))
    done = _sttd("bench", "--rounds", "1", "--json", str(file), model=model, at=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["stock"]["engine"].startswith("onnx-asr ")
    assert found["stock"]["texts"] == found["ours"]["texts"] == {str(file): TEXT}
    refused = _sttd("bench", "--context", str(file), model=model, at=tmp_path)
    assert (refused.returncode, "STTD_ENGINE=whisper" in refused.stderr) == (2, True)
    described = _sttd("model", "info", model=model, at=tmp_path)
    assert "languages  ru" in described.stdout


async def test_a_machine_is_measured_with_the_second_engine(tmp_path: Path) -> None:
    """`sttd size --measure` times the engine that the daemon would open."""
    path = tone_model.build(tmp_path)
    found = await measure(Settings(engine="onnx", model=str(path), slots=1), lengths=(3.0, 10.0), rounds=1)
    assert found.engine.startswith("onnx-asr ")
    assert found.rows[0].engine > 0


def _exchange(broker: Broker, channel: Any) -> str:
    """What docs/engines.md tells an operator: Russian by its header, the rest by the alternate exchange."""
    channel.exchange_declare("stt.rest", "fanout", durable=True)
    channel.queue_bind("stt.requests", "stt.rest")
    channel.exchange_declare("stt.by.language", "headers", durable=True, arguments={"alternate-exchange": "stt.rest"})
    channel.queue_bind(RUSSIAN, "stt.by.language", arguments={"x-match": "all", "stt-language": "ru"})
    return "stt.by.language"


@second_engine.left_out(second_engine.SOUNDS)
@pytest.mark.slow("two daemons with an engine each")
async def test_two_engines_share_a_broker_and_each_answers_its_queue(
    onnx: StartDaemon, start_daemon: StartDaemon, broker: Broker
) -> None:
    """Mixed load through an exchange that chooses by the language; a drain of one leaves the other alone."""
    second = onnx(request_queue=RUSSIAN, slots="1").wait_ready()
    first = start_daemon(slots="1").wait_ready()
    tones, whole = wav(tone_model.spoken(TEXT).sound), note(text=GROCERIES)
    with Rpc(broker.amqp_url) as client, broker.connect() as connection:
        channel = connection.channel()
        exchange = _exchange(broker, channel)
        for number in range(10):
            for engine, body, headers in (
                ("onnx", tones, {"stt-language": "ru"}),
                ("whisper", whole.path.read_bytes(), {}),
            ):
                properties = pika.BasicProperties(
                    reply_to=client.reply_to, correlation_id=f"{engine}-{number}", headers=headers, delivery_mode=2
                )
                channel.basic_publish(exchange, "", body, properties)
        answers = {answer.properties.correlation_id: answer.body for answer in client.collect(20)}
        for number in range(10):
            theirs, ours = answers[f"onnx-{number}"], answers[f"whisper-{number}"]
            assert (theirs["text"], theirs["model"]["engine"].split()[0]) == (TEXT, "onnx-asr")
            assert said(ours["text"]) == said(GROCERIES)
            assert ours["model"]["engine"].startswith("faster-whisper")

        assert second.stop() == 0
        client.send(tones, queue=RUSSIAN, correlation_id="later", headers={"stt-language": "ru"})
        assert said(client.ask(whole.path.read_bytes()).body["text"]) == said(GROCERIES)
        await wait_until(lambda: broker.depth(RUSSIAN) == 1)
        onnx(request_queue=RUSSIAN, slots="1").wait_ready()
        assert client.collect(22)[-1].body["text"] == TEXT
    assert first.metric("sttd_requests_in_flight") == broker.depth("stt.dead") == 0
