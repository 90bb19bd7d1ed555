"""The engine onnx around a model that reads letters from tones: every sound here has one right text.

Not one of these tests says how well a speech model hears: they show that nothing is lost, moved or cut around one.
"""

import asyncio
import hashlib
import importlib
import itertools
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sttd.consumer.engine.files.layouts import ONNX
from sttd.consumer.engine.model.loaded import detector
from sttd.consumer.engine.onnx import ctc
from sttd.consumer.engine.onnx.onnx_engine import OnnxTranscriber
from sttd.consumer.engine.schedule.scheduler import Scheduler
from sttd.consumer.engine.transcriber import Job, JobOptions, Transcription
from sttd.consumer.errors import JobStopped, ModelFailed, ModelMisconfigured, ModelUnavailable, RequestFailed
from sttd.consumer.pcm import SAMPLE_RATE, Pcm
from sttd.schemas.reply import Segment, Word
from tests.support import tone_model
from tests.support.tone_model import LETTER, MARGIN, pause, spoken, words

RU = JobOptions("ru", "ru")
TIMED = replace(RU, word_timestamps=True)
LIMIT = 25.0
FRAME = 0.04
REAL_VOCABULARY = "a9143c30844d3c0bee3e9e927e4084774eb1b9eeaafc473b2c4521e4911a7c07"
"""SHA-256 of `v3_vocab.txt` in istupakov/gigaam-v3-onnx."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tone model."""
    return tone_model.build(tmp_path_factory.mktemp("tones"))


@pytest.fixture(scope="module")
def babble(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with random weights."""
    return tone_model.babble(tmp_path_factory.mktemp("babble"))


class WatchedGate(Scheduler):
    """Counts calls, and can be told what to do at the next."""

    def __init__(self, slots: int) -> None:
        """Nothing is done yet."""
        super().__init__(slots)
        self.calls = 0
        self.at_call: Any = None

    def run(self, call: Any, **how: Any) -> Any:
        """See `Scheduler.run`."""
        self.calls += 1
        if self.at_call is not None:
            self.at_call(self.calls)
        return super().run(call, **how)


class Watched:
    """A loaded model that keeps the length of each sound that it is given, in seconds."""

    def __init__(self, path: Path) -> None:
        """Load it behind a gate of two slots."""
        self.gate = WatchedGate(2)
        self.model = ctc.load(path, ONNX["gigaam-v3-ctc"], "float32", name="tones", gate=self.gate)
        self.seconds: list[float] = []
        recognize = self.model.recognize

        def watched(sound: Pcm) -> ctc.Recognized:
            self.seconds.append(sound.size / SAMPLE_RATE)
            return recognize(sound)

        self.model.recognize = watched  # type: ignore[method-assign]

    def engine(self, **how: Any) -> OnnxTranscriber:
        """An engine with it."""
        return OnnxTranscriber(self.model, detector(), threads=4, helpers=1, **how)


@pytest.fixture
def watched(directory: Path) -> Watched:
    """The tone model, watched."""
    return Watched(directory)


@pytest.fixture
async def engine(watched: Watched) -> AsyncIterator[OnnxTranscriber]:
    """The engine with it, closed at the end."""
    opened = watched.engine()
    yield opened
    assert await opened.close(5)


async def heard(engine: OnnxTranscriber, sound: Pcm, options: JobOptions = RU) -> Transcription:
    """What the engine hears."""
    return await engine.transcribe(Job(sound, options))


def test_the_vocabulary_is_that_of_the_real_model(directory: Path) -> None:
    """The made model stands for GigaAM v3 CTC: what reads its files reads the real ones."""
    assert hashlib.sha256((directory / "v3_vocab.txt").read_bytes()).hexdigest() == REAL_VOCABULARY


async def test_the_text_is_the_one_that_was_made_to_the_letter(engine: OnnxTranscriber) -> None:
    """Equal letters beside each other, several words, spaces."""
    text = "анна сидела на диване"
    assert (await heard(engine, spoken(text).sound)).text == text


@pytest.mark.parametrize("vad", [True, False])
async def test_two_hundred_notes_have_the_text_of_onnx_asr_itself(
    engine: OnnxTranscriber, directory: Path, vad: bool
) -> None:
    """The engine adds windows, times and flags, and takes nothing away."""
    direct = importlib.import_module("onnx_asr").load_model("gigaam-v3-ctc", directory)
    random = np.random.default_rng(17)
    made = [spoken(words(random, int(random.integers(1, 6)))) for _ in range(200)]
    jobs = [heard(engine, note.sound, replace(RU, vad=vad)) for note in made]
    ours = [found.text for found in await asyncio.gather(*jobs)]
    assert ours == [direct.recognize(note.sound) for note in made]
    assert ours == [note.text for note in made]


async def test_a_random_model_has_the_same_text_as_in_onnx_asr_itself(babble: Path) -> None:
    """Whatever a model writes: doubled spaces, a space at the end, letters without a word."""
    direct = importlib.import_module("onnx_asr").load_model("gigaam-v3-ctc", babble)
    engine = Watched(babble).engine()
    random = np.random.default_rng(5)
    for seconds in (0.03, 0.5, 3.0, 11.0, 24.9):
        sound = (0.1 * random.standard_normal(int(seconds * SAMPLE_RATE))).astype(np.float32)
        whole = np.pad(sound, (0, max(0, ctc.LEAST - sound.size)))
        found = await heard(engine, sound, replace(RU, vad=False))
        assert found.text == direct.recognize(whole)
    await engine.close(5)


async def test_words_begin_where_they_were_made_to_begin(engine: OnnxTranscriber) -> None:
    """Times are those of the audio; a word ends where the next token, the space, begins."""
    made = spoken("да нет одно")
    found = await heard(engine, made.sound, replace(TIMED, vad=False))
    timed = [word for segment in found.segments for word in segment.words or ()]
    assert [word.word for word in timed] == [" да", " нет", " одно"]
    assert [word.start for word in timed] == pytest.approx([MARGIN + LETTER * place for place in (0, 3, 7)], abs=1e-6)
    assert [word.end for word in timed] == pytest.approx([MARGIN + LETTER * place for place in (2, 6, 11)], abs=0.25)
    assert timed[0].end == pytest.approx(MARGIN + LETTER * 2)


async def test_a_last_word_does_not_last_until_the_audio_ends(engine: OnnxTranscriber) -> None:
    """Without a next token the model says nothing of its end; silence is no part of it."""
    made = spoken("да")
    sound = np.concatenate([made.sound, pause(9)])
    found = await heard(engine, sound, replace(TIMED, vad=False))
    assert found.segments[-1].end == pytest.approx(MARGIN + LETTER + 0.4, abs=FRAME)


async def test_a_pause_parts_segments_and_lies_in_none(engine: OnnxTranscriber) -> None:
    """Voice detection leaves the pause out and the two are one window; times are still those of the audio."""
    first, second = spoken("один два"), spoken("три")
    for seconds in (2.5, 8.0):
        sound = np.concatenate([first.sound, pause(seconds), second.sound])
        found = await heard(engine, sound, TIMED)
        assert [one.text for one in found.segments] == [" один два", " три"]
        silent_from, silent_to = first.sound.size / SAMPLE_RATE, first.sound.size / SAMPLE_RATE + seconds
        assert found.segments[0].end <= silent_from + 0.4
        assert found.segments[1].start >= silent_to - 0.1
        assert found.segments[1].start == pytest.approx(silent_to + MARGIN, abs=2 * FRAME)


async def test_ten_minutes_are_cut_below_the_limit_and_joined_right(engine: OnnxTranscriber, watched: Watched) -> None:
    """No call is longer than what the model was made for, and no word is lost, doubled or out of order."""
    random = np.random.default_rng(3)
    pieces: list[Pcm] = []
    said: list[str] = []
    while sum(piece.size for piece in pieces) < 600 * SAMPLE_RATE:
        said.append(words(random, int(random.integers(3, 12))))
        pieces += [spoken(f"{said[-1]} ").sound, pause(float(random.uniform(0.3, 4.0)))]
    sound: Pcm = np.concatenate(pieces).astype(np.float32)

    found = await heard(engine, sound, TIMED)

    assert found.text.split() == " ".join(said).split()
    assert max(watched.seconds) <= LIMIT
    assert len(watched.seconds) == watched.gate.calls >= sound.size / SAMPLE_RATE / LIMIT
    starts = [segment.start for segment in found.segments]
    assert starts == sorted(starts)
    assert [segment.id for segment in found.segments] == list(range(len(starts)))


async def test_without_voice_detection_all_is_heard_in_windows_below_the_limit(
    engine: OnnxTranscriber, watched: Watched
) -> None:
    """`vad: false` asks for all of the audio; a cut goes where it is quietest."""
    parts = [spoken(words(np.random.default_rng(seed), 2) + " ") for seed in range(30)]
    sound = np.concatenate([piece for part in parts for piece in (part.sound, pause(0.6))])

    found = await heard(engine, sound, replace(RU, vad=False))

    assert found.text.split() == " ".join(part.text for part in parts).split()
    assert max(watched.seconds) <= LIMIT
    assert sum(watched.seconds) == pytest.approx(sound.size / SAMPLE_RATE)


async def test_speech_without_a_pause_is_cut_below_the_limit_too(engine: OnnxTranscriber, watched: Watched) -> None:
    """A speaker who never stops loses at most what stands at the cuts."""
    made = spoken(words(np.random.default_rng(9), 60))
    await heard(engine, made.sound)
    assert made.sound.size / SAMPLE_RATE > 2 * LIMIT
    assert max(watched.seconds) <= LIMIT


async def test_shorter_windows_can_be_asked_for(watched: Watched) -> None:
    """An engine cuts at its own limit, or sooner where it is opened so."""
    engine = watched.engine(window_seconds=10)
    await heard(engine, spoken(words(np.random.default_rng(1), 40)).sound)
    assert max(watched.seconds) <= 10
    await engine.close(5)


@pytest.mark.parametrize("samples", [0, 1, 319, 320, 1000])
@pytest.mark.parametrize("vad", [True, False])
async def test_clips_of_next_to_nothing_harm_nobody(engine: OnnxTranscriber, samples: int, vad: bool) -> None:
    """onnx-asr itself fails on less than one frame of the spectrogram."""
    found = await heard(engine, np.zeros(samples, np.float32), replace(TIMED, vad=vad))
    assert (found.segments, found.language) == ([], "ru")


async def test_silence_is_no_speech_and_no_call(engine: OnnxTranscriber, watched: Watched) -> None:
    """A silent note costs no model call."""
    assert (await heard(engine, pause(30))).segments == []
    assert watched.seconds == []


@pytest.mark.parametrize(
    ("options", "language"),
    [
        (RU, ("ru", 1.0)),
        (replace(RU, language="auto"), ("ru", 0.0)),
        (replace(RU, language="auto", languages=("en", "ru")), ("ru", 0.0)),
    ],
)
async def test_the_language_is_the_models_and_a_detected_one_has_no_probability(
    engine: OnnxTranscriber, options: JobOptions, language: tuple[str, float]
) -> None:
    """Nothing was detected: 1.0 would claim it."""
    found = await heard(engine, spoken("да").sound, options)
    assert (found.language, found.language_probability) == language


@pytest.mark.parametrize(
    "options",
    [replace(RU, language="en"), replace(RU, task="translate"), replace(RU, language="auto", languages=("en",))],
)
async def test_what_it_cannot_do_is_refused_without_a_call(
    engine: OnnxTranscriber, watched: Watched, options: JobOptions
) -> None:
    """Also where a request does not come through the handler, as in the benchmarks."""
    with pytest.raises(RequestFailed, match="the engine onnx with the model tones"):
        await heard(engine, spoken("да").sound, options)
    assert watched.seconds == []


async def test_each_segment_says_how_sure_and_how_heard_it_is(engine: OnnxTranscriber) -> None:
    """`avg_logprob` is that of the tokens; `no_speech_prob` the share in which voice detection hears nobody."""
    sure = (await heard(engine, spoken("да нет").sound)).segments[0]
    assert -0.5 < sure.avg_logprob < 0
    assert sure.no_speech_prob == 0.0
    assert sure.words is None
    tones = spoken("да нет", volume=0.0)
    (unheard,) = (await heard(engine, tones.sound, replace(RU, vad=False))).segments
    assert (unheard.text, unheard.no_speech_prob, unheard.flags) == (" да нет", 1.0, ["no_speech"])


async def test_what_nobody_said_is_dropped_where_that_is_asked_for(engine: OnnxTranscriber) -> None:
    """`doubtful: drop`: a text without a voice under it."""
    tones = spoken("да нет", volume=0.0).sound
    found = await heard(engine, tones, replace(RU, vad=False, drop_doubtful=True))
    assert ([one.text for one in found.segments], [one.text for one in found.dropped]) == ([], [" да нет"])


async def test_phrases_that_whisper_invents_are_peoples_words_here(engine: OnnxTranscriber) -> None:
    """The engine never learned from subtitles."""
    text = "до новых встреч"
    assert (await heard(engine, spoken(text).sound)).segments[0].flags == []


async def test_progress_rises_and_the_text_grows_at_its_end(watched: Watched) -> None:
    """One report for each window, in order, below one."""
    seen: list[tuple[float, str]] = []
    sound = np.concatenate([np.concatenate([spoken("один").sound, pause(5)]) for _ in range(8)])
    engine = watched.engine()
    job = Job(sound, RU, on_progress=lambda fraction, text: seen.append((fraction, text)))
    found = await engine.transcribe(job)
    assert len(seen) == len(watched.seconds) == 8
    assert [fraction for fraction, _ in seen] == sorted(fraction for fraction, _ in seen)
    assert all(later.startswith(earlier) for (_, earlier), (_, later) in itertools.pairwise(seen))
    assert seen[-1] == (0.99, found.text)
    await engine.close(5)


async def test_a_stopped_job_makes_no_further_call(watched: Watched) -> None:
    """Cancel, deadline and drain act between two windows."""
    sound = np.concatenate([np.concatenate([spoken("один").sound, pause(5)]) for _ in range(8)])
    job = Job(sound, RU)
    watched.gate.at_call = lambda number: job.stop.set() if number == 3 else None
    engine = watched.engine()
    with pytest.raises(JobStopped):
        await engine.transcribe(job)
    assert len(watched.seconds) <= 4
    await engine.close(5)


async def test_a_cancelled_caller_stops_its_job(engine: OnnxTranscriber, watched: Watched) -> None:
    """The handler cancels; the thread must not go on for minutes."""
    entered, release = threading.Event(), threading.Event()

    def hold(_number: int) -> None:
        entered.set()
        release.wait(10)

    watched.gate.at_call = hold
    job = Job(spoken("да").sound, RU)
    running = asyncio.create_task(engine.transcribe(job))
    await asyncio.to_thread(entered.wait, 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert job.stop.is_set()
    release.set()


async def test_two_windows_of_one_note_run_side_by_side(watched: Watched) -> None:
    """One long file may fill all slots."""
    together = threading.Barrier(2)
    watched.gate.at_call = lambda number: together.wait(10) if number <= 2 else None
    engine = watched.engine()
    sound = np.concatenate([spoken("один").sound, pause(5), spoken("два").sound])
    assert (await heard(engine, sound)).text == "один два"
    await engine.close(5)


async def test_the_self_test_refuses_a_model_with_another_vocabulary(tmp_path: Path) -> None:
    """A vocabulary of another model gives texts of wrong letters, or none at all."""
    path = tone_model.build(tmp_path, vocabulary=[*tone_model.VOCABULARY[:20], "<blk>"])
    engine = Watched(path).engine()
    with pytest.raises(ModelUnavailable, match="fails its self-test on cpu"):
        await engine.self_test()
    await engine.close(5)


async def test_a_whole_model_passes_its_self_test(engine: OnnxTranscriber) -> None:
    """Readiness waits for it."""
    await engine.self_test()
    assert (engine.info.engine.split()[0], engine.info.device, engine.info.compute_type) == (
        "onnx-asr",
        "cpu",
        "float32",
    )
    assert engine.info.engine.endswith(" gigaam-v3-ctc")


async def test_what_the_model_raises_is_a_model_error(engine: OnnxTranscriber, watched: Watched) -> None:
    """The request is tried again; the daemon lives."""

    def fail(_number: int) -> None:
        raise RuntimeError("onnxruntime failed")

    watched.gate.at_call = fail
    with pytest.raises(ModelFailed, match="RuntimeError"):
        await heard(engine, spoken("да").sound)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("config.json", b'{"features_size": 64}', "does not name the version v3"),
        ("config.json", b"[]", "does not name the version v3"),
        ("v3_ctc.onnx", b"no graph", "does not load"),
        ("v3_vocab.txt", b"no numbers\n", "does not load"),
    ],
)
def test_files_that_are_damaged_are_named_with_the_next_step(
    tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    """Without the version onnx-asr takes another spectrogram, and the texts are wrong without any error."""
    tone_model.build(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelUnavailable, match=told) as caught:
        ctc.load(tmp_path, ONNX["gigaam-v3-ctc"], "float32", name="mine", gate=Scheduler(1))
    assert "fetch or copy" in caught.value.message


def test_without_its_library_the_engine_is_a_wrong_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is missing: no restart brings it."""
    monkeypatch.setitem(sys.modules, "onnx_asr", None)
    with pytest.raises(ModelMisconfigured, match="STTD_ENGINE=onnx needs onnx-asr"):
        ctc.load(tone_model.build(tmp_path), ONNX["gigaam-v3-ctc"], "float32", name="mine", gate=Scheduler(1))


def every_word(segments: list[Segment]) -> Iterator[Word]:
    """Of all segments."""
    for segment in segments:
        yield from segment.words or ()


async def test_words_lie_in_order_inside_their_note(engine: OnnxTranscriber) -> None:
    """Over parts that were glued, too."""
    sound = np.concatenate([np.concatenate([spoken("один два").sound, pause(2.2)]) for _ in range(5)])
    timed = [*every_word((await heard(engine, sound, TIMED)).segments)]
    assert len(timed) == 10
    assert all(word.start <= word.end <= sound.size / SAMPLE_RATE for word in timed)
    assert all(one.end <= other.start + FRAME for one, other in itertools.pairwise(timed))
