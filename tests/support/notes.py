"""The sample voice notes that the bundled model reads, by their purpose, and texts compared as people compare them."""

import re

import av

from sttd.samples import Sample, samples

GROCERIES = "Купил продукты на две с половиной тысячи"


def spoken(text: str) -> list[str]:
    """The words of a text, without case and punctuation."""
    return re.findall(r"\w+", text.lower())


def note(*, expect: str = "text", language: str | None = None, text: str | None = None) -> Sample:
    """The first sample that fits."""
    for sample in _bundled():
        if (
            sample.expect == expect
            and language in {None, sample.language}
            and (text is None or spoken(sample.text) == spoken(text))
        ):
            return sample
    raise LookupError(f"no sample with {expect=} {language=} {text=}")


def short_notes() -> tuple[Sample, ...]:
    """The notes with one to three sentences, whose text the demo model gives word for word."""
    return tuple(sample for sample in _bundled() if sample.expect == "text" and len(spoken(sample.text)) <= 30)


def length(sample: Sample) -> float:
    """Seconds of a note."""
    with av.open(str(sample.path)) as file:
        assert file.duration is not None
        return file.duration / av.time_base


def _bundled() -> tuple[Sample, ...]:
    return tuple(sample for sample in samples() if sample.only in {"", "demo"})
