"""Short contexts: what is cut, what is doubtful, and that a doubtful result is computed again with all 30 s."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from faster_whisper.audio import decode_audio
from structlog.testing import capture_logs

from sttd.consumer.engine.model import loaded as models
from sttd.consumer.engine.model.contexts import (
    DYNAMIC,
    FULL,
    MARGIN,
    MEASURED,
    Contexts,
    Doubts,
    Reruns,
    ShortContextModel,
    audio_frames,
)
from sttd.consumer.engine.model.whisper import WhisperTranscriber
from sttd.consumer.engine.schedule.scheduler import Scheduler
from sttd.consumer.engine.transcriber import Job, JobOptions
from sttd.consumer.errors import ModelMisconfigured
from sttd.consumer.models import demo_directory
from tests.support.notes import short_notes

TEXT_END, NO_TIMES = 1000, 1001
OPTIONS = {"max_length": 448, "length_penalty": 1}
BELOW_8_S = Contexts(longest=800, margin=1000)
NOTES = short_notes()[:3]


class Words:
    """A vocabulary of numbered words."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def token_to_id(self, token: str) -> int | None:
        return {"<|endoftext|>": TEXT_END, "<|notimestamps|>": NO_TIMES}[token]

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(self.words[number] for number in ids)


def said(*tokens: int, seconds: float = 1.0, score: float = -0.2) -> Any:
    """What ctranslate2 gives for one window: a first timestamp, the tokens, a last one."""
    return SimpleNamespace(
        sequences_ids=[[NO_TIMES + 1, *tokens, NO_TIMES + 1 + round(seconds / 0.02)]], scores=[score]
    )


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (said(0, 1, 2), None),
        (said(0, 1, 2, seconds=2.9), None),
        (said(0, 1, 2, seconds=3.2), "late"),
        (said(), "empty"),
        (said(0, 1, 2, score=-1.6), "improbable"),
        (said(0, 1, 2, 0, 1, 2), "repetition"),
        (said(*[0] * 6), "repetition"),
        (said(3, 4, 5, 6, 7), "dense"),
        (said(*range(222)), "unfinished"),
    ],
)
def test_a_result_is_doubted_for_what_it_shows(result: Any, reason: str | None) -> None:
    """A decoder with a shorter input than in training loops, falls silent or does not stop: each is detected."""
    long_words = "непосредственно государственный предпринимательство здравоохранение коммуникация".split()
    doubts = Doubts(Words("купил", "хлеб", "вчера", *long_words, *(str(number) for number in range(300))))
    assert doubts.of(result, 3, 200, OPTIONS) == reason


def test_the_padding_of_a_window_is_found_by_its_zeros() -> None:
    """faster-whisper pads before it encodes; no argument has the length."""
    mel = np.zeros((1, 80, 3000), np.float32)
    assert audio_frames(mel) == 0
    mel[0, 40, 311] = -0.3
    assert audio_frames(mel) == 312


class Counted:
    """A ctranslate2 model that records its calls with their lengths; the first answers are scripted."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[str, int]] = []
        self.longest: list[int] = []

    def encode(self, features: Any, to_cpu: bool) -> Any:
        self.calls.append(("encode", features.shape[2]))
        return np.zeros((1, features.shape[2] // 2, 4), np.float32)

    def generate(self, features: Any, prompts: Any, **options: Any) -> Any:
        self.calls.append(("generate", features.shape[1]))
        self.longest.append(options["max_length"])
        return [self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]]

    def align(self, features: Any) -> None:
        self.calls.append(("align", features.shape[1]))

    def detect_language(self, features: Any) -> Any:
        """Sure with all 30 s only."""
        self.calls.append(("detect", features.shape[1]))
        return [[("<|ru|>", 0.9 if features.shape[1] == 1500 else 0.4)]]


def window(seconds: float) -> Any:
    """A padded window."""
    mel = np.zeros((1, 80, 3000), np.float32)
    mel[:, :, : int(100 * seconds)] = 0.5
    return mel


def short(inner: Counted, contexts: Contexts) -> tuple[ShortContextModel, Reruns]:
    """The model under test over that one."""
    reruns = Reruns()
    return ShortContextModel(inner, contexts, Words("купил", "хлеб"), lambda array: array, reruns), reruns


@pytest.mark.parametrize(("prompt", "longest"), [(3, 2 * (16 + 10 * 3)), (100, 100 + 16 + 10 * 3)])
def test_a_loop_of_a_short_window_ends_early_and_is_computed_again_with_all_tokens(prompt: int, longest: int) -> None:
    """Four windows that loop up to 224 tokens need 330 MiB, more than the memory bound counts (issue 14)."""
    inner = Counted(said(*[0] * (16 + 10 * 3)), said(0, 1))
    model, reruns = short(inner, BELOW_8_S)
    results = model.generate(model.encode(window(3)), [[1] * prompt], **OPTIONS)
    assert inner.longest == [longest, 448]
    assert (reruns.counts, results[0].sequences_ids[0][1:-1]) == ({"unfinished": 1}, [0, 1])


@pytest.mark.parametrize(("contexts", "encoded", "read"), [(DYNAMIC, 600, 300), (BELOW_8_S, 1300, 650)])
def test_a_short_note_is_read_with_its_margin(contexts: Contexts, encoded: int, read: int) -> None:
    """3 s and the margin, up to the next whole second."""
    inner = Counted(said(0, 1))
    model, reruns = short(inner, contexts)
    first = model.encode(window(3))
    model.generate(first, [[1, 2, 3]], **OPTIONS)
    model.align(first)
    assert inner.calls == [("encode", encoded), ("generate", read), ("align", read)]
    assert reruns.counts == {}


@pytest.mark.parametrize(("contexts", "seconds"), [(DYNAMIC, 30 - MARGIN / 100 + 0.1), (BELOW_8_S, 8.01)])
def test_a_window_with_more_audio_is_read_whole(contexts: Contexts, seconds: float) -> None:
    """Nothing to gain or too many errors; nothing to doubt."""
    inner = Counted(said(score=-9.0))
    model, _ = short(inner, contexts)
    model.generate(model.encode(window(seconds)), [[1]], **OPTIONS)
    assert inner.calls == [("encode", 3000), ("generate", 1500)]


def test_a_doubtful_result_is_computed_again_in_full_and_the_window_stays_full() -> None:
    """Higher temperatures and word times then get what stock faster-whisper gets.

    Each time is counted and logged, without its text.
    """
    full = said(0, 1)
    inner = Counted(said(0, 1, score=-3.0), full)
    model, reruns = short(inner, DYNAMIC)
    first = model.encode(window(3))
    with capture_logs() as lines:
        assert model.generate(first, [[1, 2, 3]], **OPTIONS) == [full]
    model.generate(first, [[1, 2, 3]], **OPTIONS)
    model.align(first)
    assert inner.calls[2:] == [("encode", 3000), ("generate", 1500), ("generate", 1500), ("align", 1500)]
    assert reruns.counts == {"improbable": 1}
    assert [(line["action"], line["reason"]) for line in lines] == [("context_rerun", "improbable")]


def test_a_language_that_is_not_sure_is_looked_for_in_the_full_context() -> None:
    """The text after it is then read in full too."""
    inner = Counted(said(0, 1))
    model, reruns = short(inner, DYNAMIC)
    assert model.detect_language(model.encode(window(3)))[0][0][1] == 0.9
    assert inner.calls == [("encode", 600), ("detect", 300), ("encode", 3000), ("detect", 1500)]
    assert reruns.counts == {"unsure": 1}


@pytest.mark.parametrize("contexts", [DYNAMIC, BELOW_8_S])
async def test_the_samples_say_the_same_with_short_contexts(contexts: Contexts) -> None:
    """On the model at hand; for any other, test with the user's own audio (docs/engine.md)."""
    loaded = models.load(
        demo_directory(), name="demo", device="cpu", compute_type="auto", slots=2, gate=Scheduler(2), contexts=contexts
    )
    engine = WhisperTranscriber(loaded, threads=2)
    await engine.self_test()
    assert engine.context_reruns == {}
    for sample in NOTES:
        options = replace(RU, language="auto", temperature=0.0)
        heard = await engine.transcribe(Job(decode_audio(str(sample.path)), options))
        assert heard.text.lower().strip(" .") == sample.text.lower().strip(" .")
    assert await engine.close(20)


def test_what_cannot_be_cut_is_said_at_the_start() -> None:
    """A setting without effect would not be noticed."""
    with pytest.raises(ModelMisconfigured, match="STTD_ENCODER_CONTEXT=full"):
        models._contexts(SimpleNamespace(device="cuda", compute_type="float16"), DYNAMIC, lambda: "any")
    assert models._contexts(SimpleNamespace(device="cuda", compute_type="float16"), FULL, lambda: "any") is FULL


def test_a_model_that_was_measured_is_read_short_and_others_are_not() -> None:
    """What holds for `base` was not shown for any other; on a GPU nothing is cut."""
    ((base, short),) = MEASURED.items()
    cpu = SimpleNamespace(device="cpu", compute_type="int8_float32")
    gpu = SimpleNamespace(device="cuda", compute_type="float16")
    assert [
        models._contexts(*asked)
        for asked in ((cpu, None, lambda: base), (cpu, None, lambda: "other"), (gpu, None, lambda: base))
    ] == [short, FULL, FULL]


RU = JobOptions("ru", "ru", word_timestamps=True)
