"""The same model for whisper.cpp: names, shapes and numbers of bench/exports.py's file."""

import struct
from pathlib import Path

import numpy as np
import pytest

from bench import exports
from sttd.consumer.models import demo_directory


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    """Those of the bundled model, which is stored in int8."""
    read, names = exports.reader(demo_directory() / "model.bin")
    layers = (exports._layers(names, side) for side in ("encoder", "decoder"))
    return dict(exports.tensors(read, *layers))


def test_every_tensor_has_openais_name_and_shape(tensors: dict[str, np.ndarray]) -> None:
    """whisper.cpp loads by name; a missing one ends it."""
    vocabulary, width = tensors["decoder.token_embedding.weight"].shape
    assert tensors["encoder.positional_embedding"].shape == (1500, width)
    assert tensors["encoder.conv1.weight"].shape == (width, 80, 3)
    assert tensors["decoder.blocks.0.cross_attn.key.weight"].shape == (width, width)
    assert tensors["decoder.blocks.0.mlp.0.weight"].shape == (4 * width, width)
    assert not [name for name in tensors if name.endswith("key.bias")]
    blocks = {".".join(name.split(".")[:3]) for name in tensors if ".blocks." in name}
    encoder, decoder = (sum(name.startswith(side) for name in blocks) for side in ("encoder", "decoder"))
    assert len(tensors) == 4 + 1 + 15 * encoder + 2 + 2 + (15 + 9) * decoder + 2
    assert vocabulary > 0


def test_weights_stored_in_int8_are_read_with_their_scales(tensors: dict[str, np.ndarray]) -> None:
    """Unscaled they would be whole numbers up to 127."""
    weight = tensors["encoder.blocks.0.mlp.0.weight"]
    assert 0 < np.abs(weight).max() < 10
    assert (weight != np.rint(weight)).any()


def test_int8_blocks_hold_the_weights_within_their_rounding(tensors: dict[str, np.ndarray]) -> None:
    """32 numbers share a scale; none is off by more than half a step."""
    weight = tensors["encoder.blocks.0.mlp.0.weight"]
    packed = np.frombuffer(exports._blocks(weight), np.dtype([("scale", "<f2"), ("values", "i1", 32)]))
    restored = (packed["scale"].astype(np.float32)[:, None] * packed["values"]).reshape(weight.shape)
    steps = np.repeat(packed["scale"].astype(np.float32), 32).reshape(weight.shape)
    assert (np.abs(restored - weight) <= 0.6 * steps + 1e-6).all()


def test_a_ggml_file_is_as_long_as_its_head_says(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    """Every tensor is where a reader expects it, up to the last byte."""
    path = tmp_path / "model.ggml"
    exports.ggml(demo_directory(), path)
    body = path.read_bytes()
    head = struct.unpack_from("12i", body)
    assert head[:2] == (0x67676D6C, len(tensors["decoder.token_embedding.weight"]))
    place = 48 + 8 + 80 * 201 * 4
    (tokens,) = struct.unpack_from("i", body, place)
    place += 4
    for _ in range(tokens):
        place += 4 + struct.unpack_from("i", body, place)[0]
    names = []
    while place < len(body):
        dimensions, length, kind = struct.unpack_from("3i", body, place)
        shape = struct.unpack_from(f"{dimensions}i", body, place + 12)
        place += 12 + 4 * dimensions
        names.append(body[place : place + length].decode())
        count = int(np.prod(shape))
        place += length + {exports.F32: 4 * count, exports.F16: 2 * count, exports.Q8_0: count // 32 * 34}[kind]
    assert place == len(body)
    assert names == list(tensors)
