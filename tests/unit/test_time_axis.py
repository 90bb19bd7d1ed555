"""Speech with long pauses, by the bundled model: each segment lies within the speech that it came from."""

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import cache
from itertools import cycle, islice
from typing import Any, cast

import numpy as np
import pytest
import pytest_asyncio
from faster_whisper.audio import decode_audio

from sttd.consumer.engine.model import loaded as models
from sttd.consumer.engine.model.loaded import LoadedModel
from sttd.consumer.engine.model.whisper import WhisperTranscriber
from sttd.consumer.engine.schedule.scheduler import Scheduler
from sttd.consumer.engine.transcriber import Job, JobOptions, Transcription
from sttd.consumer.engine.windows import LongAudio
from sttd.consumer.models import demo_directory
from sttd.consumer.pcm import SAMPLE_RATE, Pcm
from sttd.samples import Sample
from tests.support.notes import short_notes, spoken
from tests.support.waiting import PATIENCE

RUSSIAN = tuple(sample for sample in short_notes() if sample.language == "ru")
OPTIONS = JobOptions("ru", "ru", temperature=0.0)
TOLERANCE = 0.75
"""Seconds that a segment may begin before the speech or end after it: the padding of voice detection, and how late it
sees an end."""

LONG_PAUSE = 4.5
"""Seconds; the contract's."""

MEMO = (0.0, 100.0, 200.0, 300.0)
"""Seconds at which somebody speaks. 300 is also where voice detection of long audio begins a new piece."""


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    """The bundled model, loaded once for all tests of this file."""
    return models.load(demo_directory(), name="demo", device="cpu", compute_type="auto", slots=2, gate=Scheduler(2))


@pytest_asyncio.fixture(params=[None, LongAudio(10, 30, 2)], ids=["in one go", "windows"])
async def engine(loaded: LoadedModel, request: pytest.FixtureRequest) -> AsyncIterator[WhisperTranscriber]:
    """Both ways in which long audio is transcribed."""
    transcriber = WhisperTranscriber(loaded, threads=2, long_audio=request.param)
    yield transcriber
    assert await transcriber.close(PATIENCE)


@cache
def sound_of(sample: Sample) -> Pcm:
    """The sample's sound."""
    return cast("Pcm", decode_audio(str(sample.path)))


class Memo:
    """Samples at known times, and silence between them."""

    def __init__(self, starts: tuple[float, ...]) -> None:
        self.said = list(islice(cycle(RUSSIAN), len(starts)))
        self.times = [
            (start, start + sound_of(sample).size / SAMPLE_RATE)
            for start, sample in zip(starts, self.said, strict=True)
        ]
        self.pcm = np.zeros(int((self.times[-1][1] + 1) * SAMPLE_RATE), np.float32)
        for start, sample in zip(starts, self.said, strict=True):
            at, sound = int(start * SAMPLE_RATE), sound_of(sample)
            self.pcm[at : at + sound.size] = sound

    def blocks(self) -> list[list[int]]:
        """The numbers of the parts that have no long pause between them."""
        found: list[list[int]] = []
        for number, (start, _) in enumerate(self.times):
            if number == 0 or start - self.times[number - 1][1] > LONG_PAUSE:
                found.append([])
            found[-1].append(number)
        return found

    def text_within(self, heard: Transcription, start: float, end: float) -> str:
        """The text of all segments inside this time, as single words."""
        inside = (
            part.text for part in heard.segments if start - TOLERANCE <= part.start and part.end <= end + TOLERANCE
        )
        return " ".join(spoken("".join(inside)))

    def check(self, heard: Transcription) -> None:
        """Each segment lies in one block, and the text of a part that stands alone has the keys of its sentence."""
        blocks = [(self.times[block[0]][0], self.times[block[-1]][1]) for block in self.blocks()]
        for segment in heard.segments:
            assert any(start - TOLERANCE <= segment.start <= segment.end <= end + TOLERANCE for start, end in blocks), (
                segment
            )
        for number in (block[0] for block in self.blocks() if len(block) == 1):
            text = self.text_within(heard, *self.times[number])
            for spellings in self.said[number].keys:
                assert any(" ".join(spoken(spelling)) in text for spelling in spellings), (self.times[number], text)


def after_pauses(*pauses: float) -> tuple[float, ...]:
    """Where sentences begin that have so many seconds between two."""
    starts = [0.7]
    for sample, pause in zip(cycle(RUSSIAN), pauses, strict=False):
        starts.append(starts[-1] + sound_of(sample).size / SAMPLE_RATE + pause)
    return tuple(starts)


@pytest.mark.slow("minutes of audio, again and again")
@pytest.mark.parametrize("words", [False, True], ids=["", "word times"])
@pytest.mark.parametrize(
    "pauses", [None, (5.0,), (5.0,) * 5, (20.0, 20.0)], ids=["memo", "2 parts", "6 parts", "3 parts"]
)
async def test_segments_end_where_speech_ends_and_no_sentence_is_lost(
    engine: WhisperTranscriber, pauses: tuple[float, ...] | None, words: bool
) -> None:
    """Speech at 0, 100, 200 and 300 s came back in segments from 4 to 103 and from 203 to 300 s."""
    memo = Memo(MEMO if pauses is None else after_pauses(*pauses))
    heard = await engine.transcribe(Job(memo.pcm, replace(OPTIONS, word_timestamps=words)))
    memo.check(heard)
    assert [segment.id for segment in heard.segments] == list(range(len(heard.segments)))
    for segment in heard.segments:
        assert all(segment.start <= word.start <= word.end <= segment.end for word in segment.words or [])


@pytest.mark.slow("minutes of audio, again and again")
@pytest.mark.parametrize("seed", range(6))
async def test_no_segment_reaches_over_a_long_pause_among_short_ones(engine: WhisperTranscriber, seed: int) -> None:
    """Some parts are glued together, others are not; nothing else about the note changes that."""
    dice = random.Random(seed)
    pauses = dice.choices([0.5, 1, 2, 3, 5, 8, 30, 120], k=dice.randrange(2, 6))
    memo = Memo(after_pauses(*pauses))
    options = replace(OPTIONS, word_timestamps=dice.random() < 0.5, condition_on_previous_text=dice.random() < 0.2)
    memo.check(await engine.transcribe(Job(memo.pcm, options)))


@pytest.mark.parametrize("language", ["ru", "auto"])
async def test_text_before_a_pause_is_the_prompt_behind_it(
    loaded: LoadedModel, engine: WhisperTranscriber, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `condition_on_previous_text` a pause takes no more from the model than its silence."""
    prompts: list[str | None] = []
    whole = loaded.segments

    def watched(sound: Pcm, code: str, options: JobOptions, **known: Any) -> Any:
        prompts.append(options.initial_prompt)
        return whole(sound, code, options, **known)

    monkeypatch.setattr(loaded, "segments", watched)
    memo = Memo(after_pauses(8))
    for conditioned in (True, False):
        prompts.clear()
        heard = await engine.transcribe(
            Job(memo.pcm, replace(OPTIONS, language=language, condition_on_previous_text=conditioned))
        )
        before = "".join(part.text for part in heard.segments if part.start < memo.times[0][1]).strip()
        assert prompts == [None, before if conditioned else None]


@pytest.mark.slow("minutes of audio, again and again")
@pytest.mark.parametrize("pause", [0.5, 1.5, 2.5])
@pytest.mark.parametrize("words", [False, True], ids=["", "word times"])
async def test_short_pauses_change_no_letter_of_stocks_text(loaded: LoadedModel, pause: float, words: bool) -> None:
    """Parts that are near to each other stay one piece, as in stock faster-whisper."""
    memo = Memo(after_pauses(pause, pause))
    stock, _ = loaded._whisper.transcribe(
        memo.pcm,
        language="ru",
        vad_filter=True,
        condition_on_previous_text=False,
        temperature=0.0,
        word_timestamps=words,
    )
    expected = "".join(segment.text for segment in stock).strip()
    engine = WhisperTranscriber(loaded, threads=1)
    heard = await engine.transcribe(Job(memo.pcm, replace(OPTIONS, word_timestamps=words)))
    assert heard.text == expected
    assert await engine.close(PATIENCE)
