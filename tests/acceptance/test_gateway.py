"""The gateway as its users have it: real broker, real daemon, real HTTP, and the callers' own unmodified programs."""

import json
import math
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

import av
import httpx
import openai
import pysubs2
import pytest
import requests

from sttd.gateway.wishes import Granularity, ResponseFormat
from sttd.samples import FOLDER
from tests.support import second_engine
from tests.support.broker import Broker
from tests.support.daemon import DaemonProcess
from tests.support.gateway import GatewayProcess
from tests.support.notes import length, note, spoken
from tests.support.waiting import PATIENCE
from tools import callers
from tools.audio.files import wav
from tools.rabbitmq import Node

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning:tests"
    )  # the SDK marks its own calls so: OpenAI ends some of its models
]

TAXI = note(text="Потратил четыреста рублей на такси.")
SECONDS = length(TAXI)
LONG = FOLDER / "ru-long.ogg"
TOKEN = "a-token-of-the-bot-1234"


@pytest.fixture(scope="module")
def stack(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DaemonProcess, GatewayProcess]]:
    """One daemon and one gateway for all tests here."""
    folder = tmp_path_factory.mktemp("gateway")
    with Broker(node) as broker:
        daemon = DaemonProcess(broker.amqp_url, folder / "daemon.log").start()
        try:
            with GatewayProcess(broker.amqp_url, folder / "gateway", model="base", log_level="debug") as gateway:
                daemon.wait_ready()
                gateway.wait_health(200)
                yield daemon, gateway
                assert gateway.stop() == 0
                assert list(gateway.temporary.iterdir()) == []
                assert TAXI.text[:20] not in gateway.log
                assert broker.password not in gateway.log
        finally:
            daemon.close()


@pytest.fixture
def gateway(stack: tuple[DaemonProcess, GatewayProcess]) -> GatewayProcess:
    """The gateway; every test leaves it healthy."""
    return stack[1]


@pytest.fixture
def sdk(gateway: GatewayProcess) -> Iterator[openai.OpenAI]:
    """OpenAI's own client, with nothing of ours but the address."""
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def test_the_old_bots_line_works_unchanged(gateway: GatewayProcess) -> None:
    """A bot that spoke to the old service changes its URL and nothing else."""
    url, data = gateway.url, TAXI.path.read_bytes()

    text = requests.post(f"{url}/transcribe", files={"file": ("voice.ogg", data, "audio/ogg")}).json()["text"]

    assert spoken(text) == spoken(TAXI.text)


def test_the_old_curl_line_gives_the_three_fields(gateway: GatewayProcess) -> None:
    """The old service's documented call: exactly `text`, `language`, `duration`."""
    line = ["curl", "-s", "-X", "POST", "-F", f"file=@{TAXI.path}", f"{gateway.url}/transcribe"]

    answer = json.loads(subprocess.run(line, check=True, capture_output=True, timeout=PATIENCE).stdout)

    assert spoken(answer.pop("text")) == spoken(TAXI.text)
    assert answer.pop("duration") == pytest.approx(SECONDS, abs=0.1)
    assert answer == {"language": "ru"}


def test_old_failures_are_what_they_were(gateway: GatewayProcess) -> None:
    """No file is 400 with the old message, audio that cannot be read is 500; health names the model."""
    for answer in (
        requests.post(f"{gateway.url}/transcribe", timeout=PATIENCE),
        requests.post(f"{gateway.url}/transcribe", files={"other": b"x"}, timeout=PATIENCE),
        requests.post(f"{gateway.url}/transcribe", data={"file": "not a file"}, timeout=PATIENCE),
    ):
        assert (answer.status_code, answer.json()) == (400, {"error": "No file provided"})
    for unreadable in (b"", b"this is no audio" * 100, TAXI.path.read_bytes()[:60]):
        broken = gateway.post("/transcribe", unreadable)
        assert broken.status_code == 500, broken.text
        assert set(broken.json()) == {"error"}
    health = requests.get(f"{gateway.url}/health", timeout=PATIENCE)
    assert (health.status_code, health.json()) == (200, {"status": "ok", "model": "whisper-base"})


@second_engine.left_out(second_engine.LANGUAGE)
def test_the_old_call_takes_options_now(gateway: GatewayProcess) -> None:
    """`language`, `task` and `prompt` are optional; a wrong one is 400 with the reason."""
    english = note(language="en")
    answer = gateway.post(
        "/transcribe", english.path.read_bytes(), {"language": "en", "task": "transcribe", "prompt": "Coffee."}
    )
    assert (answer.status_code, answer.json()["language"]) == (200, "en")
    assert spoken(answer.json()["text"]) == spoken(english.text)
    for field, value in (("language", "klingon"), ("task", "sing"), ("prompt", "x" * 1001)):
        wrong = gateway.post("/transcribe", TAXI.path.read_bytes(), {field: value})
        assert wrong.status_code == 400, wrong.text
        assert field in wrong.json()["error"]


def test_silence_is_an_empty_text(gateway: GatewayProcess) -> None:
    """A note without speech is not an error, over HTTP neither."""
    answer = gateway.post("/transcribe", note(expect="no_speech").path.read_bytes())
    assert (answer.status_code, answer.json()["text"]) == (200, "")


@pytest.mark.parametrize("shape", get_args(ResponseFormat))
@pytest.mark.parametrize(
    "call", ["transcriptions", pytest.param("translations", marks=second_engine.left_out(second_engine.TASK))]
)
def test_the_official_sdk_gets_every_format(
    sdk: openai.OpenAI, call: Literal["transcriptions", "translations"], shape: ResponseFormat
) -> None:
    """Programs written for OpenAI's API work with another base URL; the demo model answers without translating."""
    ask: Any = getattr(sdk.audio, call).create
    with TAXI.path.open("rb") as file:
        answer = ask(file=file, model="whisper-1", response_format=shape)

    if shape in {"json", "verbose_json"}:
        assert spoken(answer.text) == spoken(TAXI.text)
        assert (answer.usage["seconds"] if call == "translations" else answer.usage.seconds) == math.ceil(SECONDS)
    elif shape == "text":
        assert spoken(answer) == spoken(TAXI.text)
    else:
        (cue,) = pysubs2.SSAFile.from_string(answer, format_=shape)
        assert spoken(cue.plaintext) == spoken(TAXI.text)
        assert 0 <= cue.start < cue.end <= 1000 * SECONDS + 100
    if shape == "verbose_json":
        assert answer.duration == pytest.approx(SECONDS, abs=0.1)
        assert answer.language == ("en" if call == "translations" else "ru")
        assert answer.segments[0].end <= answer.duration


def test_the_official_sdk_gets_words(sdk: openai.OpenAI) -> None:
    """Word times, with and without segments, as `timestamp_granularities` asks."""
    cases: tuple[tuple[list[Granularity], bool], ...] = ((["word"], False), (["word", "segment"], True))
    for wanted, segments in cases:
        with TAXI.path.open("rb") as file:
            answer = sdk.audio.transcriptions.create(
                file=file,
                model="whisper-1",
                language="ru",
                response_format="verbose_json",
                timestamp_granularities=wanted,
            )
        assert [spoken(word.word)[0] for word in answer.words or ()] == spoken(TAXI.text)
        assert bool(answer.segments) is segments


def test_the_official_sdk_streams(sdk: openai.OpenAI) -> None:
    """Deltas come before the end and add up to the text that the last event has."""
    with LONG.open("rb") as file:
        stream = sdk.audio.transcriptions.create(file=file, model="whisper-1", language="ru", stream=True)
        events: list[Any] = list(stream)

    *deltas, done = events
    assert {event.type for event in deltas} == {"transcript.text.delta"}
    assert len(deltas) > 1
    assert done.type == "transcript.text.done"
    assert "".join(event.delta for event in deltas) == done.text
    assert (done.usage.type, done.usage.seconds > 0) == ("duration", True)


def test_what_only_other_models_of_the_sdk_can_do_is_named(sdk: openai.OpenAI) -> None:
    """Without log probabilities, chunking and speakers the call succeeds, and a header says what was left out."""
    answer = sdk.audio.transcriptions.with_raw_response.create(
        file=TAXI.path,
        model="gpt-4o-transcribe",
        include=["logprobs"],
        chunking_strategy={"type": "server_vad", "threshold": 0.5},
        known_speaker_names=["agent"],
    )
    assert spoken(answer.parse().text) == spoken(TAXI.text)
    named = set(answer.headers["stt-ignored"].split(", "))
    assert named == {"include[]", "chunking_strategy[type]", "chunking_strategy[threshold]", "known_speaker_names[]"}


async def test_the_official_async_sdk_works_too(gateway: GatewayProcess) -> None:
    """Bots are asyncio programs."""
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="unused", max_retries=0) as client:
        answer = await client.audio.transcriptions.create(file=TAXI.path, model="whisper-1")
        events = [
            event
            async for event in await client.audio.transcriptions.create(file=TAXI.path, model="whisper-1", stream=True)
        ]
    assert spoken(answer.text) == spoken(TAXI.text)
    assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]


def test_the_official_sdk_raises_its_own_errors(sdk: openai.OpenAI) -> None:
    """Errors have OpenAI's shape, so that the SDK's classes and fields are filled."""
    with pytest.raises(openai.BadRequestError) as unreadable:
        sdk.audio.transcriptions.create(file=("x.ogg", b"no audio at all" * 50), model="whisper-1")
    assert unreadable.value.code == "unsupported_media"
    with pytest.raises(openai.BadRequestError, match="the bytes are text"):
        list(sdk.audio.transcriptions.create(file=("x.ogg", b"no audio at all" * 50), model="whisper-1", stream=True))
    with pytest.raises(openai.BadRequestError) as option:
        sdk.audio.transcriptions.create(file=TAXI.path, model="whisper-1", response_format="diarized_json")
    assert option.value.param == "response_format"
    with pytest.raises(openai.NotFoundError):
        sdk.models.retrieve("gpt-nothing")


def test_models_are_listed(sdk: openai.OpenAI) -> None:
    """Programs that let people choose a model find one to choose."""
    assert [model.id for model in sdk.models.list()] == ["whisper-base", "whisper-1"]
    assert sdk.models.retrieve("whisper-base").id == "whisper-base"


def test_a_plain_http_client_needs_no_sdk(gateway: GatewayProcess) -> None:
    """Another library, chunked instead of a length, another order of fields: a form is a form."""

    def body() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="response_format"\r\n\r\nverbose_json\r\n'
        yield b'--b\r\ncontent-disposition: form-data; name="file"; filename="x"\r\nContent-Type: nonsense\r\n\r\n'
        data = TAXI.path.read_bytes()
        yield from (data[start : start + 700] for start in range(0, len(data), 700))
        yield b"\r\n--b--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=b", "X-Request-ID": "mine-1"}
    answer = httpx.post(f"{gateway.url}/v1/audio/transcriptions", content=body(), headers=headers, timeout=PATIENCE)

    assert answer.status_code == 200, answer.text
    assert spoken(answer.json()["text"]) == spoken(TAXI.text)
    assert answer.headers["x-request-id"] == "mine-1"
    (line,) = gateway.wait(
        lambda: [line for line in gateway.lines("request") if line["request_id"] == "mine-1"], "its log line"
    )
    assert (line["status"], line["audio_bytes"]) == (200, TAXI.path.stat().st_size)


def test_the_page_and_the_document_are_served(gateway: GatewayProcess) -> None:
    """The port serves a page that describes it."""
    page = httpx.get(gateway.url, timeout=PATIENCE)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert 'href="openapi.json"' in page.text
    served = httpx.get(f"{gateway.url}/openapi.json", timeout=PATIENCE).json()
    committed = Path(__file__).parents[2] / "docs" / "contract" / "gateway-openapi.json"
    assert served == json.loads(committed.read_text(encoding="utf-8"))


def ten_minutes() -> bytes:
    """The long note again and again, as a WAV that every broker takes."""
    resampler = av.AudioResampler("s16", "mono", 16_000)
    with av.open(str(LONG)) as file:
        parts = [part for frame in file.decode(audio=0) for part in resampler.resample(frame)]
    sound = b"".join(bytes(part.planes[0])[: 2 * part.samples] for part in parts)
    return wav(15_000_000 // len(sound) * sound)


@contextmanager
def standing_still(daemon: DaemonProcess) -> Iterator[None]:
    """Have the work not end before the cancel is sent: on a busy machine the engine may be faster."""
    daemon.running.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        daemon.running.send_signal(signal.SIGCONT)


def test_a_caller_who_hangs_up_takes_the_request_back(stack: tuple[DaemonProcess, GatewayProcess]) -> None:
    """A caller that hangs up cancels the request at the daemon, and the next caller need not wait."""
    daemon, gateway = stack
    before = daemon.counted("sttd_requests_finished_total", outcome="failed", code="cancelled")
    form = callers.part() + LONG.read_bytes() + b"\r\n--xyzzy--\r\n"

    with socket.create_connection(gateway.address, PATIENCE) as caller:
        caller.sendall(callers.head(length=len(form)) + form)
        gateway.wait(lambda: daemon.metric("sttd_requests_in_flight") == 1, "work on it")
        with standing_still(daemon):
            caller.close()
            gateway.wait(lambda: [line for line in gateway.lines("request") if line["status"] == 499], "its end")

    gateway.wait(
        lambda: daemon.metric("sttd_requests_finished_total", outcome="failed", code="cancelled") == before + 1,
        "the daemon's cancel",
    )


def test_a_caller_who_leaves_a_stream_takes_the_request_back(stack: tuple[DaemonProcess, GatewayProcess]) -> None:
    """The same in the middle of a stream, of a long file: no engine is at its end when the first line comes."""
    daemon, gateway = stack
    before = daemon.counted("sttd_requests_finished_total", outcome="failed", code="cancelled")

    url = f"{gateway.url}/v1/audio/transcriptions"
    with httpx.stream(
        "POST", url, files={"file": ten_minutes()}, data={"stream": "true", "language": "ru"}, timeout=PATIENCE
    ) as answer:
        assert next(answer.iter_lines()).startswith("data: ")
        with standing_still(daemon):
            answer.close()
            gateway.wait(lambda: gateway.lines("stream_abandoned"), "its end")

    gateway.wait(
        lambda: daemon.metric("sttd_requests_finished_total", outcome="failed", code="cancelled") == before + 1,
        "the daemon's cancel",
    )


def test_refused_audio_is_let_go_of(gateway: GatewayProcess) -> None:
    """One after the other, large files that cannot be read: together they are more than there is room for."""
    for path in ("/transcribe", "/v1/audio/transcriptions"):
        for stream in ("false", "true"):
            assert gateway.post(path, bytes(14_000_000), {"stream": stream}).status_code in {400, 500}


def test_with_tokens_only_their_owners_come_in(stack: tuple[DaemonProcess, GatewayProcess], tmp_path: Path) -> None:
    """Every call needs one of them, in both APIs; health stays open for probes; no token is ever logged."""
    amqp_url = stack[0]._env["STTD_AMQP_URL"]
    with GatewayProcess(
        amqp_url, tmp_path / "gateway", gateway_tokens=f"another-token-12345,{TOKEN}", gateway_host="0.0.0.0"
    ) as gateway:
        gateway.url = gateway.url.replace("0.0.0.0", "127.0.0.1")
        assert gateway.wait_health(200).json()["status"] == "ok"
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": TOKEN},
            {"Authorization": f"Basic {TOKEN}"},
        ):
            refused = gateway.post("/transcribe", b"x", headers=headers)
            assert (refused.status_code, set(refused.json())) == (401, {"error"})
            assert refused.headers["www-authenticate"] == "Bearer"
        allowed = gateway.post("/transcribe", TAXI.path.read_bytes(), headers={"Authorization": f"Bearer {TOKEN}"})
        assert allowed.status_code == 200
        with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=TOKEN, max_retries=0) as friend:
            assert friend.models.list().data
            with pytest.raises(openai.AuthenticationError):
                friend.with_options(api_key="wrong").models.list()
        assert TOKEN not in gateway.log
        assert gateway.lines("open_to_others") == []
        assert gateway.stop() == 0
