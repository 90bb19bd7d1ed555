"""From settings to options: who opens the daemon's engine, or measures it, opens the same one (issue 12)."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from sttd.commands.bench.side import Ours
from sttd.commands.size import measure
from sttd.consumer import app, settings
from sttd.consumer.engine import environment, opening
from sttd.consumer.engine.model.contexts import DYNAMIC
from sttd.consumer.engine.opening import EngineOptions
from sttd.consumer.engine.transcriber import JobDefaults, JobOptions
from sttd.consumer.engine.windows import LongAudio
from sttd.consumer.settings import Settings
from sttd.schemas.options import TranscriptionOptions

GIVEN = {
    "model": "demo",
    "device": "cpu",
    "compute_type": "float32",
    "encoder": "ctranslate2",
    "encoder_context": "dynamic",
    "slots": "3",
    "prefetch": "7",
    "batch_size": "5",
}


class WouldOpenError(Exception):
    """Raised instead of loading a model."""

    def __init__(self, options: EngineOptions) -> None:
        super().__init__()
        self.options = options


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Settings:
    """Settings of which none is a default; opening an engine raises."""
    for name, value in (GIVEN | {"model_cache": str(tmp_path)}).items():
        monkeypatch.setenv(f"STTD_{name.upper()}", value)

    async def refuse(options: EngineOptions, **_: Any) -> None:
        raise WouldOpenError(options)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(opening, "open_engine", refuse)
    monkeypatch.setattr(app, "open_engine", refuse)
    return settings.load()


def test_every_setting_of_the_engine_reaches_it(given: Settings) -> None:
    """A setting that is read and not passed on has no effect, and no error shows it."""
    assert EngineOptions.from_settings(given) == EngineOptions(
        model="demo",
        slots=3,
        threads=7 + 3 + 3 + 1,
        cache=given.model_cache,
        device="cpu",
        compute_type="float32",
        encoder="ctranslate2",
        contexts=DYNAMIC,
        long_audio=LongAudio(60, 30, 3),
        batch=5,
    )


def test_the_engine_is_a_setting() -> None:
    """It decides on everything else."""
    assert EngineOptions.from_settings(Settings(engine="onnx", model="gigaam-v3-ctc")).engine == "onnx"


@pytest.mark.parametrize(
    ("set_to", "told"),
    [({"device": "cuda"}, "set STTD_DEVICE=cpu"), ({"compute_type": "float16"}, "auto, float32 and int8")],
)
def test_the_second_engine_refuses_what_it_cannot_run_on(set_to: dict[str, Any], told: str) -> None:
    """Before a model is loaded."""
    with pytest.raises(ValueError, match=told):
        Settings(engine="onnx", **set_to)


def test_settings_without_effect_are_named_at_the_start() -> None:
    """An operator who moves a daemon to the other engine learns which settings stayed behind."""
    loaded = Settings(engine="onnx", model="gigaam-v3-ctc", hotwords="Acme", beam_size=3, slots=1)
    found = [doubt for doubt in settings.doubts(loaded) if "is not used" in doubt]
    assert [doubt.split()[0] for doubt in found] == ["STTD_BEAM_SIZE", "STTD_HOTWORDS"]
    assert not [doubt for doubt in settings.doubts(Settings(hotwords="Acme")) if "is not used" in doubt]


def test_sequential_audio_is_not_cut() -> None:
    """`sequential` is stock behaviour."""
    assert EngineOptions.from_settings(Settings(long_audio="sequential")).long_audio is None


async def test_the_daemon_opens_the_engine_of_its_settings(given: Settings) -> None:
    """There is one way from settings to an engine."""
    with pytest.raises(WouldOpenError) as refused:
        await app.Daemon(given, asyncio.Event())._open_engine()
    assert refused.value.options == EngineOptions.from_settings(given)


async def test_the_log_names_the_model_as_it_was_set(given: Settings) -> None:
    """Of `/nonexist/model` the last part alone looks like a size that was asked for."""
    daemon = app.Daemon(given.model_copy(update={"model": "/nonexist/model"}), asyncio.Event())
    with capture_logs() as lines, pytest.raises(WouldOpenError):
        await daemon._open_engine()
    [line] = [line for line in lines if line["action"] == "loading"]
    assert "/nonexist/model" in line["event"] % line.get("positional_args", ())


async def test_a_machine_is_measured_with_the_engine_of_the_daemon(
    given: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sttd size --measure` would else size a fleet by another engine: it once left the short contexts out."""

    async def undecoded(_pool: Any) -> tuple[None, None]:
        return None, None

    monkeypatch.setattr(measure, "_decoding", undecoded)
    with pytest.raises(WouldOpenError) as refused:
        await measure.measure(given)
    assert refused.value.options == EngineOptions.from_settings(given)


def test_stock_is_compared_with_the_engine_of_the_daemon(given: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sttd bench` would else compare another engine: it once left the batches out."""
    opened: list[EngineOptions] = []

    async def record(options: EngineOptions) -> None:
        opened.append(options)

    monkeypatch.setattr(environment, "prepare", lambda: None)
    monkeypatch.setattr(opening, "open_engine", record)
    with Ours({"path": "demo"})._runner:
        assert opened == [EngineOptions.from_settings(given)]


def test_a_request_that_names_no_option_gets_the_defaults_of_a_job() -> None:
    """What tests and benchmarks leave out is what the daemon does."""
    plain = Settings(language="en", beam_size=5)
    assert JobDefaults.from_settings(plain).job_options(TranscriptionOptions()) == JobOptions("en", "en")


def test_the_measured_request_is_that_of_the_daemon_but_for_second_tries() -> None:
    """Whether a window is tried again at a higher temperature is random; all else is the daemon's."""
    plain = Settings(language="de", beam_size=2, condition_on_previous_text=True)
    assert measure.job_options(plain) == JobOptions(
        "de", "de", beam_size=2, temperature=0.0, condition_on_previous_text=True
    )
