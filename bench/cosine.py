"""How near OpenVINO's encoder is to ctranslate2 in float32, for each type that weights can be stored in and each arithmetic.

Imports consumer's encoder, graph and weights, and ctranslate2; models are made by workload, the demo model is taken as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import ctranslate2
import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor

from bench import workload
from bench.models import DATA
from bench.run import tell
from sttd.consumer.engine.model.comparison import pseudo_speech
from sttd.consumer.engine.model.graph import CompiledEncoder
from sttd.consumer.engine.model.weights import EncoderFile
from sttd.consumer.models import demo_directory

PRECISIONS: Final = ("f32", "int8", "bf16")
LEAST: Final = 0.999
FRAMES: Final = 3000


def table(names: Sequence[str]) -> dict[str, Any]:
    """A row for each model and stored type; cosine of the whole output, and the largest difference of a number in brackets."""
    rows = [row for name in names for row in _rows(name)]
    least = min(row[f"{precision}_cosine"] for row in rows for precision in PRECISIONS)
    return {"least": least, "kept": least >= LEAST, "rows": rows}


def _rows(name: str) -> Iterator[dict[str, Any]]:
    for stored in ["int8"] if name == "demo" else workload.STORED:
        directory = demo_directory() if name == "demo" else DATA / "models" / f"{name}-{stored}"
        if not (directory / "tokenizer.json").exists():
            workload.build(workload.SIZES[name], directory, stored=stored)
        row = {"model": name, "stored": stored} | _against_float32(
            directory, 80 if name == "demo" else workload.SIZES[name].mels
        )
        tell(str(row))
        yield row


def _against_float32(directory: Path, bands: int) -> dict[str, Any]:
    features = FeatureExtractor(feature_size=bands)(pseudo_speech())
    mel = np.zeros((1, bands, FRAMES), np.float32)
    mel[0, :, : features.shape[1]] = features
    exact = _ctranslate2(directory, "float32", mel)
    found: dict[str, Any] = {}
    for precision in PRECISIONS:
        found |= _near(
            precision,
            np.asarray(CompiledEncoder(EncoderFile(directory / "model.bin"), precision, 1).encode(mel)),
            exact,
        )
    return found | _near("ctranslate2_int8", _ctranslate2(directory, "int8", mel), exact)


def _ctranslate2(directory: Path, kind: str, mel: Any) -> Any:
    model = ctranslate2.models.Whisper(str(directory), device="cpu", compute_type=kind)
    encoded = model.encode(ctranslate2.StorageView.from_array(mel))
    return np.array(encoded.to(ctranslate2.DataType.float32))


def _near(name: str, one: Any, exact: Any) -> dict[str, float]:
    left, right = one.astype(np.float64).ravel(), exact.astype(np.float64).ravel()
    cosine = float(left @ right) / math.sqrt(float(left @ left) * float(right @ right))
    return {f"{name}_cosine": round(cosine, 6), f"{name}_apart": round(float(np.abs(left - right).max()), 5)}
