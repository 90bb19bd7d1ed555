"""Weights of seven bits: what is narrowed, and that ctranslate2 computes with it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import numpy.typing as npt
import pytest

from sttd.consumer.engine.model import comparison, loaded, model_file, seven_bits, stock_encoder
from sttd.consumer.engine.model.cpu import Cpu
from sttd.consumer.engine.model.model_file import ModelFileUnreadable
from sttd.consumer.models import demo_directory


@pytest.fixture(scope="module")
def in_floats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model as the Hub has others: its weights in float16."""
    folder, source = tmp_path_factory.mktemp("model"), demo_directory()
    for file in source.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    found = model_file.index(source / "model.bin")
    content = model_file.written(found.revision, dict(_floats(source / "model.bin", found)), found.aliases)
    (folder / "model.bin").write_bytes(content)
    return folder


def _floats(path: Path, found: model_file.Index) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    for name, tensor in found.tensors.items():
        numbers: Any = model_file.content(path, tensor)
        scale = found.tensors.get(f"{name}_scale")
        if scale is not None:
            steps = np.broadcast_to(model_file.floats(model_file.content(path, scale), "<f4"), len(numbers))
            yield name, (numbers / steps.reshape(-1, *[1] * (numbers.ndim - 1))).astype(np.float16)
        elif not name.endswith("_scale"):
            yield name, numbers


def test_a_file_that_is_written_reads_as_what_went_in(in_floats: Path) -> None:
    """Names, shapes, types and aliases: ctranslate2 gets nothing else."""
    found = model_file.index(in_floats / "model.bin")
    again = in_floats / "again.bin"
    tensors = {name: model_file.content(in_floats / "model.bin", one) for name, one in found.tensors.items()}
    again.write_bytes(model_file.written(found.revision, tensors, found.aliases))
    assert again.read_bytes() == (in_floats / "model.bin").read_bytes()
    again.unlink()


def test_matrices_are_narrowed_and_nothing_else_changes(in_floats: Path) -> None:
    """No weight is over 63, none is off by more than half a step, and convolutions and norms stay as they are."""
    source, narrow = in_floats / "model.bin", in_floats / "narrow.bin"
    content = seven_bits.narrowed(source)
    assert content is not None
    narrow.write_bytes(content)
    before, after = model_file.index(source), model_file.index(narrow)
    for name, tensor in before.tensors.items():
        old: Any = model_file.content(source, tensor)
        new: Any = model_file.content(narrow, after.tensors[name])
        if tensor.kind == "<f2" and old.ndim == 2:
            scale: Any = model_file.content(narrow, after.tensors[f"{name}_scale"])[:, None]
            assert np.abs(new).max() == 63
            assert np.abs(new - old * scale).max() <= 0.501
        else:
            assert np.array_equal(old, new)
    narrow.unlink()


def test_ctranslate2_encodes_with_it(in_floats: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the loader, as the daemon does on a CPU whose products saturate: the output is that of the same model."""
    monkeypatch.setattr(seven_bits, "saturates", lambda _: True)
    files = loaded._seven_bits(in_floats, "cpu")
    assert files is not None
    models = ctranslate2.models
    narrow = models.Whisper("memory", device="cpu", compute_type="int8", files=files)
    exact = models.Whisper(str(in_floats), device="cpu", compute_type="float32")
    mel = np.random.default_rng(0).standard_normal((1, 80, 3000)).astype(np.float32)
    outputs = [stock_encoder.encode_by(ctranslate2, model)(mel) for model in (narrow, exact)]
    assert comparison.cosine(*outputs) > 0.98


def test_a_model_that_holds_integers_stays_as_it_is() -> None:
    """Rounding twice would only lose."""
    assert seven_bits.narrowed(demo_directory() / "model.bin") is None


def test_a_damaged_file_is_left_to_the_loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its message names the model; here there is only a tensor."""
    (tmp_path / "model.bin").write_bytes(b"no model")
    with pytest.raises(ModelFileUnreadable):
        seven_bits.narrowed(tmp_path / "model.bin")
    monkeypatch.setattr(seven_bits, "saturates", lambda _: True)
    assert loaded._seven_bits(tmp_path, "cpu") is None


@pytest.mark.parametrize(
    ("flags", "saturated"),
    [("avx avx2", True), ("avx2 avx512bw", True), ("avx2 avx_vnni", False), ("avx2 avx512_vnni", False), ("", False)],
)
def test_only_cpus_without_vnni_saturate(flags: str, saturated: bool) -> None:
    """With VNNI the products are added in 32 bits, and eight bits are better than seven."""
    assert seven_bits.saturates(Cpu("", frozenset(flags.split()))) is saturated
