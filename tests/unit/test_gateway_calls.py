"""Whole calls through the application, with a scripted client: what was ignored, and pages of other origins."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import httpx
import pytest

from sttd import Client
from sttd.gateway import browsers, door, routes
from sttd.gateway.broker import Broker
from sttd.gateway.forms import Limits
from sttd.gateway.room import UploadRoom
from sttd.gateway.settings import GatewaySettings, NamedToken, SettingsWrong, load
from sttd.schemas.reply import Progress, Transcript
from tools.messages import examples

TOKEN = "a-token-of-16-characters"
PAGE = "https://bot.example"
FILE = {"file": ("voice.ogg", b"audio")}
CALLS = ("/transcribe", "/v1/audio/transcriptions")
DAMAGED = examples.TRANSCRIPT.model_copy(
    update={"audio": examples.TRANSCRIPT.audio.model_copy(update={"truncated": True})}
)


class Answers:
    """A client that has the answer at once, and the broker that hands it out."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.found = examples.TRANSCRIPT

    async def admit(self) -> Client:
        return cast("Client", self)

    async def why_not(self) -> None:
        """Be healthy."""

    async def transcribe(
        self, audio: bytes, *, on_progress: Callable[[Progress], None] | None = None, **options: Any
    ) -> Transcript:
        self.asked = options
        if on_progress:
            on_progress(examples.PROGRESS)
        return self.found


def call(
    method: str,
    path: str,
    *,
    origins: str = "",
    tokens: tuple[NamedToken, ...] = (),
    answers: Answers | None = None,
    **request: Any,
) -> httpx.Response:
    """One request to the whole application."""
    endpoints = routes.Endpoints(
        cast("Broker", answers or Answers()),
        UploadRoom(10_000, lambda: 0.0),
        Limits(5_000, 60),
        timeout=1,
        model="whisper-x",
    )
    app = browsers.opened(routes.build(endpoints, tokens), GatewaySettings(gateway_origins=origins).origins)

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(cast("Any", app)), base_url="http://gateway"
        ) as client:
            return await client.request(method, path, **request)

    return asyncio.run(ask())


@pytest.mark.parametrize("path", CALLS)
def test_what_was_ignored_is_named_and_never_refused(path: str) -> None:
    """A misspelt field, an option in the query or in a header, a second file: the call succeeds, and names them."""
    found = call(
        "POST",
        f"{path}?language=en&langauge=en",
        files=[*FILE.items(), ("image", ("a.png", b"png")), ("file", ("b.ogg", b"second"))],
        data={"langauge": "en", "promt": "x", "prompt": "y"},
        headers={"STT-Language": "en", "x-mine": "1"},
    )

    assert found.status_code == 200
    assert found.headers["stt-ignored"] == "langauge, promt, image, file, language, stt-language"


@pytest.mark.parametrize("path", CALLS)
def test_what_is_read_is_not_named(path: str) -> None:
    """The header is there only where something was lost; OpenAI's SDK always sends `model`."""
    fields: dict[str, Any] = {
        "language": "ru-RU",
        "prompt": "p",
        "temperature": "0",
        "keywords[]": "a",
        "languages": ["ru", "en-US"],
        "numerals": "digits",
        "doubtful": "drop",
        "caller": "chat-7",
    }
    fields |= (
        {"task": "transcribe"} if path == "/transcribe" else {"model": "whisper-1", "response_format": "verbose_json"}
    )
    fields |= {} if path == "/transcribe" else {"timestamp_granularities[]": "word", "stream": "false"}
    answers = Answers()
    found = call("POST", path, files=FILE, data=fields, answers=answers)

    assert (found.status_code, "stt-ignored" in found.headers) == (200, False)
    asked = answers.asked
    assert (asked["language"], asked["numerals"], asked["caller"]) == ("ru-RU", "digits", "chat-7")


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize(("name", "caller"), [("bot", "bot"), (None, "chat-7")])
def test_a_tokens_name_wins_over_the_forms_caller(path: str, name: str | None, caller: str) -> None:
    """Who has a token cannot send in another's name."""
    answers, secret = Answers(), "first-token-123456"
    headers = {"authorization": f"Bearer {secret}"}
    sent: dict[str, Any] = {"files": FILE, "data": {"caller": "chat-7"}, "headers": headers}
    assert call("POST", path, tokens=(NamedToken(secret, name),), answers=answers, **sent).status_code == 200
    assert answers.asked["caller"] == caller


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize(
    ("field", "value", "known"), [("numerals", "roman", "as_heard, digits, words"), ("doubtful", "hide", "keep, drop")]
)
def test_a_choice_that_does_not_exist_is_refused(path: str, field: str, value: str, known: str) -> None:
    """The answer names those that do."""
    found = call("POST", path, files=FILE, data={field: value})
    assert (found.status_code, known in found.text) == (400, True)


@pytest.mark.parametrize(
    ("path", "form"),
    [("/transcribe", {}), (CALLS[1], {}), (CALLS[1], {"response_format": "verbose_json"}), (CALLS[1], {"stream": "1"})],
)
def test_what_was_dropped_is_told_in_every_answer_in_json(path: str, form: dict[str, str]) -> None:
    """It is never lost silently; where nothing was dropped, the answer has no such field."""
    (one,) = examples.TRANSCRIPT.segments[:1]
    invented = one.model_copy(update={"text": " Продолжение следует..."})
    answers = Answers()
    assert "dropped" not in call("POST", path, files=FILE, data=form, answers=answers).text
    answers.found = examples.TRANSCRIPT.model_copy(update={"dropped": [invented]})
    found = call("POST", path, files=FILE, data=form, answers=answers).text
    assert '"dropped":["Продолжение следует..."]' in found


@pytest.mark.parametrize(
    ("path", "form"),
    [("/transcribe", {}), *((CALLS[1], {"response_format": "verbose_json", "stream": on}) for on in "01")],
)
def test_confidence_is_told_where_it_is_known(path: str, form: dict[str, str]) -> None:
    """A model that was not measured has none, and the answer no such field."""
    answers = Answers()
    assert '"confidence":0.91' in call("POST", path, files=FILE, data=form, answers=answers).text
    (one,) = examples.TRANSCRIPT.segments
    unmeasured = {"confidence": None, "segments": [one.model_copy(update={"confidence": None})]}
    answers.found = examples.TRANSCRIPT.model_copy(update=unmeasured)
    assert "confidence" not in call("POST", path, files=FILE, data=form, answers=answers).text


@pytest.mark.parametrize(
    ("path", "fields"), [(CALLS[0], {}), *((CALLS[1], {"response_format": form}) for form in ("text", "json", "srt"))]
)
def test_sound_that_is_missing_is_told_in_a_header(path: str, fields: dict[str, str]) -> None:
    """These forms have no field for it; a whole file has no such header."""
    answers = Answers()
    assert door.TRUNCATED not in call("POST", path, files=FILE, data=fields, answers=answers).headers
    answers.found = DAMAGED
    assert call("POST", path, files=FILE, data=fields, answers=answers).headers[door.TRUNCATED] == "true"


@pytest.mark.parametrize("stream", ["false", "true"])
def test_sound_that_is_missing_is_a_field_of_the_long_answer(stream: str) -> None:
    """With events, the headers are gone before it is known."""
    answers, fields = Answers(), {"response_format": "verbose_json", "stream": stream}
    assert '"truncated"' not in call("POST", CALLS[1], files=FILE, data=fields, answers=answers).text
    answers.found = DAMAGED
    assert '"truncated":true' in call("POST", CALLS[1], files=FILE, data=fields, answers=answers).text


def test_of_a_long_prompt_the_end_counts_in_openais_calls() -> None:
    """Programs send the text so far, as they may at OpenAI, where the model reads the end only."""
    answers, prompt = Answers(), "начало " + "я" * 990 + " конец"
    found = call("POST", CALLS[1], files=FILE, data={"prompt": prompt}, answers=answers)
    assert (found.status_code, found.headers["stt-ignored"]) == (200, "prompt")
    assert answers.asked["initial_prompt"] == prompt[-1000:]


def test_names_of_strangers_do_no_harm_in_a_header() -> None:
    """Line breaks, letters of any script, and thousands of them: percent-encoded, cut, counted."""
    query = "a%0D%0Aset-cookie:%20x=1&" + "&".join(f"q{index}=1" for index in range(40))
    found = call("POST", f"/transcribe?{query}", files=FILE, data={"я": "1", "n" * 500: "1"})
    named = found.headers["stt-ignored"]

    assert named.startswith("%D1%8F, " + "n" * 50 + ", a%0D%0Aset-cookie%3A%20x, q0, ")
    assert named.count(",") == door.MOST_NAMES - 1


def test_a_form_whose_file_has_another_name_is_told_which() -> None:
    """The old message, and beside it the next step."""
    found = call("POST", "/transcribe", files={"audio": ("voice.ogg", b"audio")})

    assert (found.status_code, found.json()) == (400, {"error": "No file provided"})
    assert found.headers["stt-ignored"] == "audio"


def preflight(path: str, origin: str, origins: str) -> httpx.Response:
    """What a browser asks first, as OpenAI's SDK makes it: without the token, with the names of the headers to come."""
    wanted = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,x-stainless-lang",
    }
    return call("OPTIONS", path, origins=origins, tokens=(NamedToken(TOKEN),), headers={"origin": origin} | wanted)


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize("origins", [PAGE, f"http://localhost:3000, {PAGE.upper()}:443/", "*"])
def test_a_page_of_a_listed_origin_may_call(path: str, origins: str) -> None:
    """The preflight needs no token, the call does; the page may read answers, refusals and our headers."""
    asked = preflight(path, PAGE, origins)
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] in {PAGE, "*"}
    assert asked.headers["access-control-allow-headers"] == "authorization,x-stainless-lang"
    for token, status in (("wrong", 401), (TOKEN, 200)):
        headers = {"origin": PAGE, "authorization": f"Bearer {token}"}
        found = call(
            "POST", path, origins=origins, tokens=(NamedToken(TOKEN),), files=FILE, data={"x": "1"}, headers=headers
        )
        assert found.status_code == status
        assert found.headers["access-control-allow-origin"] in {PAGE, "*"}
        assert "stt-ignored" in found.headers["access-control-expose-headers"]


def test_a_public_page_may_call_a_gateway_in_its_own_network() -> None:
    """Chrome asks for that beforehand, too, and takes an answer that is no success for a refusal of everything."""
    wanted = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
        "access-control-request-private-network": "true",
    }
    for origin, status in ((PAGE, 200), ("https://evil.example", 400)):
        found = call("OPTIONS", CALLS[1], origins=PAGE, headers={"origin": origin} | wanted)
        assert found.status_code == status
        assert (found.headers.get("access-control-allow-origin") == origin) is (origin == PAGE)
        assert origin != PAGE or found.headers["access-control-allow-private-network"] == "true"


def test_a_page_may_read_a_stream() -> None:
    """Events come through with the page's headers, as they are."""
    fields = {"stream": "true", "response_format": "verbose_json", "x": "1"}
    found = call("POST", CALLS[1], origins=PAGE, files=FILE, data=fields, headers={"origin": PAGE})

    assert found.headers["content-type"].startswith("text/event-stream")
    assert (found.headers["access-control-allow-origin"], found.headers["stt-ignored"]) == (PAGE, "x")
    events = [line for line in found.text.splitlines() if line.startswith("data: ")]
    assert "transcript.text.delta" in events[0]
    assert events[-1] == "data: [DONE]"


@pytest.mark.parametrize("path", [*CALLS, "/health", "/", "/v1/models"])
@pytest.mark.parametrize(
    ("origins", "origin"), [("", PAGE), (PAGE, "https://evil.example"), (PAGE, "null"), (PAGE, f"{PAGE}.evil")]
)
def test_a_page_of_another_origin_learns_nothing(path: str, origins: str, origin: str) -> None:
    """Off until origins are listed, and for those only."""
    assert "access-control-allow-origin" not in preflight(path, origin, origins).headers
    found = call("GET", path, origins=origins, headers={"origin": origin})
    assert not [name for name in found.headers if name == "access-control-allow-origin"]


@pytest.mark.parametrize(
    "wrong", ["bot.example", "https://bot.example/page", "null", "https://", "https://бот.рф", "https://a b"]
)
def test_an_origin_that_no_browser_sends_is_refused_at_the_start(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would match nothing, and the operator would search for the fault in the page."""
    monkeypatch.setenv("STTD_GATEWAY_ORIGINS", f"{PAGE},{wrong}")
    with pytest.raises(SettingsWrong, match=r"STTD_GATEWAY_ORIGINS.*each origin is"):
        load()
