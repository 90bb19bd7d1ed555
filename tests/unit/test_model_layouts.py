"""Which files make a model of each engine, and what is said where some are missing. No network."""

import shutil
from pathlib import Path

import pytest

from sttd.commands.check import host
from sttd.commands.check.line import Status
from sttd.consumer.engine.files import hub, layouts, store
from sttd.consumer.engine.files.layouts import ONNX, OnnxLayout
from sttd.consumer.errors import ExitCode, ModelUnavailable
from sttd.consumer.models import demo_directory
from sttd.consumer.settings import EngineName, Settings
from tests.support import tone_model


def test_a_directory_of_the_second_engine_is_found_with_its_model(tmp_path: Path) -> None:
    """The files say which model it is."""
    path = tone_model.build(tmp_path)
    layout = layouts.of(str(path), "onnx", "auto")
    assert store.resolve(str(path), None, layout) == path
    assert OnnxLayout(str(path), "auto").found(path) == (ONNX["gigaam-v3-ctc"], "float32")
    assert layout.languages(path) == ["ru"]
    assert layout.weights(path) == path / "v3_ctc.onnx"


@pytest.mark.parametrize(
    ("there", "compute_type", "taken"),
    [
        (("float32", "int8"), "auto", "float32"),
        (("float32", "int8"), "int8", "int8"),
        (("int8",), "auto", "int8"),
        (("float32",), "float32", "float32"),
    ],
)
def test_the_compute_type_chooses_among_the_files(
    tmp_path: Path, there: tuple[str, ...], compute_type: str, taken: str
) -> None:
    """`auto` takes what is there, the exact one first."""
    for weights in there:
        tone_model.build(tmp_path, int8=weights == "int8")
    assert OnnxLayout(str(tmp_path), compute_type).found(tmp_path)[1] == taken


def test_the_other_model_is_known_by_its_files(tmp_path: Path) -> None:
    """`e2e` has files of other names, and writes punctuation and digits."""
    tone_model.build(tmp_path)
    for name in ("v3_ctc.onnx", "v3_vocab.txt"):
        (tmp_path / name).rename(tmp_path / ONNX["gigaam-v3-e2e-ctc"].files("float32")[1 if "onnx" in name else 2])
    assert OnnxLayout(str(tmp_path), "auto").found(tmp_path)[0].name == "gigaam-v3-e2e-ctc"


def test_both_models_in_one_cache_are_told_apart_by_name(tmp_path: Path) -> None:
    """They lie in one repository, so in one directory of the cache."""
    for model in ONNX.values():
        for name in model.files("float32"):
            (tmp_path / name).touch()
    assert OnnxLayout("gigaam-v3-e2e-ctc", "auto").found(tmp_path)[0].name == "gigaam-v3-e2e-ctc"


@pytest.mark.parametrize("missing", ["config.json", "v3_ctc.onnx", "v3_vocab.txt"])
def test_a_missing_file_is_named_before_onnx_asr_could_download_one(tmp_path: Path, missing: str) -> None:
    """onnx-asr would create a missing directory and fill it from the network."""
    (tone_model.build(tmp_path) / missing).unlink()
    with pytest.raises(ModelUnavailable, match=f"{missing} missing in .* as they lie on the Hub"):
        store.resolve(str(tmp_path), None, layouts.of(str(tmp_path), "onnx", "auto"))


@pytest.mark.parametrize(
    ("engine", "name", "told"),
    [
        ("onnx", "base", "is a Whisper model: set STTD_ENGINE=whisper"),
        ("onnx", "demo", "is a Whisper model: set STTD_ENGINE=whisper"),
        ("onnx", "owner/name", "takes a directory, or one of gigaam-v3-ctc, gigaam-v3-e2e-ctc"),
        ("onnx", "gigam-v3-ctc", r"did you mean gigaam-v3-ctc\?$"),
        ("whisper", "gigaam-v3-ctc", "set STTD_ENGINE=onnx"),
    ],
)
def test_a_name_of_the_other_engine_is_refused_with_the_next_step(engine: EngineName, name: str, told: str) -> None:
    """Two settings must fit; each error says which to change."""
    with pytest.raises(ModelUnavailable, match=told) as caught:
        store.resolve(name, None, layouts.of(name, engine, "auto"))
    assert caught.value.exit_code == ExitCode.SETTINGS


def test_the_commands_know_an_engine_by_the_models_name() -> None:
    """`sttd model fetch gigaam-v3-ctc` needs no setting; a directory may be either's."""
    assert isinstance(layouts.of_name("gigaam-v3-ctc", "whisper", "auto"), OnnxLayout)
    assert not isinstance(layouts.of_name("base", "onnx", "auto"), OnnxLayout)
    assert isinstance(layouts.of_name("./here", "onnx", "auto"), OnnxLayout)


def test_only_the_wanted_files_are_fetched() -> None:
    """The repository holds five gigabytes."""
    assert layouts.of("gigaam-v3-ctc", "onnx", "auto").files == ("config.json", "v3_ctc.onnx", "v3_vocab.txt")
    assert layouts.of("gigaam-v3-ctc", "onnx", "int8").files == ("config.json", "v3_ctc.int8.onnx", "v3_vocab.txt")
    assert layouts.of("base", "whisper", "auto").files == hub.FILES


def test_check_speaks_of_the_configured_engine(tmp_path: Path) -> None:
    """`sttd check` looks at what a start would use."""
    path = tone_model.build(tmp_path / "tones")
    good = Settings(engine="onnx", model=str(path), slots=1)
    assert (host.model_line(good).status, host.compute_line(good).status) == (Status.OK, Status.OK)
    assert "onnx-asr" in host.compute_line(good).detail
    assert host._weights(good) == (path / "v3_ctc.onnx").stat().st_size
    assert host._weights(Settings(engine="onnx", model="gigaam-v3-ctc", compute_type="int8")) == 225_000_000
    whisper = shutil.copytree(demo_directory(), tmp_path / "whisper")
    bad = host.model_line(Settings(engine="onnx", model=str(whisper)))
    assert bad.status is Status.FAILED
    assert "v3_ctc.onnx" in bad.detail
