"""The options of a request: from JSON, from headers, every bound, and back again."""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sttd.schemas import languages
from sttd.schemas.options import OptionGivenTwice, TranscriptionOptions, from_headers, header_name, to_headers

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

CODES = sorted(languages.CODES)
# Surrogates cannot be put into AMQP's UTF-8, NUL cannot be typed.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=1000)


def read(**options: Any) -> TranscriptionOptions:
    """Validate as the JSON form does, with a fixed clock."""
    return TranscriptionOptions.model_validate(options, context={"now": NOW})


def read_headers(**headers: Any) -> TranscriptionOptions:
    """Validate as the raw form does; `beam_size` stands for `stt-beam-size`."""
    named = {header_name(option): value for option, value in headers.items()}
    return TranscriptionOptions.model_validate(from_headers(named), context={"now": NOW})


@st.composite
def any_options(draw: st.DrawFn) -> TranscriptionOptions:
    """Any options that keep the contract, each set or left out."""
    moment = st.datetimes(datetime(2000, 1, 1), datetime(2026, 11, 22), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
    fields = st.fixed_dictionaries(
        {},
        optional={
            "language": st.sampled_from([*CODES, "auto"]),
            "languages": st.lists(st.sampled_from(CODES), min_size=1, max_size=20).map(tuple),
            "task": st.sampled_from(["transcribe", "translate"]),
            "initial_prompt": TEXT,
            "hotwords": TEXT,
            "word_timestamps": st.booleans(),
            "progress": st.booleans(),
            "vad": st.booleans(),
            "beam_size": st.integers(1, 10),
            "temperature": st.floats(0, 1),
            "caller": st.text(max_size=50),
            "deadline": moment,
        },
    )
    return read(**draw(fields))


@given(any_options())
def test_options_survive_the_way_through_headers(options: TranscriptionOptions) -> None:
    """The daemon gets exactly the options that a client sends by headers."""
    headers = to_headers(options)

    assert all(isinstance(value, str) for value in headers.values())
    assert TranscriptionOptions.model_validate(from_headers(headers), context={"now": NOW}) == options


@given(any_options())
def test_options_survive_the_way_through_json(options: TranscriptionOptions) -> None:
    """The same for the JSON form."""
    text = options.model_dump_json(exclude_unset=True)

    assert TranscriptionOptions.model_validate_json(text, context={"now": NOW}) == options


def test_nothing_said_is_every_default() -> None:
    """An empty request is the usual one: transcribe, with voice-activity detection, the rest as the operator set it."""
    options = read()

    assert options.model_dump() == {
        "language": None,
        "languages": None,
        "task": "transcribe",
        "initial_prompt": None,
        "hotwords": None,
        "word_timestamps": False,
        "progress": False,
        "vad": True,
        "beam_size": None,
        "temperature": None,
        "numerals": None,
        "doubtful": None,
        "caller": None,
        "deadline": None,
    }
    assert to_headers(options) == {}


@pytest.mark.parametrize(
    ("option", "good"),
    [
        ("language", ["ru", "auto", "yue", " RU ", "Auto", "ru-RU"]),
        ("languages", [["ru"], ("ru", "en"), ["ru"] * 20]),
        ("task", ["transcribe", "translate"]),
        ("initial_prompt", ["", "x" * 1000]),
        ("hotwords", ["", "я" * 1000]),
        ("caller", ["", "chat 42", "я" * 100, "x" * 200, -1001234567890]),
        ("beam_size", [1, 10]),
        ("temperature", [0, 0.0, 1, 1.0, 0.35]),
        (
            "deadline",
            [NOW, NOW + timedelta(hours=24), "2026-11-22T15:00:00+03:00", "2026-11-22T12:00:00Z", 1_795_348_800_000, 0],
        ),
    ],
)
def test_values_inside_the_bounds_are_taken(option: str, good: list[Any]) -> None:
    """Each bound belongs to what is allowed."""
    for value in good:
        assert getattr(read(**{option: value}), option) is not None


@pytest.mark.parametrize(
    ("option", "bad"),
    [
        (
            "language",
            [
                "",
                "klingon",
                "xx",
                "ru,en",
                "ru-",
                "-RU",
                "ru RU",
                "ru-RU,ru;q=0.9",
                "xx-RU",
                "russian-RU",
                "auto-RU",
                7,
                ["ru"],
                True,
            ],
        ),
        ("languages", [[], ["ru"] * 21, ["auto"], ["ru", "xx"], "ru", [1], 7]),
        ("task", ["", "summarize", "TRANSCRIBE", 1]),
        ("initial_prompt", ["x" * 1001, 5, ["a"]]),
        ("hotwords", ["x" * 1001, 5, ["a"]]),
        ("caller", ["x" * 201, "я" * 101, 10**200, 1.0, True, ["a"]]),
        ("word_timestamps", ["true", 1, 0, "yes", []]),
        ("progress", ["true", 1]),
        ("vad", ["false", 0]),
        ("beam_size", [0, 11, -1, 2.5, "5", True, 10**30]),
        ("temperature", [-0.1, 1.1, float("nan"), float("inf"), "0.5", True]),
        (
            "deadline",
            [
                NOW + timedelta(hours=24, seconds=1),
                "2026-11-22T15:00:00",
                "tomorrow",
                "",
                True,
                1.5,
                [],
                10**30,
                -(10**30),
                "9" * 400,
                datetime(2026, 11, 22, 12, 0),  # noqa: DTZ001 - a caller forgot the offset
                1_795_348_800,
                "1795348800",
            ],
        ),
    ],
)
def test_values_outside_the_bounds_are_refused_by_their_name(option: str, bad: list[Any]) -> None:
    """JSON has types, so nothing is guessed there; the refusal names the option."""
    for value in bad:
        with pytest.raises(ValidationError) as caught:
            read(**{option: value})
        assert {str(error["loc"][0]) for error in caught.value.errors()} == {option}, value


def test_null_is_an_option_that_was_not_set() -> None:
    """Typed languages write all fields; an unknown one is misspelt, whatever its value."""
    nothing = dict.fromkeys(TranscriptionOptions.model_fields)
    assert (read(**nothing), read_headers(**nothing)) == (read(), read())
    assert read(**nothing | {"vad": False}).model_fields_set == {"vad"}
    with pytest.raises(ValidationError, match="langauge"):
        read(langauge=None)


def test_an_unknown_option_is_refused() -> None:
    """A misspelt option must not be ignored: it would seem to work."""
    with pytest.raises(ValidationError, match="langauge"):
        read(langauge="ru")


@pytest.mark.parametrize(
    ("option", "sent", "meant"),
    [
        ("word_timestamps", "true", True),
        ("word_timestamps", " False ", False),
        ("vad", False, False),
        ("beam_size", "3", 3),
        ("beam_size", 3, 3),
        ("temperature", "0.4", 0.4),
        ("temperature", "1", 1.0),
        ("languages", "ru,en", ("ru", "en")),
        ("languages", "ru, en", ("ru", "en")),
        ("languages", ["ru", "en"], ("ru", "en")),
        ("language", "ru", "ru"),
        ("language", b"ru", "ru"),
        ("initial_prompt", bytearray("да".encode()), "да"),
        ("deadline", "2026-11-22T12:00:00Z", NOW),
        ("deadline", "1795348800000", NOW),
        ("deadline", 1_795_348_800_000, NOW),
        ("initial_prompt", "true", "true"),
    ],
)
def test_headers_hold_text_or_their_own_type(option: str, sent: Any, meant: Any) -> None:
    """Some clients can only send text in headers, others only what their language has; both are understood."""
    assert getattr(read_headers(**{option: sent}), option) == meant


@pytest.mark.parametrize(
    ("option", "sent"),
    [
        ("word_timestamps", "1"),
        ("word_timestamps", "yes"),
        ("word_timestamps", 1),
        ("beam_size", "five"),
        ("beam_size", "2.5"),
        ("beam_size", ""),
        ("temperature", "nan"),
        ("temperature", "inf"),
        ("temperature", "warm"),
        ("languages", ""),
        ("languages", "ru,"),
        ("languages", {"ru": 1}),
        ("language", None),
        ("language", b"\xff"),
        ("deadline", "soon"),
        ("deadline", {"at": 1}),
    ],
)
def test_headers_that_mean_nothing_are_refused(option: str, sent: Any) -> None:
    """What a header cannot mean is never taken for the default."""
    if sent is None:
        assert read_headers(**{option: None}).language is None  # AMQP's void: the same as leaving it out
        return
    with pytest.raises(ValidationError):
        read_headers(**{option: sent})


def test_a_callers_key_may_be_a_number() -> None:
    """A chat's id is one, and clients send it as it is."""
    assert read(caller=-1001234567890).caller == "-1001234567890"
    assert from_headers({"stt-caller": -1001234567890}) == from_headers({"STT_CALLER": "-1001234567890"})
    assert read_headers(caller=42).caller == "42"


def test_unknown_option_headers_keep_their_name_and_other_headers_are_left_alone() -> None:
    """`stt-*` is ours, everything else the caller's: `sttd-*` marks, traces, `x-death`."""
    found = from_headers(
        {
            "stt-langauge": "ru",
            "stt-": "x",
            "sttd-attempt": 2,
            "x-death": [],
            "traceparent": "00-1",
            "x-stt-language": "en",
            "stt": "x",
            "sttdAttempt": 2,
        }
    )

    assert found == {"stt-langauge": "ru", "stt-": "x"}
    with pytest.raises(ValidationError, match="stt-langauge"):
        TranscriptionOptions.model_validate(found)


@pytest.mark.parametrize("option", TranscriptionOptions.model_fields)
@pytest.mark.parametrize(
    "spell", [str.upper, str.title, lambda name: name.replace("-", "_"), lambda name: name.replace("-", "_").upper()]
)
def test_a_header_is_its_option_in_any_case_and_with_underscores(option: str, spell: Callable[[str], str]) -> None:
    """HTTP libraries write `STT-Language`, languages whose identifiers have no hyphen write `stt_language`."""
    assert set(from_headers({spell(header_name(option)): "x"})) == {option}


@pytest.mark.parametrize(
    "name",
    [
        "stt.word.timestamps",
        "sttWordTimestamps",
        "stt-wordTimestamps",
        "Stt Word Timestamps",
        "STTWordTimestamps",
        "sttwordtimestamps",
        "stt--word-timestamps",
        " stt-word-timestamps ",
        "stt:word/timestamps",
        "stt\u2013word\u2013timestamps",
    ],
)
def test_other_languages_part_the_words_of_a_header_in_other_ways(name: str) -> None:
    """Java and Spring write points, JavaScript capital letters, editors dashes; none of these is ignored."""
    assert from_headers({name: "true"}) == {"word_timestamps": True}


def test_a_misspelt_header_is_refused_in_every_spelling() -> None:
    """`STT_Langauge` is meant as an option: ignored, it would seem to work."""
    for name in ("stt-langauge", "STT-Langauge", "stt_langauge", "STTLangauge", " stt:langauge"):
        with pytest.raises(ValidationError, match=name):
            TranscriptionOptions.model_validate(from_headers({name: "ru"}))


def test_two_spellings_of_a_header_must_agree() -> None:
    """One value, however often; of two different ones neither is the obvious."""
    assert from_headers({"stt-beam-size": "3", "STT_BEAM_SIZE": 3}) == {"beam_size": 3}
    with pytest.raises(OptionGivenTwice, match="as stt-language and as STT_Language") as caught:
        from_headers({"stt-language": "ru", "STT_Language": "en"})
    assert caught.value.field == "stt-language"


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("ru-RU", "ru"),
        ("ru_RU", "ru"),
        ("RU", "ru"),
        ("en-US", "en"),
        ("zh-Hans-CN", "zh"),
        ("ru_RU.UTF-8", "ru"),
        ("sr@latin", "sr"),
        ("en-u-ca-gregory", "en"),
        ("nb-NO", "no"),
        ("iw-IL", "he"),
        ("in", "id"),
        ("fil-PH", "tl"),
        ("yue-Hant-HK", "yue"),
        ("rus", "ru"),
        ("rus-RU", "ru"),
        ("zho-Hans", "zh"),
        ("ger", "de"),
        ("Russian", "ru"),
        ("UKRAINIAN", "uk"),
        ("ua", "uk"),
        ("jv", "jw"),
        ("zh_TW_#Hant", "zh"),
        ("sr__#Latn", "sr"),
        ("Haitian Creole", "ht"),
        ("Letzeburgesch", "lb"),
        ("moldavian", "ro"),
        ("Pushto", "ps"),
        ("sinhalese", "si"),
    ],
)
def test_a_language_tag_is_its_primary_subtag(tag: str, code: str) -> None:
    """Phones and browsers name regions, scripts, old and long codes, Java its locales, Whisper's own library names."""
    assert (read(language=tag).language, read(languages=[tag]).languages) == (code, (code,))
    assert read_headers(language=tag).language == code


@given(
    st.dictionaries(
        st.text(max_size=20).map(lambda name: f"stt-{name}"),
        st.one_of(st.text(max_size=20), st.integers(), st.booleans()),
    )
)
def test_no_header_makes_reading_fail_in_another_way(headers: dict[str, Any]) -> None:
    """Any input is options or a refusal, never a crash."""
    with contextlib.suppress(ValidationError, OptionGivenTwice):
        TranscriptionOptions.model_validate(from_headers(headers), context={"now": NOW})


def test_header_names_use_hyphens() -> None:
    """The documented spelling."""
    assert header_name("word_timestamps") == "stt-word-timestamps"
    assert header_name("vad") == "stt-vad"


def test_options_are_frozen() -> None:
    """A request cannot change on its way through the daemon."""
    with pytest.raises(ValidationError, match="frozen"):
        read(language="ru").language = "en"
