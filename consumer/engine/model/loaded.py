"""The model itself: the only file that imports faster_whisper and ctranslate2.

The imports are lazy: the environment must be set first. Loads a model from a directory, never from the network, and
puts the gate between faster-whisper and ctranslate2. Never decides what to transcribe or when.
"""

import copy
import importlib
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

from sttd.consumer.engine import environment
from sttd.consumer.engine.abilities import HINTS, Abilities
from sttd.consumer.engine.model import batches, confidence, cpu, encoder, guards, seven_bits, stock_encoder
from sttd.consumer.engine.model.confidence import Calibration
from sttd.consumer.engine.model.contexts import FULL, MEASURED, Contexts, Reruns, ShortContextModel
from sttd.consumer.engine.model.findings import Findings, own_cache, sha256
from sttd.consumer.engine.model.gated import GatedModel
from sttd.consumer.engine.model.hotworded import HotwordedModel
from sttd.consumer.engine.model.model_file import ModelFileUnreadable
from sttd.consumer.engine.model.one_sound import OneSound
from sttd.consumer.engine.model.segments import RawSegment
from sttd.consumer.engine.model.spectrogram import WindowedExtractor
from sttd.consumer.engine.model.speech import Detector
from sttd.consumer.engine.schedule.scheduler import Scheduler
from sttd.consumer.engine.transcriber import JobOptions
from sttd.consumer.errors import ModelMisconfigured, ModelUnavailable, first_line
from sttd.consumer.pcm import SAMPLE_RATE, Pcm
from sttd.schemas import languages
from sttd.schemas.reply import ModelInfo, Segment

TEMPERATURE_LADDER: Final = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Whisper's fallback: each next temperature is tried while the text repeats itself or is improbable."""

GPU_WORKERS: Final = 4
"""Parallel calls on one GPU: more cost memory each and gain nothing."""

MODEL_FILE: Final = "model.bin"

NEXT_STEP: Final = (
    "if its files are damaged, fetch, copy or convert them again; if memory is short, take a smaller model or "
    "STTD_COMPUTE_TYPE=int8"
)
"""After ctranslate2 could not load the files; its text rarely tells one cause from the other."""

_PREFERRED: Final = {"cpu": ("int8", "float32"), "cuda": ("float16", "float32")}


class LoadedModel:
    """A model in memory. Its methods block and may be called from many threads; each ctranslate2 call passes `gate`."""

    def __init__(
        self,
        whisper: Any,
        *,
        info: ModelInfo,
        gate: Scheduler,
        contexts: Contexts = FULL,
        calibrations: Mapping[str, Calibration] = confidence.NONE,
    ) -> None:
        """`whisper`: a `faster_whisper.WhisperModel`, whose `model` is wrapped here. `calibrations`: by language."""
        kind = GatedModel
        if batches.can_coalesce(whisper.model):
            kind = batches.CoalescedModel if info.device == "cuda" else batches.CoalescedDecoder
        whisper.model = kind(whisper.model, gate)
        self.reruns = Reruns()
        self._contexts = contexts
        self._calibrations = calibrations
        if contexts.short:
            view = importlib.import_module("ctranslate2").StorageView.from_array
            whisper.model = ShortContextModel(whisper.model, contexts, whisper.hf_tokenizer, view, self.reruns)
        whisper.feature_extractor = WindowedExtractor(whisper.feature_extractor)
        self._whisper = whisper
        self.speech = Detector(importlib.import_module("faster_whisper.vad"))
        self._never_said = _never_said(whisper)
        self.info = info
        self.gate = gate
        self.abilities = Abilities(
            engine="whisper",
            model=info.name,
            languages=frozenset(code for code in languages.CODES if self.knows(code)),
            translates=True,
            hints=frozenset(HINTS),
            word_times=True,
        )

    @property
    def multilingual(self) -> bool:
        """Whether it is multilingual."""
        return bool(self._whisper.model.is_multilingual)

    def knows(self, language: str) -> bool:
        """Whether its vocabulary holds this language (`yue` came with large-v3).

        An English-only model writes English for all.
        """
        return not self.multilingual or self._whisper.hf_tokenizer.token_to_id(f"<|{language}|>") is not None

    def fits_prompt(self, words: str) -> bool:
        """Whether all of them are used: faster-whisper cuts hotwords at half of the longest text."""
        tokens = self._whisper.hf_tokenizer.encode(f" {words}", add_special_tokens=False)
        return len(tokens) < int(self._whisper.max_length) // 2

    def first_window(self, sound: Pcm) -> Any:
        """The first 30 s, encoded: the same input that `segments` begins with.

        `sound`: mono, shape (samples,), 16 kHz. So one encoding serves language and text.
        """
        audio = importlib.import_module("faster_whisper.audio")
        extractor = self._whisper.feature_extractor
        features = extractor(sound)
        frames = min(extractor.nb_max_frames, features.shape[-1] - 1)
        return self._whisper.encode(audio.pad_or_trim(features[:, :frames]))

    def languages(self, encoded: Any) -> dict[str, float]:
        """The probability of each language of the model, from an encoded window."""
        return {token[2:-2]: probability for token, probability in self._whisper.model.detect_language(encoded)[0]}

    def segments(self, sound: Pcm, language: str, options: JobOptions, *, first: Any = None) -> Iterable[RawSegment]:
        """Transcribe lazily: each step of the iteration computes up to one window of 30 s.

        `sound`: mono, shape (samples,), 16 kHz. `language`: a code. `first`: what `first_window`
        gave for the same sound. Times are those of the sound.
        """
        whisper = copy.copy(self._whisper)
        whisper.model = OneSound(self._whisper.model, first, rests=not self._contexts.short)
        if options.hotwords:
            whisper.model = HotwordedModel(whisper.model, whisper.hf_tokenizer, options.hotwords, whisper.max_length)
        segments, _ = whisper.transcribe(
            sound,
            language=language if self.multilingual else "en",
            task=options.task,
            beam_size=options.beam_size,
            temperature=list(TEMPERATURE_LADDER) if options.temperature is None else [options.temperature],
            condition_on_previous_text=options.condition_on_previous_text,
            initial_prompt=options.initial_prompt,
            hotwords=options.hotwords,
            suppress_tokens=[*self._never_said],  # a list of its own: faster-whisper adds to it
            word_timestamps=options.word_timestamps,
            vad_filter=False,
            no_speech_threshold=self._silence_from(sound),
        )
        return cast("Iterable[RawSegment]", segments)

    def _silence_from(self, sound: Pcm) -> float:
        """Whisper's own threshold, and a lower one where that was measured."""
        lower = self._calibrations and sound.size >= guards.LONG_ENOUGH * SAMPLE_RATE
        return guards.UNHEARD if lower else guards.NEVER_SPEECH

    def rated(self, segments: list[Segment], language: str, options: JobOptions) -> list[Segment]:
        """The same with their confidence, where that was measured for this model, language and task."""
        calibration = self._calibrations.get(language) if options.task == "transcribe" else None
        return calibration.rated(segments) if calibration else segments


def _never_said(whisper: Any) -> tuple[int, ...]:
    """What faster-whisper suppresses by default (-1), looked up once and not for every note."""
    tokenizer = importlib.import_module("faster_whisper.tokenizer").Tokenizer(whisper.hf_tokenizer, False)
    tokens: tuple[int, ...] = tokenizer.non_speech_tokens
    return tokens


def detector() -> Detector:
    """Voice detection alone, without a model: what other engines hear speech with."""
    environment.prepare()
    return Detector(importlib.import_module("faster_whisper.vad"))


def load(
    path: Path,
    *,
    name: str,
    device: str,
    compute_type: str,
    slots: int,
    gate: Scheduler,
    encoding: encoder.Setting = "ctranslate2",
    contexts: Contexts | None = FULL,
    findings: Path | None = None,
    spare_bytes: int | None = None,
) -> LoadedModel:
    """Load the model in directory `path`. Blocks for seconds; makes no network call.

    `device`: `auto`, `cpu` or `cuda`; `compute_type`: ctranslate2's name or `auto`; `slots`: calls at a time, one core
    each on a CPU; `encoding`: who encodes; `contexts`: how much of a window is read, None for what was measured to be
    enough for this model; `findings`: where the comparison of encoders is kept, None for this user's cache;
    `spare_bytes`: as in `encoder.choose`. Raises `ModelUnavailable` when the device, the type, the files or the encoder
    cannot be used.
    """
    faster_whisper, ctranslate2 = _libraries()
    wanted, device = device, _device(ctranslate2, device)
    files = _seven_bits(path, device) if compute_type == "auto" else None
    compute_type = _compute_type(ctranslate2, device, compute_type, settled=device in {wanted, "cuda"})
    whisper = _whisper(faster_whisper, path, name, device, compute_type, slots, files)
    digest = cache(lambda: sha256(path / MODEL_FILE))  # seconds for a large file, and not every start needs it
    contexts = _contexts(whisper.model, contexts, digest)
    stock = f"faster-whisper {faster_whisper.__version__}" + (" in 7 bits" if files else "")
    engine = " + ".join(
        [stock, *_encode_elsewhere(whisper, stock, path, digest, encoding, slots, findings, spare_bytes)]
    )
    info = ModelInfo(name=name, engine=engine, device=device, compute_type=whisper.model.compute_type)
    calibrations = confidence.known((path / MODEL_FILE).stat().st_size, digest)
    return LoadedModel(whisper, info=info, gate=gate, contexts=contexts, calibrations=calibrations)


def _seven_bits(path: Path, device: str) -> dict[str, bytes] | None:
    """The model's files with weights of seven bits, where this CPU needs them and the file has more."""
    if device != "cpu" or not seven_bits.saturates(cpu.here()):
        return None
    try:
        narrowed = seven_bits.narrowed(path / MODEL_FILE)
        others = {file.name: file.read_bytes() for file in path.iterdir() if file.is_file() and file.name != MODEL_FILE}
    except (ModelFileUnreadable, OSError):  # whatever it is, loading the model tells it better
        return None
    return None if narrowed is None else {MODEL_FILE: narrowed, **others}


def _whisper(
    faster_whisper: Any,
    path: Path,
    name: str,
    device: str,
    compute_type: str,
    slots: int,
    files: dict[str, bytes] | None,
) -> Any:
    try:
        whisper = faster_whisper.WhisperModel(
            str(path),
            files=files and dict(files),  # faster-whisper takes out what is its own
            device=device,
            compute_type=compute_type,
            cpu_threads=1,
            num_workers=slots if device == "cpu" else min(slots, GPU_WORKERS),
            local_files_only=True,
        )
    except Exception as error:
        raise ModelUnavailable(f"model {name!r} does not load from {path}: {first_line(error)}; {NEXT_STEP}") from error
    if whisper.feature_extractor.sampling_rate != SAMPLE_RATE:
        raise ModelUnavailable(
            f"model {name!r} needs {whisper.feature_extractor.sampling_rate} Hz; Whisper models take {SAMPLE_RATE}"
        )
    return whisper


def _contexts(model: Any, wanted: Contexts | None, digest: Callable[[], str]) -> Contexts:
    """Short ones need a CPU and numpy's numbers: there encoder outputs are cut."""
    possible = model.device == "cpu" and batches.can_coalesce(model)
    if wanted is None:
        return MEASURED.get(digest(), FULL) if possible else FULL
    if wanted.short and not possible:
        raise ModelMisconfigured(
            f"short contexts work on a CPU and not in bfloat16, the model is {model.compute_type} on {model.device}: "
            "set STTD_ENCODER_CONTEXT=full"
        )
    return wanted


def _encode_elsewhere(
    whisper: Any,
    stock: str,
    path: Path,
    digest: Callable[[], str],
    wanted: encoder.Setting,
    slots: int,
    findings: Path | None,
    spare_bytes: int | None,
) -> list[str]:
    """Let another encoder answer `whisper.model.encode` where it is wanted and as exact; its name, if any."""
    ctranslate2 = importlib.import_module("ctranslate2")
    found = encoder.choose(
        wanted,
        path / MODEL_FILE,
        digest,
        reference=stock_encoder.of(ctranslate2, whisper, path, stock),
        slots=slots,
        findings=Findings(findings or own_cache() / "encoders"),
        spare_bytes=spare_bytes,
    )
    if found is None:
        return []
    whisper.model = encoder.EncodingModel(whisper.model, found, ctranslate2.StorageView.from_array)
    return [found.name]


def _libraries() -> tuple[Any, Any]:
    """Import them with the environment that they read at import; what the operator has set stays."""
    environment.prepare()
    libraries = importlib.import_module("faster_whisper"), importlib.import_module("ctranslate2")
    logging.getLogger("faster_whisper").setLevel(logging.WARNING)  # it logs for each note; that is the daemon's task
    return libraries


def _device(ctranslate2: Any, wanted: str) -> str:
    found = bool(ctranslate2.get_cuda_device_count())
    if wanted == "cuda" and not found:
        raise ModelUnavailable(
            "STTD_DEVICE=cuda, but there is no CUDA device here; set STTD_DEVICE=cpu, or give the process a GPU"
        )
    return ("cuda" if found else "cpu") if wanted == "auto" else wanted


def _compute_type(ctranslate2: Any, device: str, wanted: str, *, settled: bool) -> str:
    """Ctranslate2's name. `settled`: no GPU that comes later, with its driver, would be taken instead."""
    supported = ctranslate2.get_supported_compute_types(device)
    if wanted == "auto":
        return next((kind for kind in _PREFERRED[device] if kind in supported), "default")
    if wanted not in supported:
        kind = ModelMisconfigured if settled else ModelUnavailable
        raise kind(
            f"this {device} does not support STTD_COMPUTE_TYPE={wanted}; set one of: auto, "
            f"{', '.join(sorted(supported))}"
        )
    return wanted
