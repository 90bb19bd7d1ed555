"""The reader of ctranslate2's model files: it reads good ones, and a bad one is a reason, never a crash."""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sttd.consumer.engine.model.weights import EncoderFile, EncoderUnavailable
from sttd.consumer.models import demo_directory

WIDTH, MELS, POSITIONS = 4, 3, 6
KINDS = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}
Stored = Mapping[str, npt.NDArray[Any]]


def tensors() -> dict[str, npt.NDArray[Any]]:
    """A Whisper encoder of one layer, as small as can be; each number is different."""
    shapes: dict[str, tuple[int, ...]] = {
        "conv1/bias": (WIDTH,),
        "conv1/weight": (WIDTH, MELS, 3),
        "conv2/bias": (WIDTH,),
        "conv2/weight": (WIDTH, WIDTH, 3),
        "layer_norm/beta": (WIDTH,),
        "layer_norm/gamma": (WIDTH,),
        "position_encodings/encodings": (POSITIONS, WIDTH),
    }
    for part in ("self_attention", "ffn"):
        shapes |= {f"layer_0/{part}/layer_norm/{name}": (WIDTH,) for name in ("beta", "gamma")}
    for name, rows, columns in (
        ("self_attention/linear_0", 12, 4),
        ("self_attention/linear_1", 4, 4),
        ("ffn/linear_0", 16, 4),
        ("ffn/linear_1", 4, 16),
    ):
        shapes |= {f"layer_0/{name}/weight": (rows, columns), f"layer_0/{name}/bias": (rows,)}
    random = np.random.default_rng(0)
    found: dict[str, npt.NDArray[Any]] = {
        f"encoder/{name}": random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()
    }
    return found | {
        "encoder/num_heads": np.array(2, np.int16),
        "decoder/embeddings/weight": random.standard_normal((50, 4)).astype(np.float32),
    }


def binary(stored: Stored, aliases: Mapping[str, str] = {}, *, version: int = 6, name: str = "WhisperSpec") -> bytes:
    """A model file in ctranslate2's format."""
    parts = [struct.pack("<I", version), text(name), struct.pack("<II", 3, len(stored))]
    for key, array in stored.items():
        shape = struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        parts += [text(key), shape, struct.pack("<BI", KINDS[array.dtype.name], array.nbytes), array.tobytes()]
    parts += [struct.pack("<I", len(aliases)), *(text(end) for pair in aliases.items() for end in pair)]
    return b"".join(parts)


def text(value: str) -> bytes:
    """Length with the closing zero, characters, zero."""
    return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"


def read(content: bytes, folder: Path) -> EncoderFile:
    """As from a model's directory."""
    path = folder / "model.bin"
    path.write_bytes(content)
    return EncoderFile(path)


def test_the_shape_is_told_from_the_tensors(tmp_path: Path) -> None:
    """Nothing else has the size of a model: config.json does not."""
    file = read(binary(tensors()), tmp_path)
    assert (file.width, file.mels, file.positions, file.layers, file.heads) == (WIDTH, MELS, POSITIONS, 1, 2)
    demo = EncoderFile(demo_directory() / "model.bin")
    assert (demo.width, demo.mels, demo.positions, demo.layers, demo.heads) == (192, 80, 1500, 3, 3)


@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_floats_are_read_as_they_are(kind: str, tmp_path: Path) -> None:
    """What is stored is what is computed with, to the last bit."""
    stored = {name: array.astype(kind) if array.dtype == np.float32 else array for name, array in tensors().items()}
    file = read(binary(stored), tmp_path)
    assert np.array_equal(file.matrix("conv1/weight").floats(), stored["encoder/conv1/weight"].astype(np.float32))
    assert np.array_equal(file.vector("layer_norm/gamma"), stored["encoder/layer_norm/gamma"].astype(np.float32))


@pytest.mark.parametrize(
    ("kind", "scale"), [("int8", np.array([1, 2, 4, 8], np.float32)), ("int16", np.array(16, np.float32))]
)
def test_integers_are_divided_by_their_scale(kind: str, scale: npt.NDArray[np.float32], tmp_path: Path) -> None:
    """int8 has one scale for each row, int16 one for all: the value is the integer over the scale."""
    integers = np.arange(16).reshape(4, 4).astype(kind)
    name = "encoder/layer_0/self_attention/linear_1/weight"
    file = read(binary(tensors() | {name: integers, f"{name}_scale": scale}), tmp_path)
    expected = integers / np.broadcast_to(scale, (4,))[:, None]
    assert np.array_equal(file.matrix(name.removeprefix("encoder/")).floats(), expected)


def test_stored_int8_stays_what_it_is(tmp_path: Path) -> None:
    """Rounding it a second time would lose what the first has left."""
    name = "encoder/layer_0/ffn/linear_1/weight"
    integers, scale = np.arange(64).reshape(4, 16).astype(np.int8), np.array([1, 2, 4, 8], np.float32)
    file = read(binary(tensors() | {name: integers, f"{name}_scale": scale}), tmp_path)
    rounded, step = file.matrix(name.removeprefix("encoder/")).rounded()
    assert np.array_equal(rounded, integers)
    assert np.array_equal(step, 1 / scale)


def test_rounding_to_int8_stays_within_half_a_step(tmp_path: Path) -> None:
    """Each row has its own step, and its largest weight is 127 of them."""
    matrix = read(binary(tensors()), tmp_path).matrix("layer_0/ffn/linear_0/weight")
    rounded, step = matrix.rounded()
    assert np.abs(rounded).max(axis=1).tolist() == [127] * 16
    assert (np.abs(rounded * step[:, None] - matrix.floats()) <= step[:, None] * 0.501).all()


def test_a_tensor_stored_under_another_name_is_found(tmp_path: Path) -> None:
    """ctranslate2 stores equal tensors once, under the first name in the alphabet: that can be the decoder's."""
    stored = tensors()
    norm = stored.pop("encoder/layer_norm/gamma")
    file = read(
        binary(stored | {"decoder/layer_norm/gamma": norm}, {"encoder/layer_norm/gamma": "decoder/layer_norm/gamma"}),
        tmp_path,
    )
    assert np.array_equal(file.vector("layer_norm/gamma"), norm)


def without(name: str) -> Stored:
    """All tensors but one."""
    return {key: array for key, array in tensors().items() if key != f"encoder/{name}"}


def having(name: str, array: npt.NDArray[Any]) -> Stored:
    """All tensors, one of them another."""
    return tensors() | {f"encoder/{name}": array}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "damaged: its list"),
        (b"<html>Please log in</html>", "binary version"),
        (binary(tensors(), version=5), "binary version 5; only 6"),
        (binary(tensors(), name="TransformerSpec"), "'TransformerSpec', not a WhisperSpec"),
        (binary(tensors())[:700], "does not fit|damaged"),
        (binary(without("conv2/bias")), "lacks conv2/bias"),
        (binary(without("conv1/weight")), "no usable encoder/conv1/weight"),
        (
            binary(having("layer_0/self_attention/relative_keys", np.ones((2, 2), np.float32))),
            "has layer_0/self_attention/relative_keys",
        ),
        (binary(having("layer_4000000000/ffn/layer_norm/beta", np.ones(4, np.float32))), "lacks layer_1/"),
        (
            binary(having("layer_norm/beta", np.ones(5, np.float32))),
            r"layer_norm/beta has the shape \(5,\), expected \(4,\)",
        ),
        (binary(having("layer_0/ffn/linear_1/weight", np.ones((4, 16), np.int8))), "integers without a scale"),
        (binary(having("layer_norm/beta", np.ones(4, np.int8))), "integers without a scale"),
        (binary(having("num_heads", np.array(3, np.int16))), "3 attention heads for a width of 4"),
        (binary(having("num_heads", np.array(np.nan, np.float32))), "0 attention heads"),
    ],
)
def test_a_file_that_is_not_a_whisper_encoder_is_refused_with_its_reason(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    """Another computation under the same names would pass for the encoder until the self-test.

    A reason is better.
    """
    with pytest.raises(EncoderUnavailable, match=reason):
        read(content, tmp_path)


def test_a_scale_of_zero_is_refused_when_it_is_read(tmp_path: Path) -> None:
    """Division by it would be infinite weights."""
    name = "encoder/conv1/weight"
    file = read(
        binary(tensors() | {name: np.ones((4, 3, 3), np.int8), f"{name}_scale": np.zeros(4, np.float32)}), tmp_path
    )
    with pytest.raises(EncoderUnavailable, match="scale of conv1/weight"):
        file.matrix("conv1/weight")


def test_a_file_that_is_gone_is_a_reason(tmp_path: Path) -> None:
    """Some models lie in a cache that a clean-up may empty."""
    with pytest.raises(EncoderUnavailable, match="cannot be read: No such file"):
        EncoderFile(tmp_path / "model.bin")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_damage_makes_it_crash(tmp_path: Path, data: st.DataObject) -> None:
    """A flipped byte or a cut is a file that still reads, or a reason; anything else would end the daemon's start."""
    content = bytearray(binary(tensors(), {"encoder/x": "decoder/y"}))
    for place, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=3)
    ):
        content[place] = value
    try:
        file = read(bytes(content[: data.draw(st.integers(0, len(content)))]), tmp_path)
        file.matrix("conv1/weight").floats()
    except EncoderUnavailable as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right, a crash is not
