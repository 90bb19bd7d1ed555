"""The language of a note, from the model's probabilities. Pure: numbers in, a code out; never calls the model."""

from collections.abc import Mapping
from typing import Final

from sttd.consumer.engine.transcriber import JobOptions
from sttd.schemas import languages

SURE: Final = 0.5
"""Below this probability the daemon's default language wins. On notes of 1 to 5 s that helps as soon as half of them
are in that language (docs/benchmarks/languages.md)."""

UNHEARD: Final = "en"
"""The language in a reply when no language was asked for and the note has no speech; its probability is then 0."""


def choose(probabilities: Mapping[str, float], options: JobOptions) -> tuple[str, float]:
    """The language to transcribe in and the model's probability for it, in [0, 1].

    The most probable one of the caller's set, or of all; when that is below `SURE`, the default language if it is among
    them. Codes that the model does not have do not count; one at least it must have.
    """
    candidates = {code: probabilities[code] for code in options.languages or probabilities if code in probabilities}
    best = max(candidates, key=candidates.__getitem__)
    if candidates[best] < SURE and options.default_language in candidates:
        best = options.default_language
    return best, candidates[best]


def of_silence(options: JobOptions) -> tuple[str, float]:
    """The language of a note without speech: the one asked for (1.0), else a guess from the settings (0.0)."""
    if options.language != languages.AUTO:
        return options.language, 1.0
    allowed = options.languages
    if options.default_language != languages.AUTO and (allowed is None or options.default_language in allowed):
        return options.default_language, 0.0
    return (allowed[0] if allowed else UNHEARD), 0.0
