"""The engine with a CTC model: audio in windows of the model's own limit, side by side, each one call.

A window has no text before it and no prompt: nothing but its sound decides on its text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from sttd.consumer.engine.glue import Glued, Span, Spans
from sttd.consumer.engine.model.guards import marked, without_doubtful
from sttd.consumer.engine.model.segments import to_segment
from sttd.consumer.engine.model.speech import Detector
from sttd.consumer.engine.onnx import spoken
from sttd.consumer.engine.onnx.ctc import CtcModel
from sttd.consumer.engine.threaded import SpeechEngine
from sttd.consumer.engine.transcriber import Job, JobOptions, Transcription
from sttd.consumer.engine.vowel import vowel
from sttd.consumer.engine.windows import LongAudio, packed_windows, quietly_cut
from sttd.consumer.pcm import SAMPLE_RATE, Pcm
from sttd.schemas import languages
from sttd.schemas.reply import Segment, SegmentFlag

FLAGS: Final[tuple[SegmentFlag, ...]] = ("repetition", "no_speech", "too_dense")
"""Whisper's silence phrases are people's words here, and what is improbable was measured for Whisper only."""


class OnnxTranscriber(SpeechEngine):
    """The engine with one loaded CTC model."""

    def __init__(
        self, model: CtcModel, speech: Detector, *, threads: int, helpers: int = 0, window_seconds: float = 30.0
    ) -> None:
        """`threads`, `helpers`: see `SpeechEngine`; `window_seconds`: no longer windows, nor than the model's own."""
        super().__init__(model.gate, info=model.info, abilities=model.abilities, threads=threads, helpers=helpers)
        self._model = model
        self._speech = speech
        self._cut = LongAudio(0.0, min(window_seconds, model.longest), helpers + 1)

    async def self_test(self, *jobs: Job) -> None:
        """Transcribe a sung vowel, with and without voice detection. Raises `ModelUnavailable`."""
        options = JobOptions(languages.AUTO, languages.AUTO)
        await super().self_test(*jobs, Job(vowel(), options), Job(vowel(), replace(options, vad=False)))

    def _transcribe(self, job: Job) -> Transcription:
        pcm, options = job.pcm, job.options
        heard = tuple(self._speech.spans(pcm, self._cut.window_seconds))
        windows = self._windows(pcm, heard if options.vad else None)
        found = self._side_by_side(job, windows, lambda index: self._window(job, windows[index], heard))
        return without_doubtful(Transcription(marked(found, FLAGS), *self._language(options)), options, lambda: heard)

    def _windows(self, pcm: Pcm, heard: Spans | None) -> list[Spans]:
        if heard is None:
            return quietly_cut(pcm, int(self._cut.window_seconds * SAMPLE_RATE))
        return packed_windows(pcm, heard, cut=self._cut, evenly=True)

    def _window(self, job: Job, window: Spans, heard: Sequence[Span]) -> Iterator[Segment]:
        """The segments of one window, with times of the audio."""
        job.stop_if_told()
        glued = Glued(window)
        sound = glued.sound(job.pcm)
        words = [*spoken.words(self._model.recognize(sound), sound.size / SAMPLE_RATE, glued.part_of)]
        for raw in spoken.segments(words, glued.part_of):
            placed = glued.placed(to_segment(raw, duration=job.audio_seconds))
            timed = placed.words if job.options.word_timestamps else None
            yield placed.model_copy(update={"no_speech_prob": spoken.unheard(placed, heard), "words": timed})

    def _language(self, options: JobOptions) -> tuple[str, float]:
        """The one that was asked for, else the model's: nobody has detected it, so with a probability of 0."""
        if options.language != languages.AUTO:
            return options.language, 1.0
        among = [code for code in options.languages or () if self.abilities.knows(code)]
        return (among or sorted(self.abilities.languages))[0], 0.0
