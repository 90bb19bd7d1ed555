"""The workload model writes its script, whatever the sound: a benchmark measures a transcript of known length."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from bench import workload

SMALL = workload.Size(128, 2, 1, 2)


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model with base's vocabulary and next to no width."""
    path = workload.build(SMALL, tmp_path_factory.mktemp("workload"))
    return importlib.import_module("faster_whisper").WhisperModel(
        str(path), device="cpu", compute_type="int8", cpu_threads=1
    )


@pytest.mark.parametrize(
    "options",
    [
        {"language": "ru"},
        {"language": "ru", "beam_size": 1},
        {"language": None},
        {"task": "translate", "language": "en"},
    ],
)
def test_every_note_gets_the_whole_script_in_one_try(options: dict[str, Any], whisper: Any) -> None:
    """A transcript that ends early, or a second try at a higher temperature, would measure something else."""
    noise = np.random.default_rng(0).standard_normal(16_000 * 3).astype(np.float32) * 0.05
    segments, info = whisper.transcribe(noise, **options)
    (segment,) = segments
    assert segment.text.split() == list(workload.WORDS)
    assert (segment.start, segment.end, segment.temperature) == (0.0, 2.6, 0.0)
    assert info.language == (options["language"] or "ru")


def test_tokens_lie_where_whisper_has_them() -> None:
    """faster-whisper finds some by name and some by number."""
    for size, end in (("base", 51_865), ("large-v3", 51_866)):
        vocabulary = workload._vocabulary(workload.SIZES[size])
        assert len(vocabulary) == len(set(vocabulary)) == end
        assert vocabulary.index("") == 50_256
        assert vocabulary[50_257:50_260] == ["<|endoftext|>", "<|startoftranscript|>", "<|en|>"]
        assert vocabulary[220] == "Ġ"
