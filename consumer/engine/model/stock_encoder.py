"""ctranslate2's side of the comparison of encoders, as functions. The library itself comes in as an argument."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from sttd.consumer.engine.model import comparison
from sttd.consumer.engine.model.encoder import EncoderReference
from sttd.consumer.engine.model.model_file import Floats

NOTE_TOKENS: Final = 18
"""A note of 5 s."""


def of(ctranslate2: Any, whisper: Any, path: Path, stock: str) -> EncoderReference:
    """The reference for a loaded `faster_whisper.WhisperModel`.

    `path`: of the model's directory; `stock`: faster-whisper's version and the bits of the weights.
    """
    extractor = whisper.feature_extractor

    def exact() -> comparison.Encode:
        model = ctranslate2.models.Whisper(str(path), device="cpu", compute_type="float32", intra_threads=1)
        return encode_by(ctranslate2, model)

    return EncoderReference(
        device=whisper.model.device,
        compute_type=whisper.model.compute_type,
        facts=(stock, ctranslate2.__version__, whisper.model.compute_type, os.environ.get("GLIBC_TUNABLES", "")),
        encode=encode_by(ctranslate2, whisper.model),
        exact=exact,
        decode=_decode_by(ctranslate2, whisper.model, whisper.hf_tokenizer),
        windows=lambda: [_one_window(extractor(sound), extractor.nb_max_frames) for sound in comparison.sounds()],
    )


def encode_by(ctranslate2: Any, model: Any) -> comparison.Encode:
    """Mel bands -> encoder output, both float32, by a `ctranslate2.models.Whisper`."""
    view, float32 = ctranslate2.StorageView.from_array, ctranslate2.DataType.float32
    return lambda mel: np.array(model.encode(view(mel)).to(float32))


def _decode_by(ctranslate2: Any, model: Any, tokenizer: Any) -> Callable[[Floats], object]:
    """Beam 5 and as many tokens as a short note has, whatever the sound: the end token is suppressed."""
    view = ctranslate2.StorageView.from_array
    prompt = [tokenizer.token_to_id(token) for token in ("<|startoftranscript|>", "<|notimestamps|>")]
    end = tokenizer.token_to_id("<|endoftext|>")
    return lambda encoded: model.generate(
        view(encoded), [prompt], beam_size=5, max_length=len(prompt) + NOTE_TOKENS, suppress_tokens=[end]
    )


def _one_window(features: Floats, frames: int) -> Floats:
    """As faster-whisper pads a short note: shape (1, bands, frames)."""
    window = np.zeros((1, features.shape[0], frames), np.float32)
    window[0, :, : features.shape[1]] = features
    return window
