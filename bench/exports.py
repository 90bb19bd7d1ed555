"""The workload model for other engines: openai-whisper's tensors and whisper.cpp's ggml file.

The same numbers under other names, so that every engine computes the same and writes the same 24 tokens. workload;
neither engine.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from bench import workload
from bench.workload import DECODER_POSITIONS, POSITIONS, TEXT_END, Size

Array = npt.NDArray[np.float32]

GGML_MAGIC: Final = 0x67676D6C
F32, F16, Q8_0 = 0, 1, 8
"""ggml's numbers for types of tensors."""

FILE_Q8_0: Final = 2007
"""ggml's number for a file of such blocks: 7, and version 2 of the format in thousands."""

BLOCK: Final = 32
SAMPLE_RATE: Final = 16_000
FFT: Final = 400


def tensors(size: Size) -> Iterator[tuple[str, Array]]:
    """Every tensor by the name that OpenAI's checkpoints give it."""
    spec, _ = workload.specification(size)
    for number, convolution in enumerate((spec.encoder.conv1, spec.encoder.conv2), start=1):
        yield f"encoder.conv{number}.weight", convolution.weight
        yield f"encoder.conv{number}.bias", convolution.bias
    yield "encoder.positional_embedding", spec.encoder.position_encodings.encodings
    for number, layer in enumerate(spec.encoder.layer):
        yield from _layer(f"encoder.blocks.{number}", layer)
    yield from _norm("encoder.ln_post", spec.encoder.layer_norm)
    yield "decoder.positional_embedding", spec.decoder.position_encodings.encodings
    yield "decoder.token_embedding.weight", spec.decoder.embeddings.weight
    for number, layer in enumerate(spec.decoder.layer):
        yield from _layer(f"decoder.blocks.{number}", layer)
        yield from _attention(f"decoder.blocks.{number}.cross_attn", layer.attention)
    yield from _norm("decoder.ln", spec.decoder.layer_norm)


def _layer(name: str, layer: Any) -> Iterator[tuple[str, Array]]:
    yield from _attention(f"{name}.attn", layer.self_attention)
    yield from _norm(f"{name}.mlp_ln", layer.ffn.layer_norm)
    for place, linear in ((0, layer.ffn.linear_0), (2, layer.ffn.linear_1)):
        yield f"{name}.mlp.{place}.weight", linear.weight
        yield f"{name}.mlp.{place}.bias", linear.bias


def _attention(name: str, block: Any) -> Iterator[tuple[str, Array]]:
    """Queries, keys and values apart.

    Keys have no bias there: it moves all scores of one query alike, and softmax forgets it.
    """
    yield from _norm(f"{name}_ln", block.layer_norm)
    weights = np.concatenate([linear.weight for linear in block.linear[:-1]])
    biases = np.concatenate([linear.bias for linear in block.linear[:-1]])
    for part, weight, bias in zip(("query", "key", "value"), np.split(weights, 3), np.split(biases, 3), strict=True):
        yield f"{name}.{part}.weight", weight
        if part != "key":
            yield f"{name}.{part}.bias", bias
    yield f"{name}.out.weight", block.linear[-1].weight
    yield f"{name}.out.bias", block.linear[-1].bias


def _norm(name: str, norm: Any) -> Iterator[tuple[str, Array]]:
    yield f"{name}.weight", norm.gamma
    yield f"{name}.bias", norm.beta


def checkpoint(size: Size, path: Path) -> None:
    """For openai-whisper's `Whisper(ModelDimensions(...)).load_state_dict`: tensors by name, `dims/...` beside them."""
    dims = {
        "n_mels": size.mels,
        "n_vocab": vocabulary_size(size),
        "n_audio_ctx": POSITIONS,
        "n_audio_state": size.width,
        "n_audio_head": size.heads,
        "n_audio_layer": size.encoder_layers,
        "n_text_ctx": DECODER_POSITIONS,
        "n_text_state": size.width,
        "n_text_head": size.heads,
        "n_text_layer": size.decoder_layers,
    }
    named: dict[str, Any] = dict(tensors(size)) | {f"dims/{name}": np.int64(value) for name, value in dims.items()}
    np.savez(path, **named)


def vocabulary_size(size: Size) -> int:
    """51,865 up to large-v2."""
    return TEXT_END + 1 + 2 + size.languages + len(workload.TASKS) + POSITIONS + 1


def ggml(size: Size, path: Path) -> None:
    """What whisper.cpp loads, its matrices in blocks of 32 int8 (`q8_0`), the nearest it has to ctranslate2's int8."""
    head = (
        GGML_MAGIC,
        vocabulary_size(size),
        *(POSITIONS, size.width, size.heads, size.encoder_layers),
        *(DECODER_POSITIONS, size.width, size.heads, size.decoder_layers),
        size.mels,
        FILE_Q8_0,
    )
    with path.open("wb") as file:
        file.write(struct.pack(f"{len(head)}i", *head))
        filters = mel_filters(size.mels)
        file.write(struct.pack("2i", *filters.shape) + filters.tobytes())
        _write_tokens(file)
        for name, tensor in tensors(size):
            _write_tensor(file, name, np.asarray(tensor, np.float32))


def _write_tokens(file: BinaryIO) -> None:
    """Bytes of each token of text; control tokens have their places behind them."""
    vocabulary = workload.spelled_tokens()
    file.write(struct.pack("i", len(vocabulary)))
    file.writelines(struct.pack("i", len(token)) + token for token in vocabulary)


def _write_tensor(file: BinaryIO, name: str, tensor: Array) -> None:
    if name in {"encoder.conv1.bias", "encoder.conv2.bias"}:
        tensor = tensor[:, None]
    kind, data = _packed(name, tensor)
    encoded = name.encode()
    file.write(struct.pack("3i", tensor.ndim, len(encoded), kind))
    file.write(struct.pack(f"{tensor.ndim}i", *reversed(tensor.shape)) + encoded + data)


def _packed(name: str, tensor: Array) -> tuple[int, bytes]:
    if tensor.ndim == 3:  # noqa: PLR2004 - a convolution: channels, channels, taps
        return F16, tensor.astype(np.float16).tobytes()
    if tensor.ndim == 1 or name.startswith("encoder.conv") or name.endswith("positional_embedding"):
        return F32, tensor.tobytes()
    return Q8_0, _blocks(tensor)


def _blocks(tensor: Array) -> bytes:
    """Each 32 numbers in a row: their scale as float16, then themselves as int8."""
    rows = tensor.reshape(-1, BLOCK)
    scales = np.abs(rows).max(axis=1, keepdims=True) / 127
    packed = np.empty(len(rows), np.dtype([("scale", "<f2"), ("values", "i1", BLOCK)]))
    packed["scale"] = scales[:, 0]
    packed["values"] = np.rint(np.divide(rows, scales, out=np.zeros_like(rows), where=scales > 0))
    return packed.tobytes()


def mel_filters(bands: int) -> Array:
    """Slaney's triangles from 0 to 8 kHz, each of area one: shape (bands, 201)."""
    frequencies = np.fft.rfftfreq(FFT, 1 / SAMPLE_RATE)
    edges = _hertz(np.linspace(_mel(0.0), _mel(SAMPLE_RATE / 2), bands + 2))
    rising = (frequencies - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - frequencies) / np.diff(edges)[1:, None]
    triangles = np.clip(np.minimum(rising, falling), 0, None)
    filters: Array = (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)
    return filters


def _mel(hertz: float) -> float:
    """Slaney's scale: linear below 1 kHz, logarithmic above."""
    if hertz < 1000:  # noqa: PLR2004 - Slaney's mel scale
        return hertz * 3 / 200
    return 15 + 27 * float(np.log(hertz / 1000) / np.log(6.4))


def _hertz(mels: Any) -> Any:
    logarithmic = 1000 * np.exp(np.log(6.4) / 27 * (mels - 15))
    return np.where(mels < 15, mels * 200 / 3, logarithmic)  # noqa: PLR2004 - the same
