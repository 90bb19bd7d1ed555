"""The workload model: a Whisper of one published size with random weights and a decoder that follows a script.

For measuring where no trained model is at hand: the compute is that of the real size with a transcript of 24 tokens,
the text is always the same. Writes a ctranslate2 directory that faster-whisper loads like any other. and tokenizers;
nothing of the daemon.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from ctranslate2.specs import common_spec, whisper_spec
from ctranslate2.specs.model_spec import NumpyVariable
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

Array = npt.NDArray[np.float32]

POSITIONS: Final = 1500
"""Encoder positions: 30 s at 50 a second."""

DECODER_POSITIONS: Final = 448
STORED: Final = ("int8", "int16", "float16", "float32", "bfloat16")

LANGUAGES: Final = (
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi ml "
    "cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd gu am "
    "yi lo uz fo ht ps tk nn "
    "mt sa lb my bo tl mg as tt haw ln ha ba jw su"
).split()
TASKS: Final = ("translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps")

WORDS: Final = (
    "сегодня утром мы купили хлеб молоко сыр яблоки потом зашли в аптеку за лекарством заплатили триста сорок рублей и "
    "вернулись домой пешком через парк"
).split()
"""The text of the script: 24 words, one token each."""

TEXT_END: Final = (
    50_256  # the empty token: real vocabularies hold it here, and ctranslate2 calls only those multilingual
)
FIRST_WORD: Final = 300  # any place behind the 256 bytes
PUSH: Final = 10.0  # how much louder a position speaks than the token in front of it


@dataclass(frozen=True, slots=True)
class Size:
    """The shape of one published size."""

    width: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    mels: int = 80
    languages: int = 99


SIZES: Final = {
    "tiny": Size(384, 6, 4, 4),
    "base": Size(512, 8, 6, 6),
    "small": Size(768, 12, 12, 12),
    "medium": Size(1024, 16, 24, 24),
    "large-v2": Size(1280, 20, 32, 32),
    "large-v3": Size(1280, 20, 32, 32, mels=128, languages=100),
    "turbo": Size(1280, 20, 32, 4, mels=128, languages=100),
}


def build(size: Size, directory: Path, *, stored: str = "int8", seed: int = 0, words: int = len(WORDS)) -> Path:
    """Write the model into `directory` and return it. `stored`: the type of the weights in the file, one of `STORED`.

    `words`: how many tokens of text each window gets; beyond the 24 of `WORDS` they are made-up words.
    """
    spec, vocabulary = specification(size, seed=seed, words=words)
    spec.register_vocabulary(vocabulary)
    _configure(spec.config, size, vocabulary)
    spec.validate()
    spec.optimize(quantization="float32" if stored == "bfloat16" else stored)
    if stored == "bfloat16":
        spec._visit(_to_bfloat16)  # noqa: SLF001 - its own conversion needs torch, gigabytes for one shift by 16 bits
    directory.mkdir(parents=True, exist_ok=True)
    spec.save(str(directory))
    _write_tokenizer(vocabulary, directory / "tokenizer.json")
    mel = {"feature_size": size.mels, "sampling_rate": 16000, "hop_length": 160, "chunk_length": 30, "n_fft": 400}
    (directory / "preprocessor_config.json").write_text(json.dumps(mel), encoding="utf-8")
    return directory


def specification(size: Size, *, seed: int = 0, words: int = len(WORDS)) -> tuple[Any, list[str]]:
    """The model in float32, as a `ctranslate2.specs.WhisperSpec` that can still be read, and its vocabulary."""
    vocabulary = _vocabulary(size)
    spec = whisper_spec.WhisperSpec(size.encoder_layers, size.heads, size.decoder_layers, size.heads)
    random = np.random.default_rng(seed)
    _fill_encoder(spec.encoder, size, random)
    _fill_decoder(spec.decoder, size, vocabulary, random, words)
    return spec, vocabulary


def script(vocabulary: list[str], words: int = len(WORDS)) -> list[int]:
    """The tokens that follow the prompt `<|startoftranscript|><|ru|><|transcribe|>`, with the end of text."""
    spoken = range(FIRST_WORD, FIRST_WORD + words)
    return [vocabulary.index("<|0.00|>"), *spoken, vocabulary.index("<|2.60|>"), vocabulary.index("<|endoftext|>")]


def _vocabulary(size: Size) -> list[str]:
    """Tokens at the places where Whisper has them; between the bytes and the control tokens lie made-up words."""
    tokens = [*_bytes()]
    tokens += [f"Ġfiller{number}" for number in range(len(tokens), TEXT_END)]
    tokens[FIRST_WORD : FIRST_WORD + len(WORDS)] = ["".join(_bytes_of(f" {word}")) for word in WORDS]
    languages = [*LANGUAGES, "yue"][: size.languages]
    control = ["endoftext", "startoftranscript", *languages, *TASKS]
    return [
        *tokens,
        "",
        *(f"<|{name}|>" for name in control),
        *(f"<|{step * 0.02:.2f}|>" for step in range(POSITIONS + 1)),
    ]


def spelled_tokens() -> list[bytes]:
    """The tokens of text as the bytes that they stand for, in the order of their numbers; the last is the empty one."""
    value_of = {stand_in: value for value, stand_in in enumerate(_bytes_in_order())}
    return [bytes(value_of[sign] for sign in token) for token in _vocabulary(SIZES["base"])[: TEXT_END + 1]]


def _bytes_in_order() -> list[str]:
    """The stand-in of byte 0, of byte 1, and so on."""
    return [_stand_in(value) for value in range(256)]


def _bytes() -> list[str]:
    """Printable stand-ins for the 256 bytes, in the order of byte-level vocabularies: printable ones first."""
    stand_ins = {value: chr(value) for value in (*range(33, 127), *range(161, 173), *range(174, 256))}
    others = (value for value in range(256) if value not in stand_ins)
    return [*stand_ins.values(), *(chr(256 + number) for number, _ in enumerate(others))]


def _bytes_of(text: str) -> Iterator[str]:
    return (_stand_in(value) for value in text.encode())


def _stand_in(value: int) -> str:
    printable = (*range(33, 127), *range(161, 173), *range(174, 256))
    others = [other for other in range(256) if other not in printable]
    return chr(value) if value in printable else chr(256 + others.index(value))


def _fill_encoder(encoder: Any, size: Size, random: np.random.Generator) -> None:
    """Weights of the size that trained ones have, so that rounding shows."""
    for convolution, channels in ((encoder.conv1, size.mels), (encoder.conv2, size.width)):
        convolution.weight = _normal(random, size.width, channels, 3)
        convolution.bias = _noise(random, size.width)
    encoder.position_encodings.encodings = _sinusoids(size.width)
    _fill_norm(encoder.layer_norm, size.width, random)
    for layer in encoder.layer:
        _fill_layer(layer, size.width, random, gain=1.0)


def _fill_decoder(decoder: Any, size: Size, vocabulary: list[str], random: np.random.Generator, words: int) -> None:
    """Each position gives the next token; attention and feed-forward compute in full and add next to nothing."""
    tokens = script(vocabulary, words)
    decoder.embeddings.weight = embeddings = _noise(random, len(vocabulary), size.width, scale=0.02)
    decoder.position_encodings.encodings = positions = _noise(random, DECODER_POSITIONS, size.width, scale=0.02)
    directions = _directions(random, len(tokens) + 1, size.width)
    embeddings[vocabulary.index("<|ru|>")] += directions[-1]
    positions[0] += PUSH * directions[-1]  # behind <|startoftranscript|>: the language, when it is to be detected
    for step, token in enumerate(tokens):
        embeddings[token] += directions[step]
        positions[2 + step] += PUSH * directions[step]  # position 2 is <|transcribe|>, the last of the prompt
    positions[2 + len(tokens) :] += PUSH * directions[len(tokens) - 1]
    embeddings[tokens[-1]] -= directions[: len(tokens) - 1].sum(axis=0)  # or beam search ends early
    decoder.projection.weight = decoder.embeddings.weight
    _fill_norm(decoder.layer_norm, size.width, random)
    for layer in decoder.layer:
        _fill_layer(layer, size.width, random, gain=1e-3)


def _directions(random: np.random.Generator, count: int, width: int) -> Array:
    """Unit vectors at right angles to each other."""
    return np.linalg.qr(random.standard_normal((width, count)))[0].T.astype(np.float32)


def _fill_layer(layer: Any, width: int, random: np.random.Generator, *, gain: float) -> None:
    """`gain`: how loud attention and feed-forward are beside what passes them by."""
    blocks = [layer.self_attention, *([layer.attention] if hasattr(layer, "attention") else [])]
    for block in blocks:
        _fill_norm(block.layer_norm, width, random)
        outputs = {2: (3 * width, width), 3: (width, 2 * width, width)}[len(block.linear)]
        for linear, rows in zip(block.linear, outputs, strict=True):
            _fill_linear(linear, rows, width, random, gain if linear is block.linear[-1] else 1.0)
    _fill_norm(layer.ffn.layer_norm, width, random)
    _fill_linear(layer.ffn.linear_0, 4 * width, width, random, 1.0)
    _fill_linear(layer.ffn.linear_1, width, 4 * width, random, gain)


def _fill_linear(
    linear: common_spec.LinearSpec, rows: int, columns: int, random: np.random.Generator, gain: float
) -> None:
    linear.weight = gain * _normal(random, rows, columns)
    linear.bias = _noise(random, rows, scale=0.02 * gain)


def _fill_norm(norm: common_spec.LayerNormSpec, width: int, random: np.random.Generator) -> None:
    norm.gamma = 1 + _noise(random, width)
    norm.beta = _noise(random, width)


def _normal(random: np.random.Generator, rows: int, *others: int) -> Array:
    """Random weights that keep the loudness of what they multiply."""
    return random.standard_normal((rows, *others), dtype=np.float32) * np.float32(np.prod(others) ** -0.5)


def _noise(random: np.random.Generator, *shape: int, scale: float = 0.02) -> Array:
    """Never exactly alike: ctranslate2 stores equal tensors once, which no trained model has."""
    return random.standard_normal(shape, dtype=np.float32) * np.float32(scale)


def _sinusoids(width: int) -> Array:
    """Whisper's own encoder positions."""
    scales = np.exp(-np.log(10_000) / (width // 2 - 1) * np.arange(width // 2))
    angles = np.arange(POSITIONS)[:, None] * scales[None]
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def _configure(config: Any, size: Size, vocabulary: list[str]) -> None:
    first = vocabulary.index("<|startoftranscript|>")
    config.suppress_ids = [first, *range(first + 1 + size.languages, first + 6 + size.languages)]
    config.suppress_ids_begin = [220, first - 1]  # a lone space, the end of text
    config.lang_ids = list(range(first + 1, first + 1 + size.languages))
    config.alignment_heads = [[size.decoder_layers - 1, head] for head in range(size.heads)]


def _to_bfloat16(spec: Any, name: str, value: Any) -> None:
    if isinstance(value, NumpyVariable) and value.dtype == "float32" and not value.is_scalar():
        setattr(spec, name.rpartition("/")[2], _BFloat16(value.numpy()))


class _BFloat16(NumpyVariable):  # type: ignore[misc]  # ctranslate2 has no types
    """The upper half of each float32, rounded to the nearest."""

    dtype = "bfloat16"

    def __init__(self, array: Array) -> None:
        bits = array.view(np.uint32)
        super().__init__(((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16))


def _write_tokenizer(vocabulary: list[str], path: Path) -> None:
    """Without merges: text becomes bytes, and the scripted tokens become words."""
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(vocabulary[: TEXT_END + 1])}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True) for token in vocabulary[TEXT_END + 1 : -POSITIONS - 1]]
    )
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in vocabulary[-POSITIONS - 1 :]])
    tokenizer.save(str(path))


def main() -> None:
    """Build one from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--stored", choices=STORED, default="int8")
    given = parser.parse_args()
    print(build(SIZES[given.size], given.directory, stored=given.stored))  # noqa: T201 - a command's answer


if __name__ == "__main__":
    main()
