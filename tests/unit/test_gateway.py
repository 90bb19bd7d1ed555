"""The pure parts of the gateway: forms, errors, streams, and the OpenAPI document."""

import asyncio
import json
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest

from sttd import Client, errors
from sttd.gateway import door, openapi, routes, shapes, static, wishes, work
from sttd.gateway.broker import Broker
from sttd.gateway.events import Story
from sttd.gateway.forms import Form, Limits
from sttd.gateway.problems import CallerGone, Problem, from_client
from sttd.gateway.room import UploadRoom
from sttd.gateway.settings import GatewaySettings, NamedToken, SettingsWrong, load
from sttd.schemas.codes import ErrorCode
from sttd.schemas.reply import Progress
from tools.messages import examples

TOKENS = ("first-token-123456", "second-token-12345")
KNOWN = tuple(map(NamedToken, TOKENS))


def form(**fields: str | list[str]) -> Form:
    """A form with a file."""
    return Form({name: value if isinstance(value, list) else [value] for name, value in fields.items()}, b"audio")


def wish(**fields: str | list[str]) -> wishes.Wish:
    """What a form asks of the OpenAI-compatible API."""
    return wishes.openai(form(**fields), "transcribe")


def given(options: Any) -> dict[str, Any]:
    """The options that are set."""
    return {name: value for name, value in options.items() if value is not None}


def test_a_call_without_options_leaves_the_daemon_its_defaults() -> None:
    """The old call asks for nothing; OpenAI's without a language asks to detect it."""
    assert given(wishes.old(form())[1]) == {"task": "transcribe"}
    assert given(wish().options) == {"task": "transcribe", "language": "auto"}
    assert given(wishes.openai(form(), "translate").options) == {"task": "translate", "language": "auto"}


def test_openais_fields_become_the_daemons_options() -> None:
    """Every field that means something here, under the daemon's name; temperature 0 is the ladder, as there."""
    fields: dict[str, str | list[str]] = {
        "language": "de",
        "prompt": "p",
        "temperature": "0.3",
        "response_format": "verbose_json",
        "stream": "true",
        "timestamp_granularities[]": ["word"],
        "keywords[]": ["a", "b"],
        "languages[]": ["de", "en"],
        "include[]": "logprobs",
    }
    asked = wish(**fields)
    assert given(asked.options) == {
        "task": "transcribe", "language": "de", "languages": ["de", "en"], "initial_prompt": "p", "hotwords": "a. b.",
        "temperature": 0.3, "word_timestamps": True, "progress": True,
    }  # fmt: skip
    assert (asked.granularities, asked.stream, asked.form) == (frozenset({"word"}), True, "verbose_json")
    assert "temperature" not in given(wish(temperature="0").options)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": "xml"}, "response_format"),
        ({"timestamp_granularities": "word"}, "timestamp_granularities"),
        ({"timestamp_granularities": "letter", "response_format": "verbose_json"}, "timestamp_granularities"),
        ({"stream": "perhaps"}, "stream"),
        ({"temperature": "hot"}, "temperature"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, str], param: str) -> None:
    """The error names the field."""
    with pytest.raises(Problem) as error:
        wish(**fields)
    assert (error.value.status, error.value.param) == (400, param)


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_failure_code_has_a_status(code: ErrorCode) -> None:
    """Bad audio is 500 on the old call and 400 on OpenAI's; sizes, times and options are the same on both."""
    error = errors.FAMILY[code](code, "words")
    old, new = (from_client(error, bad_audio=status).status for status in (500, 400))
    assert old in {400, 413, 500, 504}
    assert new == (400 if isinstance(error, errors.RejectedAudio) and old == 500 else old)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.QueueFull("x"), 429),
        (errors.ReplyTimeout("x"), 504),
        (errors.BrokerUnavailable("amqp://user@host"), 503),
        (errors.ClientClosed("x"), 503),
        (errors.NotServed("x"), 503),
        (errors.BadReply("x"), 500),
        (errors.TranscriptionFailed("news", "x"), 500),
    ],
)
def test_every_way_in_which_an_answer_stays_away_has_a_status(error: errors.SttdClientError, status: int) -> None:
    """A retryable error has Retry-After; no answer names the broker."""
    problem = from_client(error, bad_audio=500)
    assert problem.status == status
    assert (problem.retry_after is not None) == (status in {429, 503})
    assert "amqp" not in problem.message


def test_a_late_answer_may_be_one_that_is_tried_again() -> None:
    """The tries after a failure take eleven minutes, more than the gateway waits by default."""
    assert "a failed note is tried again" in from_client(errors.ReplyTimeout("x"), bad_audio=500).message


def progress(fraction: float, text: str) -> Progress:
    """A progress message."""
    return Progress(correlation_id=None, message_id=None, fraction=fraction, text=text)


def told(story: Story, *news: Any) -> list[dict[str, Any]]:
    """All events of these steps."""
    return [event.model_dump(exclude_none=True) for step in news for event in story.tell(step)]


def test_deltas_add_up_to_the_text() -> None:
    """What an SDK's user prints piece by piece is what the last event has."""
    found = examples.TRANSCRIPT
    half = found.text[: len(found.text) // 2]
    *deltas, done = told(Story(wish(stream="true")), progress(0.2, half), progress(0.4, half), found)
    assert "".join(event["delta"] for event in deltas) == found.text
    assert [event.get("fraction") for event in deltas] == [0.2, 0.4, 1.0]
    assert done.pop("usage") == {"type": "duration", "seconds": 4}
    assert done == {"type": "transcript.text.done", "text": found.text}


def test_a_daemon_that_changed_its_mind_is_right_in_the_end() -> None:
    """Deltas can only add; nothing is sent twice, and the last event has the final text."""
    events = told(
        Story(wish(stream="true", response_format="verbose_json")), progress(0.5, "something else"), examples.TRANSCRIPT
    )
    assert [event["type"].rpartition(".")[2] for event in events] == ["delta", "done"]
    assert events[-1]["text"] == examples.TRANSCRIPT.text
    assert events[-1]["segments"]
    assert events[-1]["usage"] == {"type": "duration", "seconds": 4}


async def test_a_caller_who_hangs_up_ends_the_work_and_leaves_no_task() -> None:
    """Neither the work nor the watch over the caller outlives the request, whichever ends first."""
    before = asyncio.all_tasks()
    cancelled = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def hangs_up() -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    async def stays() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def quick() -> int:
        return 7

    with pytest.raises(CallerGone):
        await work.until_gone(hangs_up, endless())
    assert cancelled.is_set()
    assert await work.until_gone(stays, quick()) == 7
    assert asyncio.all_tasks() == before


def references(value: Any) -> set[str]:
    """Every `$ref` anywhere in a document."""
    if isinstance(value, dict):
        return {value["$ref"]} if "$ref" in value else set().union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def endpoints() -> routes.Endpoints:
    """The endpoints with a client that is never opened."""
    client = Client("amqp://guest:guest@127.0.0.1:1/")
    return routes.Endpoints(
        broker=Broker(client, 1, grace_seconds=0),
        room=UploadRoom(1000, lambda: 0.0),
        limits=Limits(1000, 1),
        timeout=1,
        model="whisper-x",
    )


def test_the_document_names_every_page_and_nothing_else() -> None:
    """A generated client finds what there is; a new endpoint has to be described."""
    document = openapi.document()
    app: Any = routes.build(endpoints(), ())._inner
    served = {
        (route.path.replace("{name:path}", "{model}"), method)
        for route in app.routes
        for method in route.methods - {"HEAD"}
    }
    described = {(path, method.upper()) for path, operations in document["paths"].items() for method in operations}
    assert {
        (path, method) for path, method in served if path != "/" and not path.startswith(static.PREFIX)
    } == described
    assert {reference.removeprefix("#/components/schemas/") for reference in references(document)} == set(
        document["components"]["schemas"]
    )


def test_the_document_lists_every_choice() -> None:
    """Formats, granularities and tasks come from the code that reads them."""
    text = json.dumps(openapi.document())
    for choices in (wishes.ResponseFormat, wishes.Granularity, wishes.Task):
        assert json.dumps(list(get_args(choices))) in text


def ask(tokens: tuple[NamedToken, ...], method: str, path: str, **headers: str) -> httpx.Response:
    """Ask the application without a server."""

    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(routes.build(endpoints(), tokens))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(call())


@pytest.mark.parametrize("path", ["/transcribe", "/v1/audio/transcriptions", "/v1/models", "/nothing"])
def test_a_call_without_a_valid_token_gets_nowhere(path: str) -> None:
    """Neither without one, nor with half of one, nor in another scheme, nor by an unknown path."""
    for value in ("", "Bearer", f"Bearer {TOKENS[0][:-1]}", f"Basic {TOKENS[0]}", TOKENS[0], "Bearer \u00fc"):
        headers = {"authorization": value} if value.isascii() else {}
        assert ask(KNOWN, "POST", path, **headers).status_code == 401
    for token in TOKENS:
        assert ask(KNOWN, "POST", path, authorization=f"bearer {token}").status_code != 401


def test_health_and_the_document_need_no_token() -> None:
    """Probes have none."""
    assert ask(KNOWN, "GET", "/health").status_code == 503
    assert ask(KNOWN, "GET", "/openapi.json").json() == openapi.document()


def test_errors_have_the_shape_of_their_api() -> None:
    """A program of either kind finds the error fields it reads, at pages that do not exist too."""
    assert set(ask((), "GET", "/nothing").json()) == {"error"}
    told = ask((), "DELETE", "/v1/models").json()["error"]
    assert set(told) == set(shapes.OpenAIProblem.model_fields)
    wrong = ask((), "GET", "/transcribe")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("given_id", ["a b", "x" * 129, "", "\x7f"])
def test_a_callers_id_that_could_harm_is_replaced(given_id: str) -> None:
    """Ids go into logs and over AMQP."""
    assert ask((), "GET", "/health", **{door.REQUEST_ID: given_id}).headers[door.REQUEST_ID] != given_id
    assert ask((), "GET", "/health", **{door.REQUEST_ID: "mine"}).headers[door.REQUEST_ID] == "mine"


def test_tokens_are_read_apart_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that is wrong names itself, not its value; a short token is refused."""
    monkeypatch.setenv("STTD_GATEWAY_TOKENS", f" {TOKENS[0]}, {TOKENS[1]} ,")
    assert load().tokens == KNOWN
    assert TOKENS[0] not in repr(load())
    for wrong in ("hush", f"{TOKENS[0]},hush", "with space in it, that is"):
        monkeypatch.setenv("STTD_GATEWAY_TOKENS", wrong)
        with pytest.raises(SettingsWrong, match="STTD_GATEWAY_TOKENS") as error:
            load()
        assert "hush" not in str(error.value)


def test_a_token_may_have_its_owners_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Base64 ends with `=` itself: what follows a name is as long as a token."""
    for wrong in (f"chat bot={TOKENS[0]}", "a-chat-bot=secret12345", f"{'n' * 201}={TOKENS[0]}"):
        monkeypatch.setenv("STTD_GATEWAY_TOKENS", f"{wrong},bm90IGEgbmFtZSBoZXJl==")
        with pytest.raises(SettingsWrong):
            load()
    monkeypatch.setenv("STTD_GATEWAY_TOKENS", f"bot={TOKENS[0]},bm90IGEgbmFtZSBoZXJl==")
    assert load().tokens == (NamedToken(TOKENS[0], "bot"), NamedToken("bm90IGEgbmFtZSBoZXJl=="))


def test_tokens_may_be_a_file_in_the_credentials_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are secrets like the broker's password, which `docker inspect` would show."""
    (tmp_path / "STTD_GATEWAY_TOKENS").write_text(",".join(TOKENS))
    monkeypatch.delenv("STTD_GATEWAY_TOKENS", raising=False)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))

    assert load().tokens == KNOWN


@pytest.mark.parametrize(
    ("model", "public"), [("base", "whisper-base"), ("org/x", "whisper-x"), ("/models/m/", "whisper-m")]
)
def test_the_model_is_called_as_the_old_service_called_it(model: str, public: str) -> None:
    """`whisper-base`; of a path only the last part."""
    assert GatewaySettings(model=model).public_model == public
