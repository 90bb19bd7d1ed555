"""Measures the bundled demo model: word error rate on freshly made notes in voices that its training lacked.

Run: python -m tools.demo_wer [--russian 300] [--english 80] [--seed 1]. Needs espeak-ng. Uses stock faster-whisper,
int8, beam 5, its default settings, the language given; words are compared without case and punctuation.
"""

import argparse
import io
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from sttd.commands.bench.paired import edits
from sttd.consumer.models import demo_directory
from tools import demo_notes

HELD_OUT_VOICES: Final = ("Denis", "f2", "m4", "Mario", "linda", "Ed")
"""espeak-ng's variants that the training did not use."""

ACCENTS: Final = {"ru": ("ru",), "en": ("en-us", "en-gb")}
SENTENCES: Final[dict[str, Callable[[Random], str]]] = {"ru": demo_notes.russian, "en": demo_notes.english}


@dataclass
class Score:
    """The texts of the notes in one language."""

    notes: int = 0
    words: int = 0
    errors: int = 0
    exact: int = 0
    detected: int = 0

    def add(self, said: list[str], heard: list[str], *, detected: bool) -> None:
        """Count one note."""
        errors = edits(said, heard)
        self.notes += 1
        self.words += len(said)
        self.errors += errors
        self.exact += not errors
        self.detected += detected

    def __str__(self) -> str:
        """One line of figures."""
        return (
            f"{self.notes} notes, {self.words} words, word error rate {100 * self.errors / self.words:.1f} %, "
            f"{self.exact} word for word, language detected in {self.detected}"
        )


def words(text: str) -> list[str]:
    """The words without case and punctuation."""
    return re.sub(r"[^\w ]", "", text.lower()).split()


def speak(text: str, language: str, random: Random) -> bytes:
    """The sentence as a WAV file in one of the held-out voices, at some speed and pitch."""
    voice = f"{random.choice(ACCENTS[language])}+{random.choice(HELD_OUT_VOICES)}"
    speed, pitch = str(random.randint(125, 200)), str(random.randint(20, 80))
    command = ["espeak-ng", "-v", voice, "-s", speed, "-p", pitch, "--stdout", text]
    return subprocess.run(command, check=True, capture_output=True).stdout  # noqa: S603 - our own sentences, no shell


def notes(language: str, number: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """So many different sentences and their sound; the same for the same seed."""
    random, seen = Random(f"{language}-{seed}"), set[str]()  # noqa: S311 - sentences, not secrets
    while len(seen) < number:
        text = SENTENCES[language](random)
        if text not in seen:
            seen.add(text)
            yield text, speak(text, language, random)


def measure(model: Any, language: str, number: int, seed: int) -> Score:
    """Transcribe the notes; writes out each that is not word for word."""
    from faster_whisper.audio import decode_audio  # noqa: PLC0415 - after the arguments are known to be right

    score = Score()
    for text, sound in notes(language, number, seed):
        pcm = decode_audio(io.BytesIO(sound))
        segments, _ = model.transcribe(pcm, language=language, beam_size=5)
        heard = "".join(segment.text for segment in segments).strip()
        score.add(words(text), words(heard), detected=model.detect_language(pcm)[0] == language)
        if words(text) != words(heard):
            sys.stdout.write(f"  said  {text}\n  heard {heard}\n")
    return score


def main(arguments: list[str]) -> int:
    """Measure both languages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--russian", type=int, default=300)
    parser.add_argument("--english", type=int, default=80)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    from faster_whisper import WhisperModel  # noqa: PLC0415 - slow to import

    model = WhisperModel(str(demo_directory()), device="cpu", compute_type="int8", cpu_threads=1)
    for language, number in (("ru", options.russian), ("en", options.english)):
        sys.stdout.write(f"{language}: {measure(model, language, number, options.seed)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
