"""A model of ctranslate2's for whisper.cpp: a directory -> a ggml file with the same weights under OpenAI's names."""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt
from faster_whisper.feature_extractor import FeatureExtractor
from tokenizers import Tokenizer

from sttd.consumer.engine.model import model_file

Array = npt.NDArray[np.float32]
Read = Callable[[str], Array]
"""A tensor by ctranslate2's name, in float32."""

GGML_MAGIC: Final = 0x67676D6C
F32, F16, Q8_0 = 0, 1, 8
"""ggml's numbers for types of tensors."""

FILE_Q8_0: Final = 2007
"""ggml's number for a file of such blocks: 7, and version 2 of the format in thousands."""

BLOCK: Final = 32
HEAD: Final = 64
"""Numbers of one attention head, in every Whisper."""


def ggml(directory: Path, path: Path) -> None:
    """What whisper.cpp loads, its matrices in blocks of 32 int8 (`q8_0`), the nearest it has to ctranslate2's int8."""
    read, names = reader(directory / "model.bin")
    encoder, decoder = (_layers(names, side) for side in ("encoder", "decoder"))
    embeddings, texts = read("decoder/embeddings/weight"), read("decoder/position_encodings/encodings")
    sounds, mels = read("encoder/position_encodings/encodings"), read("encoder/conv1/weight").shape[1]
    width = embeddings.shape[1]
    heads = width // HEAD
    head = (GGML_MAGIC, len(embeddings), len(sounds), width, heads, encoder, len(texts), width, heads, decoder, mels)
    with path.open("wb") as file:
        file.write(struct.pack("12i", *head, FILE_Q8_0))
        filters = FeatureExtractor(feature_size=mels).mel_filters.astype(np.float32)
        file.write(struct.pack("2i", *filters.shape) + filters.tobytes())
        tokens = spelled_tokens(directory / "tokenizer.json")
        file.write(struct.pack("i", len(tokens)))
        file.writelines(struct.pack("i", len(token)) + token for token in tokens)
        for name, tensor in tensors(read, encoder, decoder):
            _write_tensor(file, name, tensor)


def reader(path: Path) -> tuple[Read, list[str]]:
    """All tensors of a `model.bin`, of whatever stored type, and their names."""
    found = model_file.index(path).tensors

    def read(name: str) -> Array:
        tensor = found[name]
        raw = model_file.content(path, tensor)
        if f"{name}_scale" not in found:
            return model_file.floats(raw, tensor.kind)
        scaled: Array = raw.astype(np.float32) / read(f"{name}_scale").reshape(-1, *[1] * (raw.ndim - 1))
        return scaled

    return read, list(found)


def _layers(names: list[str], side: str) -> int:
    return len(
        {name.split("/")[1] for name in names if name.startswith(f"{side}/layer_") and "/layer_norm" not in name}
    )


def tensors(read: Read, encoder: int, decoder: int) -> Iterator[tuple[str, Array]]:
    """Every tensor by the name that OpenAI's checkpoints give it."""
    for number in (1, 2):
        for part in ("weight", "bias"):
            yield f"encoder.conv{number}.{part}", read(f"encoder/conv{number}/{part}")
    yield "encoder.positional_embedding", read("encoder/position_encodings/encodings")
    for number in range(encoder):
        yield from _layer(read, f"encoder.blocks.{number}", f"encoder/layer_{number}")
    yield from _norm(read, "encoder.ln_post", "encoder/layer_norm")
    yield "decoder.positional_embedding", read("decoder/position_encodings/encodings")
    yield "decoder.token_embedding.weight", read("decoder/embeddings/weight")
    for number in range(decoder):
        name, layer = f"decoder.blocks.{number}", f"decoder/layer_{number}"
        yield from _layer(read, name, layer)
        yield from _attention(read, f"{name}.cross_attn", f"{layer}/attention", (0, 1))
    yield from _norm(read, "decoder.ln", "decoder/layer_norm")


def _layer(read: Read, name: str, layer: str) -> Iterator[tuple[str, Array]]:
    yield from _attention(read, f"{name}.attn", f"{layer}/self_attention", (0,))
    yield from _norm(read, f"{name}.mlp_ln", f"{layer}/ffn/layer_norm")
    for place, linear in ((0, "linear_0"), (2, "linear_1")):
        for part in ("weight", "bias"):
            yield f"{name}.mlp.{place}.{part}", read(f"{layer}/ffn/{linear}/{part}")


def _attention(read: Read, name: str, block: str, inputs: tuple[int, ...]) -> Iterator[tuple[str, Array]]:
    """Queries, keys and values apart; they are the rows of the linear layers `inputs`.

    Keys have no bias there: it moves all scores of one query alike, and softmax forgets it.
    """
    yield from _norm(read, f"{name}_ln", f"{block}/layer_norm")
    for part in ("weight", "bias"):
        joined = np.concatenate([read(f"{block}/linear_{number}/{part}") for number in inputs])
        for what, one in zip(("query", "key", "value"), np.split(joined, 3), strict=True):
            if (what, part) != ("key", "bias"):
                yield f"{name}.{what}.{part}", one
        yield f"{name}.out.{part}", read(f"{block}/linear_{len(inputs)}/{part}")


def _norm(read: Read, name: str, norm: str) -> Iterator[tuple[str, Array]]:
    yield f"{name}.weight", read(f"{norm}/gamma")
    yield f"{name}.bias", read(f"{norm}/beta")


def spelled_tokens(path: Path) -> list[bytes]:
    """The tokens of text as bytes, in the order of their numbers; control tokens have their places behind them."""
    tokenizer = Tokenizer.from_file(str(path))
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [value for value in range(256) if value not in plain]
    value_of = {chr(value): value for value in plain} | {chr(256 + at): value for at, value in enumerate(others)}
    count = tokenizer.token_to_id("<|endoftext|>") or 0
    return [bytes(value_of[sign] for sign in tokenizer.id_to_token(number) or "") for number in range(count)]


def _write_tensor(file: BinaryIO, name: str, tensor: Array) -> None:
    if name in {"encoder.conv1.bias", "encoder.conv2.bias"}:
        tensor = tensor[:, None]
    kind, data = _packed(name, tensor)
    encoded = name.encode()
    file.write(struct.pack("3i", tensor.ndim, len(encoded), kind))
    file.write(struct.pack(f"{tensor.ndim}i", *reversed(tensor.shape)) + encoded + data)


def _packed(name: str, tensor: Array) -> tuple[int, Any]:
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
