"""Loading a model: the effective settings, and every way in which it does not load."""

import shutil
from pathlib import Path

import ctranslate2
import pytest

from sttd.consumer.engine.model import loaded as model
from sttd.consumer.engine.model.loaded import NEXT_STEP, LoadedModel
from sttd.consumer.engine.schedule.scheduler import Scheduler
from sttd.consumer.errors import ExitCode, ModelUnavailable
from sttd.consumer.models import demo_directory

NO_GPU = ctranslate2.get_cuda_device_count() == 0


def load(path: Path, *, device: str = "cpu", compute_type: str = "auto") -> LoadedModel:
    """With one slot."""
    return model.load(path, name="demo", device=device, compute_type=compute_type, slots=1, gate=Scheduler(1))


def damaged(directory: Path, name: str, content: bytes) -> Path:
    """The demo model with one file replaced."""
    copy = Path(shutil.copytree(demo_directory(), directory))
    (copy / name).write_bytes(content)
    return copy


def test_the_effective_device_and_type_are_told() -> None:
    """Replies and metrics hold what `auto` became, not what was asked."""
    info = load(demo_directory()).info
    assert (info.name, info.device, info.compute_type) == ("demo", "cpu", "int8_float32")
    assert info.engine.startswith("faster-whisper 1.")


def test_a_type_that_this_device_lacks_is_refused_with_those_it_has() -> None:
    """ctranslate2 would fall back to another one, or fail in the middle of the first note."""
    with pytest.raises(ModelUnavailable, match=r"STTD_COMPUTE_TYPE=int4; set one of: auto, .*int8") as caught:
        load(demo_directory(), compute_type="int4")
    assert caught.value.exit_code == ExitCode.SETTINGS


@pytest.mark.skipif(not NO_GPU, reason="this machine has a GPU")
@pytest.mark.parametrize("given", [{"device": "auto", "compute_type": "float16"}, {"device": "cuda"}])
def test_what_a_gpu_would_make_possible_is_tried_again(given: dict[str, str]) -> None:
    """Its driver may be there a moment after the daemon's first start."""
    with pytest.raises(ModelUnavailable) as caught:
        load(demo_directory(), **given)
    assert caught.value.exit_code == ExitCode.MODEL


@pytest.mark.skipif(not NO_GPU, reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    """Asked for by name, a GPU is never silently replaced by the CPU; `auto` takes what there is."""
    with pytest.raises(ModelUnavailable, match="STTD_DEVICE=cuda"):
        load(demo_directory(), device="cuda")
    assert load(demo_directory(), device="auto").info.device == "cpu"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.bin", b""),
        ("model.bin", b"<html>Please log in</html>" * 100),
        ("model.bin", (demo_directory() / "model.bin").read_bytes()[:1_000_000]),
        ("tokenizer.json", b"{}"),
        ("config.json", b"{"),
    ],
    ids=["empty weights", "a login page", "half the weights", "no tokenizer", "half a config"],
)
def test_a_damaged_file_is_an_error_of_one_line(name: str, content: bytes, tmp_path: Path) -> None:
    """The start ends with the model's name and directory, not with a traceback."""
    with pytest.raises(ModelUnavailable, match="'demo' does not load") as caught:
        load(damaged(tmp_path / "model", name, content))
    assert "\n" not in caught.value.message
    assert str(tmp_path) in caught.value.message
    assert NEXT_STEP in caught.value.message
