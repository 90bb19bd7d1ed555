"""Which engine encodes: ctranslate2, or OpenVINO from the same weights where that is as exact and needs less core time.

Decides once for a model, a CPU and a set of library versions; `findings` keeps the outcome for later starts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import structlog

from sttd.consumer.engine.model import comparison, cpu, graph
from sttd.consumer.engine.model.comparison import Encode, Timed
from sttd.consumer.engine.model.findings import EncoderFinding, Findings, key
from sttd.consumer.engine.model.graph import CompiledEncoder, Precision
from sttd.consumer.engine.model.model_file import Floats
from sttd.consumer.engine.model.weights import EncoderFile, EncoderUnavailable
from sttd.consumer.errors import ModelMisconfigured

Setting = Literal["auto", "ctranslate2", "openvino"]

FLOAT32_SOUNDS: Final = 1
"""Float32 against float32 differs only by the order of sums: one sound shows a wrong graph as well as three."""

ROOM_FACTOR: Final = 1.5
"""Free memory that a copy of the model in float32 needs, in sizes of the copy: its weights, and one encode."""

NAMES: Final[dict[Precision, str]] = {"f32": "float32", "int8": "int8", "bf16": "bfloat16"}

log = structlog.get_logger(__name__)


class EncodingModel:
    """A `ctranslate2.models.Whisper` whose `encode` is answered by OpenVINO; everything else is its own."""

    def __init__(self, model: Any, encoder: CompiledEncoder, view: Callable[[Floats], Any]) -> None:
        """`view`: an array -> ctranslate2's `StorageView` of it, without a copy."""
        self._model = model
        self._encoder = encoder
        self._view = view

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def encode(self, features: Any, to_cpu: bool = False) -> Any:
        """Mel bands (windows, bands, frames) -> what `generate`, `align` and `detect_language` take.

        What OpenVINO cannot do, ctranslate2 does: it is loaded anyway.
        """
        mel = np.asarray(features)
        if self._encoder.takes(mel.shape):
            try:
                return self._view(self._encoder.encode(mel))
            except EncoderUnavailable as error:
                log.warning("ctranslate2 encodes this window: %s", error, action="encoder_failed")
        return self._model.encode(features, to_cpu=to_cpu)


@dataclass(frozen=True, slots=True)
class EncoderReference:
    """ctranslate2's side of the comparison.

    `encode`: in the type that is loaded; `exact`: loads a copy in float32 and returns its encode; `decode`: writes a
    text of fixed length from an encoder output; `windows`: three sounds as mel bands (1, bands, 3000), made when they
    are needed; `facts`: what else decides its output and its time, such as ctranslate2's version.
    """

    device: str
    compute_type: str
    facts: tuple[str, ...]
    encode: Encode
    exact: Callable[[], Encode]
    decode: Callable[[Floats], object]
    windows: Callable[[], Sequence[Floats]]


def choose(
    wanted: Setting,
    file: Path,
    sha256: Callable[[], str],
    *,
    reference: EncoderReference,
    slots: int,
    findings: Findings,
    spare_bytes: int | None = None,
) -> CompiledEncoder | None:
    """OpenVINO's encoder for the model `file`, or None: ctranslate2 encodes, and one log line gives the reason.

    `sha256` gives the file's; `slots`: encodes at a time; `spare_bytes`: memory that a copy of the model in float32 may
    take for a moment, None for as much as it needs. Blocks for seconds, the first time for some ten encodes. Raises
    `ModelMisconfigured` when OpenVINO was asked for by name and cannot be used.
    """
    if wanted == "ctranslate2":
        return None
    here = cpu.here()
    finding: EncoderFinding | None = None
    try:
        weights = _weights(file, reference.device)
        name = key(sha256(), here, graph.version(), *reference.facts, wanted)
        compiled, finding = _known(findings, name, weights, slots)
        if finding is None:
            trial = _Trial(weights, reference, slots, spare_bytes, precisions(here.flags, reference.compute_type))
            compiled, finding = trial.outcome(comparison.GAIN if wanted == "auto" else 0.0)
            findings.keep(name, finding)
        if compiled is None:
            raise EncoderUnavailable("; ".join(finding.reasons))
    except EncoderUnavailable as error:
        if wanted == "openvino":
            step = "STTD_ENCODER=auto uses it where it can"
            raise ModelMisconfigured(f"STTD_ENCODER=openvino cannot be used: {error}; {step}") from error
        facts = {"action": "encoder", "encoder": "ctranslate2", "cpu": here.level, **_facts(finding)}
        log.info("the encoder is ctranslate2: %s (CPU: %s)", error, here.level, **facts)
        return None
    _report(compiled, finding, here)
    return compiled


def _weights(file: Path, device: str) -> EncoderFile:
    if device != "cpu":
        raise EncoderUnavailable(f"OpenVINO encodes on the CPU only, the model is on {device}")
    return EncoderFile(file)


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


class _Trial:
    """One comparison: the gain of each arithmetic of OpenVINO against ctranslate2."""

    def __init__(
        self,
        file: EncoderFile,
        reference: EncoderReference,
        slots: int,
        spare_bytes: int | None,
        kinds: Sequence[Precision],
    ) -> None:
        log.info("comparing the two encoders, once for this model and CPU", action="encoder")
        self._file = file
        self._reference = reference
        self._slots = slots
        self._kinds = kinds
        self._windows = reference.windows()[: None if len(kinds) > 1 else FLOAT32_SOUNDS]
        roomy = spare_bytes is None or ROOM_FACTOR * file.float32_bytes <= spare_bytes
        self._against = "float32" if roomy else reference.compute_type
        exact = reference.exact() if roomy else reference.encode
        self._expected = [exact(window) for window in self._windows]
        self._theirs = comparison.least_cosine([reference.encode(window) for window in self._windows], self._expected)

    def outcome(self, least_gain: float) -> tuple[CompiledEncoder | None, EncoderFinding]:
        """The first arithmetic that is near enough and gains enough, compiled; or None and the reasons."""
        reasons: list[str] = []
        ours = gain = None
        for kind in self._kinds:
            try:
                compiled = CompiledEncoder(self._file, kind, self._slots)
                ours = self._nearness(compiled, kind)
                gain = self._gain(compiled)
            except EncoderUnavailable as error:
                reasons.append(f"OpenVINO in {NAMES[kind]}: {error}")
                continue
            if gain >= least_gain:
                return compiled, EncoderFinding(kind, ours, self._theirs, self._against, gain, tuple(reasons))
            reasons.append(f"OpenVINO in {NAMES[kind]} gains nothing here ({gain:.2f} times less core time for a note)")
        return None, EncoderFinding(None, ours, self._theirs, self._against, gain, tuple(dict.fromkeys(reasons)))

    def _nearness(self, compiled: CompiledEncoder, kind: Precision) -> float:
        """The least cosine to what is expected. Raises `EncoderUnavailable` when it is not near enough."""
        count = FLOAT32_SOUNDS if kind == "f32" else len(self._windows)
        ours = comparison.least_cosine([compiled.encode(mel) for mel in self._windows[:count]], self._expected[:count])
        comparison.refuse_unlike(ours, self._least(kind), self._against)
        return ours

    def _least(self, kind: Precision) -> float:
        if self._against != "float32":
            return comparison.NEAR_LOADED["int8" if self._against.startswith("int8") else "other"]
        return comparison.SAME if kind == "f32" else 1 - comparison.ROUNDING * (1 - self._theirs)

    def _gain(self, compiled: CompiledEncoder) -> float:
        """Judged for a whole note: what decoding costs is the same for both and makes the difference smaller."""
        mel, reference = self._windows[0], self._reference
        reference.decode(self._expected[0])  # its first run is not measured
        return comparison.gain(
            Timed(lambda: reference.decode(compiled.encode(mel))),
            Timed(lambda: reference.decode(reference.encode(mel))),
        )


def _known(
    findings: Findings, name: str, file: EncoderFile, slots: int
) -> tuple[CompiledEncoder | None, EncoderFinding | None]:
    """What an earlier start found, where later ones may rely on it."""
    finding = findings.recall(name)
    if finding is None or not finding.lasting:
        return None, None
    return CompiledEncoder(file, finding.precision, slots) if finding.precision else None, finding


def _facts(finding: EncoderFinding | None) -> dict[str, object]:
    if finding is None:
        return {}
    return {
        "cosine": finding.ours,
        "cosine_ctranslate2": finding.theirs,
        "against": finding.against,
        "gain": finding.gain,
    }


def _report(compiled: CompiledEncoder, finding: EncoderFinding, here: cpu.Cpu) -> None:
    log.info(
        "the encoder is OpenVINO in %s: a note takes %.2f times ctranslate2's processor time; CPU: %s",
        NAMES[compiled.precision],
        1 / (finding.gain or 1),
        here.level,
        action="encoder",
        encoder=compiled.name,
        precision=compiled.precision,
        cpu=here.level,
        **_facts(finding),
    )
