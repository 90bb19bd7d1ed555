"""Who turns mel bands into what the decoder reads: ctranslate2, or OpenVINO from the same weights where it is as exact and faster.

Decides once, when the model is loaded, by trying both on a sound of its own. Imports weights, graph and consumer.errors; knows
faster-whisper and ctranslate2 only as what model.py hands in.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import structlog

from sttd.consumer.engine.graph import CompiledEncoder, Precision
from sttd.consumer.engine.weights import EncoderFile, EncoderUnavailable, Floats
from sttd.consumer.errors import ModelUnavailable
from sttd.consumer.pcm import SAMPLE_RATE, Pcm

Setting = Literal["auto", "ctranslate2", "openvino"]
Encode = Callable[[Floats], Floats]

SIMILAR: Final = 0.999
"""The least cosine between the two outputs; int8 in ctranslate2 is at 0.9999 from float32."""

GAIN: Final = 1.05
CLEAR: Final = 1.3
"""A first encode this many times as fast needs no second: that is more than caches and clock rates make."""

MORE_ROUNDS: Final = 2
CPUINFO: Final = Path("/proc/cpuinfo")

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Timed:
    """A way to encode, and the least core time that it has needed, in seconds.

    Core time, not time on the clock: a busy neighbour must not decide who encodes for the rest of the day.
    """

    run: Encode
    clock: Callable[[], float] = time.process_time
    least: float = math.inf

    def __call__(self, mel: Floats) -> Floats:
        """Encode and remember the time."""
        began = self.clock()
        encoded = self.run(mel)
        self.least = min(self.least, self.clock() - began)
        return encoded


@dataclass(frozen=True, slots=True)
class Verdict:
    """How near (cosine) and how many times as fast as ctranslate2."""

    cosine: float
    gain: float


class EncodingModel:
    """A `ctranslate2.models.Whisper` whose `encode` is answered by OpenVINO; everything else is its own."""

    def __init__(self, model: Any, encoder: CompiledEncoder, view: Callable[[Floats], Any]) -> None:
        """`view`: an array -> ctranslate2's `StorageView` of it, without a copy."""
        self._model = model
        self._encoder = encoder
        self._view = view

    def __getattr__(self, name: str) -> Any:
        """What is not said here is ctranslate2's."""
        return getattr(self._model, name)

    def encode(self, features: Any, to_cpu: bool = False) -> Any:
        """Mel bands (windows, bands, frames) -> what `generate`, `align` and `detect_language` take.

        What OpenVINO cannot do, ctranslate2 does: it is loaded anyway.
        """
        mel = np.asarray(features)
        if not self._encoder.takes(mel.shape):
            return self._model.encode(features, to_cpu=to_cpu)
        try:
            return self._view(self._encoder.encode(mel))
        except EncoderUnavailable as error:
            log.warning("ctranslate2 encodes this window: %s", error, action="encoder_failed")
            return self._model.encode(features, to_cpu=to_cpu)


def choose(
    wanted: Setting,
    directory: Path,
    *,
    device: str,
    compute_type: str,
    slots: int,
    mel: Callable[[], Floats],
    reference: Encode,
) -> CompiledEncoder | None:
    """OpenVINO's encoder for the model in `directory`, or None: ctranslate2 encodes, and one log line says why.

    `mel`: makes a window to compare on, shape (1, bands, frames); `reference`: encodes it with ctranslate2. Blocks for a few encodes.
    Raises `ModelUnavailable` when OpenVINO was asked for by name and does not give the same as ctranslate2.
    """
    if wanted == "ctranslate2":
        return None
    try:
        if device != "cpu":
            raise EncoderUnavailable(f"OpenVINO encodes on the CPU only, the model is on {device}")
        file = EncoderFile(directory / "model.bin")
        kinds = precisions(_cpu_flags(), compute_type)
        encoder, verdict = _first_fit(
            file, kinds, slots, mel(), Timed(reference), least_gain=GAIN if wanted == "auto" else 0.0
        )
    except EncoderUnavailable as error:
        if wanted == "openvino":
            raise ModelUnavailable(
                f"STTD_ENCODER=openvino is not to be had: {error}; STTD_ENCODER=auto uses it where it can"
            ) from error
        log.info("ctranslate2 encodes: %s", error, action="encoder", encoder="ctranslate2")
        return None
    _tell(encoder, verdict)
    return encoder


def precisions(cpu_flags: frozenset[str], compute_type: str) -> tuple[Precision, ...]:
    """What to try, the fastest first; never less exact than the compute type that was asked for.

    bfloat16 pays with AMX only (on cores that have just AVX512-BF16 it is slower than float32), int8 with VNNI.
    """
    if compute_type in {"float32", "int16"}:
        return ("f32",)
    found: list[Precision] = ["bf16"] if "amx_bf16" in cpu_flags else []
    if compute_type.startswith("int8") and cpu_flags & {"avx512_vnni", "avx_vnni"}:
        found.append("int8")
    return (*found, "f32")


def compare(ours: Timed, theirs: Timed, mel: Floats) -> Verdict:
    """Encode by turns until it is clear who is faster. Raises `EncoderUnavailable` when the outputs differ.

    `theirs` may have been timed before. The first run of either is the slowest; so a near race is run again.
    """
    expected = theirs(mel)
    cosine = _cosine(ours(mel), expected)
    if not cosine > SIMILAR:  # written so that NaN fails
        raise EncoderUnavailable(f"its output is not ctranslate2's (cosine {cosine:.5f})")
    for _ in range(MORE_ROUNDS):
        if theirs.least > CLEAR * ours.least:
            break
        ours(mel)
        theirs(mel)
    return Verdict(cosine, theirs.least / ours.least)


def pseudo_speech(seconds: float = 8.0) -> Pcm:
    """A fixed sound with what an encoder hears in speech: a gliding voice, moving formants, syllables, hiss, pauses."""
    time_axis = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = 140 + 30 * np.sin(2 * np.pi * 0.7 * time_axis)
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    formants = [
        (centre + 0.3 * centre * np.sin(2 * np.pi * rate * time_axis), 120.0)
        for centre, rate in ((550, 1.9), (1500, 1.3), (2600, 0.8))
    ]
    voice = np.zeros_like(time_axis)
    for harmonic in range(1, 25):
        loudness = sum(np.exp(-(((harmonic * pitch - centre) / (2 * width)) ** 2)) for centre, width in formants)
        voice += (loudness + 0.02) * np.sin(harmonic * phase)
    hiss = np.random.default_rng(0).standard_normal(time_axis.size)
    phrases = np.sin(2 * np.pi * 0.25 * time_axis) > np.sin(-1)  # two of them, a pause after each
    syllables = np.clip(np.sin(2 * np.pi * 3.3 * time_axis), 0, 1) * phrases
    sound: Pcm = (0.1 * voice * syllables + 0.02 * hiss * (1 - syllables)).astype(np.float32)
    return sound


def _first_fit(
    file: EncoderFile, kinds: tuple[Precision, ...], slots: int, mel: Floats, theirs: Timed, *, least_gain: float
) -> tuple[CompiledEncoder, Verdict]:
    reasons = []
    for kind in kinds:
        try:
            encoder = CompiledEncoder(file, kind, slots)
            verdict = compare(Timed(encoder.encode), theirs, mel)
            if verdict.gain >= least_gain:
                return encoder, verdict
            reasons.append(f"{kind} gains nothing here ({verdict.gain:.2f} times as fast)")
        except EncoderUnavailable as error:
            reasons.append(f"{kind}: {error}")
    raise EncoderUnavailable("; ".join(dict.fromkeys(reasons)))


def _tell(encoder: CompiledEncoder, verdict: Verdict) -> None:
    log.info(
        "OpenVINO encodes, %.1f times as fast as ctranslate2",
        verdict.gain,
        action="encoder",
        encoder=encoder.name,
        precision=encoder.precision,
        cosine=round(verdict.cosine, 6),
        gain=round(verdict.gain, 2),
    )


def _cosine(one: Floats, other: Floats) -> float:
    if one.shape != other.shape:
        return math.nan
    left, right = one.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    return float(left @ right / max(np.linalg.norm(left) * np.linalg.norm(right), np.finfo(np.float64).tiny))


def _cpu_flags() -> frozenset[str]:
    """What the kernel says the cores can do; nothing where it does not say."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), []))
