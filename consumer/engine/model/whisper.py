"""The transcriber: a thread per message, each running faster-whisper's own `transcribe` through the gate.

Long audio is cut at silences, and helping threads take windows of it (windows.py).
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, TypeAlias

from sttd.consumer.engine.glue import Glued, Spans
from sttd.consumer.engine.model import language
from sttd.consumer.engine.model.guards import marked, without_doubtful
from sttd.consumer.engine.model.loaded import LoadedModel
from sttd.consumer.engine.model.segments import to_segment
from sttd.consumer.engine.threaded import SpeechEngine, report
from sttd.consumer.engine.transcriber import Job, JobOptions, Transcription
from sttd.consumer.engine.vowel import vowel
from sttd.consumer.engine.windows import LongAudio, first_to_hear, packed_windows
from sttd.consumer.pcm import Pcm
from sttd.schemas import languages
from sttd.schemas.reply import Segment

Window: TypeAlias = Spans | None
"""The parts that one window transcribes; None: the whole audio."""

PROMPT_CHARACTERS: Final = 1000
"""How much of the text before a pause goes on as the prompt behind it. Whisper takes the last 223 tokens."""


class WhisperTranscriber(SpeechEngine):
    """The engine with one loaded model of faster-whisper's."""

    def __init__(self, model: LoadedModel, *, threads: int, long_audio: LongAudio | None = None) -> None:
        """Without `long_audio` no audio is cut. `threads`: see `SpeechEngine`."""
        helpers = long_audio.threads - 1 if long_audio else 0
        super().__init__(model.gate, info=model.info, abilities=model.abilities, threads=threads, helpers=helpers)
        self._model = model
        self._long_audio = long_audio

    @property
    def context_reruns(self) -> Mapping[str, int]:
        """How many windows needed more than a short context, by reason."""
        return self._model.reruns.counts

    def fits_prompt(self, words: str) -> bool:
        """Whether so many hotwords all go into the prompt."""
        return self._model.fits_prompt(words)

    async def self_test(self, *jobs: Job) -> None:
        """Transcribe a sung vowel, words and all, with and without voice detection.

        Raises `ModelUnavailable` when that does not work.
        """
        await super().self_test(*jobs, Job(vowel(), _SELF_TEST), Job(vowel(), replace(_SELF_TEST, vad=True)))
        self._model.reruns.clear()

    def _transcribe(self, job: Job) -> Transcription:
        pcm, options = job.pcm, job.options
        cut = self._cuts(job)
        spans = tuple(self._model.speech.spans(pcm, cut.window_seconds if cut else math.inf)) if options.vad else None
        if not (pcm.size if spans is None else spans):
            return Transcription([], *(language.of_silence(options) if self._model.multilingual else ("en", 1.0)))
        evenly = self._long_audio is not None and not options.condition_on_previous_text
        packed = packed_windows(pcm, spans, cut=cut, evenly=evenly)
        windows: list[Window] = [*packed] or [None]
        beginning = first_to_hear(windows[0], spans)
        spoken, probability, first = self._language(pcm, beginning, options)
        if windows[0] != beginning:
            first = None
        job.options = options.with_words_for(spoken)
        segments = (
            self._at_once(job, pcm, spoken, packed, first)
            if cut and len(packed) > 1
            else self._in_turn(job, pcm, spoken, windows, first)
        )
        rated = self._model.rated(marked(segments), spoken, options)
        found = Transcription(rated, spoken, probability)
        return without_doubtful(found, options, lambda: self._model.speech.spans(pcm))

    def _cuts(self, job: Job) -> LongAudio | None:
        """How to cut this job's audio into windows that run side by side; None where only long pauses part it.

        Without voice detection the silences are unknown, and windows at the same time cannot be conditioned on the text
        before them.
        """
        cut, options = self._long_audio, job.options
        return (
            cut
            if cut and job.audio_seconds > cut.after_seconds and options.vad and not options.condition_on_previous_text
            else None
        )

    def _language(self, pcm: Pcm, spans: Spans | None, options: JobOptions) -> tuple[str, float, Any]:
        """The language to transcribe in, its probability, and the first window's encoding if detected."""
        if not self._model.multilingual:
            return "en", 1.0, None
        if options.language != languages.AUTO:
            return options.language, 1.0, None
        first = self._model.first_window(pcm if spans is None else Glued(spans).sound(pcm))
        return *language.choose(self._model.languages(first), options), first

    def _in_turn(self, job: Job, pcm: Pcm, spoken: str, windows: list[Window], first: Any) -> list[Segment]:
        """One window after the other, in this thread, each with as much of the text before as is asked for."""
        segments: list[Segment] = []
        for index, window in enumerate(windows):
            options = job.options if index == 0 else replace(job.options, initial_prompt=_prompt(job.options, segments))
            for segment in self._window(job, pcm, spoken, options, window, first if index == 0 else None):
                segments.append(segment.model_copy(update={"id": len(segments)}))
                job.heard_seconds = max(job.heard_seconds, segment.end)
                report(job, job.heard_seconds / job.audio_seconds, segments)
        return segments

    def _at_once(self, job: Job, pcm: Pcm, spoken: str, windows: list[Spans], first: Any) -> list[Segment]:
        """The windows of long audio, side by side; only the first has the request's own prompt."""

        def segments_of(index: int) -> Iterable[Segment]:
            options = job.options if index == 0 else replace(job.options, initial_prompt=None)
            return self._window(job, pcm, spoken, options, windows[index], first if index == 0 else None)

        return self._side_by_side(job, windows, segments_of)

    def _window(
        self, job: Job, pcm: Pcm, spoken: str, options: JobOptions, window: Window, first: Any
    ) -> Iterator[Segment]:
        """The segments of one window, with times of the audio. The work happens between two of them."""
        glued = None if window is None else Glued(window)
        for raw in self._model.segments(glued.sound(pcm) if glued else pcm, spoken, options, first=first):
            segment = to_segment(raw, duration=job.audio_seconds)
            job.stop_if_told()
            yield glued.placed(segment) if glued else segment


def _prompt(options: JobOptions, before: list[Segment]) -> str | None:
    """Like faster-whisper, only the first window gets the initial prompt."""
    if not options.condition_on_previous_text:
        return None
    return "".join(segment.text for segment in before)[-PROMPT_CHARACTERS:].strip() or None


_SELF_TEST: Final = JobOptions("en", "en", temperature=0.0, vad=False, word_timestamps=True)
