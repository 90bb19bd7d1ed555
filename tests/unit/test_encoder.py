"""The choice of the encoder: the comparison, what each setting makes of its outcome, both encoders on real weights."""

import importlib.util
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import pytest
from structlog.testing import capture_logs

from sttd.consumer.engine.model import comparison, cpu, encoder
from sttd.consumer.engine.model import loaded as model
from sttd.consumer.engine.model.comparison import cosine
from sttd.consumer.engine.model.encoder import EncoderReference, EncodingModel
from sttd.consumer.engine.model.findings import Findings
from sttd.consumer.engine.model.graph import CompiledEncoder, Precision, refuse_slow_products
from sttd.consumer.engine.model.model_file import Floats
from sttd.consumer.engine.model.weights import EncoderFile, EncoderUnavailable
from sttd.consumer.engine.schedule.scheduler import Scheduler
from sttd.consumer.engine.transcriber import JobOptions
from sttd.consumer.errors import ModelMisconfigured
from sttd.consumer.models import demo_directory
from tests.support import random_model
from tests.support.notes import short_notes

needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="openvino is for x86-64 under Linux"
)
MEL = np.zeros((1, 80, 3000), np.float32)


@pytest.mark.parametrize(
    ("flags", "compute_type", "tried"),
    [
        ("amx_bf16 avx512_bf16 avx512_vnni", "int8_float32", ("bf16", "int8", "f32")),
        ("amx_bf16 avx512_bf16 avx512_vnni", "bfloat16", ("bf16", "f32")),
        ("avx512_bf16 avx512_vnni", "int8_float32", ("int8", "f32")),
        ("avx_vnni", "int8", ("int8", "f32")),
        ("avx2", "int8_float32", ("f32",)),
        ("amx_bf16 avx512_vnni", "float32", ("f32",)),
        ("", "int8", ("f32",)),
    ],
)
def test_what_is_tried_follows_the_cpu_and_is_never_less_exact_than_asked(
    flags: str, compute_type: str, tried: tuple[Precision, ...]
) -> None:
    """bfloat16 without AMX is slower than float32; and who asks for float32 gets float32."""
    assert encoder.precisions(frozenset(flags.split()), compute_type) == tried


@pytest.mark.parametrize("kernels", [["jit_gemm_bf16"], ["brgemm_avx512_amx_bf16", "jit_gemm_bf16"], []])
def test_bfloat16_without_amx_is_refused_before_it_encodes(kernels: list[str]) -> None:
    """With AMX among the flags and a limit below it, one encode takes more than 20 s; a start would hang."""
    with pytest.raises(EncoderUnavailable, match="AMX"):
        refuse_slow_products(kernels)


def test_bfloat16_with_amx_is_accepted() -> None:
    """The kernel's name on a CPU with AMX, as OpenVINO reports it."""
    refuse_slow_products(["brgemm_avx512_amx_bf16"] * 24)


def unreachable(*_: object) -> Any:
    """A part of the comparison that must not run."""
    raise AssertionError


def reference(**given: Any) -> EncoderReference:
    """ctranslate2's side, none of which may be used but what is given."""
    parts = dict.fromkeys(("encode", "exact", "decode", "windows"), unreachable)
    facts = {"device": "cpu", "compute_type": "int8_float32", "facts": ("4",)}
    return EncoderReference(**{**parts, **facts, **given})


def choose(wanted: encoder.Setting, directory: Path, findings: Path, **given: Any) -> CompiledEncoder | None:
    """The choice for one slot."""
    file, side = directory / "model.bin", reference(**given)
    return encoder.choose(wanted, file, lambda: "sha256", reference=side, slots=1, findings=Findings(findings))


def test_ctranslate2_by_name_asks_nobody(tmp_path: Path) -> None:
    """The way out when the other one is in doubt: no file is read, nothing is compiled."""
    with capture_logs() as lines:
        assert choose("ctranslate2", tmp_path / "nowhere", tmp_path) is None
    assert lines == []


@pytest.mark.parametrize(
    ("directory", "device", "reason"), [("nowhere", "cpu", "No such file"), ("nowhere", "cuda", "on the CPU only")]
)
def test_auto_goes_on_with_ctranslate2_and_says_why_once(
    directory: str, device: str, reason: str, tmp_path: Path
) -> None:
    """A slower daemon is a working one; the one line is where an operator finds out."""
    with capture_logs() as lines:
        assert choose("auto", tmp_path / directory, tmp_path, device=device) is None
    (line,) = lines
    assert (line["action"], line["encoder"], line["log_level"]) == ("encoder", "ctranslate2", "info")
    assert reason in line["event"]


def test_openvino_by_name_is_an_error_where_it_cannot_be_had(tmp_path: Path) -> None:
    """Who asks by name has counted on its speed."""
    with pytest.raises(ModelMisconfigured, match=r"STTD_ENCODER=openvino .*No such file.*; STTD_ENCODER=auto"):
        choose("openvino", tmp_path, tmp_path)


def test_without_the_library_ctranslate2_encodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is optional: ARM machines and slim images have none."""
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ModelMisconfigured, match="openvino is not installed"):
        choose("openvino", demo_directory(), tmp_path)
    assert choose("auto", demo_directory(), tmp_path) is None


@needs_openvino
def test_importing_the_library_tells_nobody(tmp_path: Path) -> None:
    """By default it reports its import to its makers; our daemon opens only the connections that are configured."""
    script = (
        "import sys\n"
        "seen = []\n"
        "sys.addaudithook(lambda name, _: seen.append(name) if name.startswith(('socket.', 'subprocess.', "
        "'urllib.')) else None)\n"
        "from sttd.consumer.engine.model import graph\n"
        "graph.library()\n"
        "import openvino.tools.ovc\n"
        "print(seen)\n"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout.strip(), list(tmp_path.iterdir())) == ("[]", [])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for models of two layers with 128 bands, one for each stored type."""
    return tmp_path_factory.mktemp("models")


def as_ctranslate2(directory: Path, mel: Floats, compute_type: str = "float32") -> Floats:
    """What ctranslate2 encodes, in float32 by default."""
    found = ctranslate2.models.Whisper(str(directory), device="cpu", compute_type=compute_type)
    return np.asarray(found.encode(ctranslate2.StorageView.from_array(mel)))


@needs_openvino
@pytest.mark.parametrize("stored", random_model.STORED)
def test_each_stored_type_gives_what_ctranslate2_gives(stored: str, small: Path) -> None:
    """Models on the Hub are stored in any of these; large-v3 and turbo have 128 bands."""
    directory = random_model.build(random_model.Size(128, 2, 2, 1, mels=128), small / stored, stored=stored)
    mel = np.random.default_rng(1).standard_normal((1, 128, 3000)).astype(np.float32)
    ours = CompiledEncoder(EncoderFile(directory / "model.bin"), "f32", 1).encode(mel)
    theirs = as_ctranslate2(directory, mel)
    assert ours.shape == theirs.shape == (1, 1500, 128)
    assert cosine(ours, theirs) > 0.999999
    assert np.abs(ours - theirs).max() < 1e-3


@pytest.fixture(scope="module")
def speech() -> Floats:
    """The sound of the self-test as the bundled model gets it."""
    extractor = importlib.import_module("faster_whisper.feature_extractor").FeatureExtractor()
    mel = np.zeros((1, 80, 3000), np.float32)
    features = extractor(comparison.pseudo_speech())
    mel[0, :, : features.shape[1]] = features
    return mel


@needs_openvino
@pytest.mark.parametrize("precision", ["f32", "int8", "bf16"])
def test_each_arithmetic_is_as_near_to_float32_as_the_comparison_demands(precision: Precision, speech: Floats) -> None:
    """The bound is what ctranslate2's int8 reaches on this CPU: without VNNI its 8-bit products saturate (issue 11)."""
    exact = as_ctranslate2(demo_directory(), speech)
    theirs = cosine(as_ctranslate2(demo_directory(), speech, "int8"), exact)
    try:
        tried = CompiledEncoder(EncoderFile(demo_directory() / "model.bin"), precision, 1)
    except EncoderUnavailable as refused:
        # bfloat16 needs AMX in each of its kernels. A capped oneDNN has no int8 for what OpenVINO finds in the CPU; the
        # daemon tries the next arithmetic then.
        if precision == "bf16" or (precision == "int8" and cpu.here().caps):
            pytest.skip(str(refused))
        raise
    ours = cosine(tried.encode(speech), exact)
    assert ours >= (comparison.SAME if precision == "f32" else 1 - comparison.ROUNDING * (1 - theirs))


@pytest.fixture(scope="module")
def compiled() -> CompiledEncoder:
    """The bundled model's encoder for two calls at a time."""
    return CompiledEncoder(EncoderFile(demo_directory() / "model.bin"), "f32", 2)


@needs_openvino
def test_calls_of_many_threads_keep_their_results_apart(compiled: CompiledEncoder) -> None:
    """Requests are used again by the next call; what the one before got must not change under its hands."""
    mels = [np.random.default_rng(seed).standard_normal((1, 80, 3000)).astype(np.float32) for seed in range(4)]
    alone = [compiled.encode(mel).copy() for mel in mels]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(compiled.encode, mels * 2))
    for ours, expected in zip(together, alone * 2, strict=True):
        assert np.allclose(ours, expected, atol=1e-4)


@needs_openvino
def test_several_windows_in_one_call_are_encoded_one_by_one(compiled: CompiledEncoder) -> None:
    """No caller on a CPU does so today; the result must be what each window alone gives."""
    mel = np.random.default_rng(0).standard_normal((2, 80, 3000)).astype(np.float32)
    both = compiled.encode(mel)
    assert both.shape == (2, 1500, 192)
    assert np.allclose(both[1], compiled.encode(mel[1:])[0], atol=1e-4)


SIGNALLED = """
import os, signal, threading
from sttd.consumer.models import demo_directory
from sttd.consumer.engine.model.graph import CompiledEncoder
from sttd.consumer.engine.model.weights import EncoderFile

told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(True))
encoders = [CompiledEncoder(EncoderFile(demo_directory() / "model.bin"), "f32", 1)]
elsewhere = threading.Thread(target=encoders.clear)
elsewhere.start()
elsewhere.join()
os.kill(os.getpid(), signal.SIGTERM)
print("told" if told else "not told")
"""


@needs_openvino
def test_a_signal_after_the_encoder_is_gone_reaches_its_handler() -> None:
    """OpenVINO leaves an alternate signal stack in the compiling thread and frees it later.

    The signal was then a SIGSEGV.
    """
    done = subprocess.run([sys.executable, "-c", SIGNALLED], capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "told"), done.stderr


class Failing:
    """An encoder that takes everything and can do nothing."""

    def takes(self, shape: tuple[int, ...]) -> bool:
        return True

    def encode(self, mel: Floats) -> Floats:
        raise EncoderUnavailable("out of memory")


def views(encode: Any) -> tuple[EncodingModel, Any]:
    """The bundled model with another encoder, and as it is."""
    plain = ctranslate2.models.Whisper(str(demo_directory()), device="cpu", compute_type="float32")
    return EncodingModel(plain, encode, ctranslate2.StorageView.from_array), plain


@needs_openvino
@pytest.mark.parametrize("frames", [3000, 777, 2])
def test_windows_of_any_length_are_encoded(frames: int, compiled: CompiledEncoder) -> None:
    """Whole ones by OpenVINO, short ones by ctranslate2, and both are what the decoder takes."""
    hybrid, plain = views(compiled)
    features = ctranslate2.StorageView.from_array(np.ones((1, 80, frames), np.float32))
    encoded = hybrid.encode(features, to_cpu=False)
    assert isinstance(encoded, ctranslate2.StorageView)
    assert np.allclose(np.asarray(encoded), np.asarray(plain.encode(features)), atol=1e-3)
    assert hybrid.detect_language(encoded)[0][0] == plain.detect_language(encoded)[0][0]


def test_a_window_that_openvino_fails_on_is_encoded_by_ctranslate2() -> None:
    """The note is answered, and the log shows it."""
    hybrid, plain = views(Failing())
    features = ctranslate2.StorageView.from_array(MEL)
    with capture_logs() as lines:
        encoded = hybrid.encode(features)
    assert np.array_equal(np.asarray(encoded), np.asarray(plain.encode(features)))
    assert [(line["action"], line["log_level"]) for line in lines] == [("encoder_failed", "warning")]


RU = JobOptions("ru", "ru", temperature=0.0, vad=False)


class CountingGate(Scheduler):
    """Counts what passes."""

    calls = 0

    def run(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return super().run(*args, **kwargs)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, model.LoadedModel]:
    """The bundled model with either encoder."""
    findings = tmp_path_factory.mktemp("findings")
    kinds: tuple[encoder.Setting, ...] = ("ctranslate2", "openvino")
    return {
        kind: model.load(
            demo_directory(),
            name="demo",
            device="cpu",
            compute_type="auto",
            slots=1,
            gate=CountingGate(1),
            encoding=kind,
            findings=findings,
        )
        for kind in kinds
    }


@needs_openvino
def test_the_reply_says_who_encodes(models: dict[str, model.LoadedModel]) -> None:
    """Two workers that answer differently can be told apart."""
    assert models["ctranslate2"].info.engine.startswith("faster-whisper 1.")
    assert "OpenVINO" not in models["ctranslate2"].info.engine
    assert " + OpenVINO 20" in models["openvino"].info.engine


@needs_openvino
@pytest.mark.parametrize("note", short_notes(), ids=lambda note: note.file)
def test_the_text_is_the_same_with_either_encoder(note: Any, models: dict[str, model.LoadedModel]) -> None:
    """Speed must not change what a caller reads; and each encode still takes a slot at the gate."""
    pcm = importlib.import_module("faster_whisper.audio").decode_audio(str(note.path))
    texts, calls = [], []
    for loaded in models.values():
        before = loaded.gate.calls  # type: ignore[attr-defined]  # our own gate
        texts.append("".join(segment.text for segment in loaded.segments(pcm, note.language, RU)))
        calls.append(loaded.gate.calls - before)  # type: ignore[attr-defined]  # our own gate
    assert texts[0] == texts[1]
    assert calls[0] == calls[1]
