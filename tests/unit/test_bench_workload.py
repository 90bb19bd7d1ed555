"""The same model for every engine: names, shapes and numbers of bench/exports.py's files, and the spoken notes."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from faster_whisper.audio import decode_audio
from faster_whisper.feature_extractor import FeatureExtractor

from bench import exports, notes, workload
from bench.workload import Size

SMALL = Size(64, 2, 1, 1)


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    """A model of one layer on either side."""
    return dict(exports.tensors(SMALL))


def test_every_tensor_has_openais_name_and_shape(tensors: dict[str, np.ndarray]) -> None:
    """Both other engines load by name; a missing one would be zeros."""
    vocabulary = exports.vocabulary_size(SMALL)
    assert vocabulary == 51_865
    assert tensors["decoder.token_embedding.weight"].shape == (vocabulary, 64)
    assert tensors["encoder.positional_embedding"].shape == (1500, 64)
    assert tensors["encoder.conv1.weight"].shape == (64, 80, 3)
    assert tensors["decoder.blocks.0.cross_attn.key.weight"].shape == (64, 64)
    assert tensors["decoder.blocks.0.mlp.0.weight"].shape == (256, 64)
    assert not [name for name in tensors if name.endswith("key.bias")]
    assert len(tensors) == 4 + 1 + 15 + 2 + 2 + 15 + 9 + 2


def test_mel_filters_are_whispers() -> None:
    """whisper.cpp reads the filters from the file; others have their own, and all must get the same."""
    for bands in (80, 128):
        theirs = FeatureExtractor(feature_size=bands).mel_filters
        assert np.abs(exports.mel_filters(bands) - theirs).max() < 1e-6


def test_int8_blocks_hold_the_weights_within_their_rounding(tensors: dict[str, np.ndarray]) -> None:
    """32 numbers share a scale; none is off by more than half a step."""
    weight = tensors["encoder.blocks.0.mlp.0.weight"].astype(np.float32)
    packed = np.frombuffer(exports._blocks(weight), np.dtype([("scale", "<f2"), ("values", "i1", 32)]))
    restored = (packed["scale"].astype(np.float32)[:, None] * packed["values"]).reshape(weight.shape)
    steps = np.repeat(packed["scale"].astype(np.float32), 32).reshape(weight.shape)
    assert (np.abs(restored - weight) <= 0.6 * steps + 1e-6).all()


def test_a_ggml_file_is_as_long_as_its_head_says(tmp_path: Path) -> None:
    """Every tensor is where a reader expects it, up to the last byte."""
    path = tmp_path / "model.ggml"
    exports.ggml(SMALL, path)
    body = path.read_bytes()
    head = struct.unpack_from("12i", body)
    assert head[:2] == (0x67676D6C, 51_865)
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
    assert names == [name for name, _ in exports.tensors(SMALL)]


def test_scripted_tokens_spell_the_scripts_words() -> None:
    """Text of another engine is compared with the words, so its tokens must be these."""
    spelled = workload.spelled_tokens()
    said = b"".join(spelled[workload.FIRST_WORD : workload.FIRST_WORD + len(workload.WORDS)]).decode()
    assert said.split() == workload.WORDS
    assert spelled[-1] == b""
    assert spelled[0] == b"!"


def test_encoded_notes_have_their_length() -> None:
    """A note of 3 s is decoded as 3 s, whatever the codec's frames are."""
    sound = (8000 * np.sin(np.arange(3 * notes.RATE) / 20)).astype(np.int16)
    samples = decode_audio(io.BytesIO(notes.opus(sound)))
    assert samples.size / 16_000 == pytest.approx(3.0, abs=0.02)
    assert np.abs(samples).max() > 0.1
