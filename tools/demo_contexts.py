"""Short contexts on the bundled demo model: the same notes with each, their texts and word times compared with those of full contexts.

Run: python -m tools.demo_contexts [--russian 160] [--english 60] [--seed 1] [--model DIRECTORY]. Needs espeak-ng. Beam 5, temperature 0
(above it the same context gives different texts too), voice detection and word times on. Core time is the process's, per note.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sttd.consumer.engine import environment
from sttd.consumer.engine import model as models
from sttd.consumer.engine.contexts import Contexts
from sttd.consumer.engine.scheduler import Scheduler
from sttd.consumer.engine.transcriber import Job, JobOptions, Transcription
from sttd.consumer.engine.whisper import WhisperTranscriber
from sttd.consumer.models import demo_directory
from sttd.consumer.pcm import Pcm
from tools import demo_wer

MODES: Final = {"full": Contexts(), "trim": Contexts(decoder="trim"), "dynamic": Contexts(encoder="dynamic")}


@dataclass
class Mode:
    """One way to read, and what came of it."""

    name: str
    engine: WhisperTranscriber
    core_seconds: float = 0.0
    same: int = 0
    exact: int = 0
    errors: int = 0
    late: list[float] = field(default_factory=list)

    def hear(self, pcm: Pcm, language: str) -> Transcription:
        """Transcribe in this thread and take the time."""
        began = time.process_time()
        heard = self.engine.transcribe_here(Job(pcm, _options(language)))
        self.core_seconds += time.process_time() - began
        return heard

    def count(self, said: str, heard: Transcription, full: Transcription) -> None:
        """Compare one note with what was said and with the full context."""
        wrong = demo_wer.distance(demo_wer.words(said), demo_wer.words(heard.text))
        self.errors += wrong
        self.exact += not wrong
        self.same += heard.text == full.text
        if heard.text == full.text:
            self.late += [abs(one - other) for one, other in zip(_times(heard), _times(full), strict=True)]
        else:
            sys.stdout.write(f"  {self.name}\n    said {said}\n    full {full.text}\n    here {heard.text}\n")

    def row(self, notes: int, words: int) -> str:
        """One line of the table."""
        moved = sum(late > 0 for late in self.late)
        return (
            f"| {self.name} | {self.same} of {notes} | {self.exact} | {100 * self.errors / words:.1f} % "
            f"| {sum(self.engine.context_reruns.values())} {dict(self.engine.context_reruns) or ''} "
            f"| {moved} of {len(self.late)}, at most {max(self.late, default=0):.2f} s | {1000 * self.core_seconds / notes:.1f} |"
        )


def _times(heard: Transcription) -> Iterator[float]:
    return (moment for segment in heard.segments for word in segment.words or () for moment in (word.start, word.end))


def _options(language: str) -> JobOptions:
    return JobOptions(
        language=language,
        default_language=language,
        languages=None,
        task="transcribe",
        beam_size=5,
        temperatures=(0.0,),
        vad=True,
        word_timestamps=True,
        condition_on_previous_text=False,
        initial_prompt=None,
        hotwords=None,
    )


def _opened(name: str, directory: Path) -> Mode:
    loaded = models.load(
        directory,
        name=name,
        device="cpu",
        compute_type="auto",
        slots=1,
        gate=Scheduler(1),
        encoding="auto",
        contexts=MODES[name],
    )
    return Mode(name, WhisperTranscriber(loaded, threads=1))


def main(arguments: list[str]) -> int:
    """Hear every note in each mode by turns, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--russian", type=int, default=160)
    parser.add_argument("--english", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", type=Path, default=demo_directory())
    options = parser.parse_args(arguments)
    environment.prepare()
    from faster_whisper.audio import decode_audio  # noqa: PLC0415 - after the environment is set

    modes = [_opened(name, options.model) for name in MODES]
    notes = words = 0
    for language, number in (("ru", options.russian), ("en", options.english)):
        for text, sound in demo_wer.notes(language, number, options.seed):
            notes, words = notes + 1, words + len(demo_wer.words(text))
            pcm = decode_audio(io.BytesIO(sound))
            heard = [mode.hear(pcm, language) for mode in modes]
            for mode, what in zip(modes, heard, strict=True):
                mode.count(text, what, heard[0])
    sys.stdout.write(
        "| context | text as with full | word for word | words wrong | again in full | word times moved | core ms a note |\n"
    )
    sys.stdout.writelines(f"{mode.row(notes, words)}\n" for mode in modes)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
