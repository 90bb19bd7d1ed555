"""What the tests with the real `base` share: model, recordings and engines, each fetched and loaded once.

Model and voices come into caches outside the clone, as `sttd model fetch base` and `python -m tools.voices` bring them.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from sttd.consumer.engine import environment
from sttd.consumer.engine.files import store
from sttd.consumer.engine.model.contexts import FULL, Contexts
from sttd.consumer.engine.model.encoder import Setting
from sttd.consumer.engine.opening import EngineOptions, open_engine
from sttd.consumer.engine.threaded import SpeechEngine
from sttd.consumer.engine.windows import LongAudio
from tests.support.human import CORES, IN_HAND, Note, usual
from tools import voices
from tools.voices import Utterance

MODEL: Final = "base"
EACH_SET: Final = 6


@pytest.fixture(scope="session")
def weights() -> Path:
    """The directory of the real `base`, downloaded on the first run."""
    environment.prepare()
    return store.fetch(MODEL, None, lambda _: None)


@pytest.fixture(scope="session")
def recordings() -> dict[str, list[Utterance]]:
    """Every spoken sentence of each set, fetched on the first run."""
    directory = voices.fetch()
    return {name: voices.utterances(directory, [name]) for name in voices.SETS}


@pytest.fixture(scope="session")
def notes(recordings: dict[str, list[Utterance]]) -> list[Note]:
    """Eighteen sentences: two Russian voices and an English one."""
    return [note for found in recordings.values() for note in usual(found, EACH_SET)]


@pytest.fixture(scope="session")
def stock(weights: Path) -> Any:
    """Stock faster-whisper in int8, every call on one core like ours."""
    from faster_whisper import WhisperModel  # noqa: PLC0415 - reads its environment when it is imported

    return WhisperModel(str(weights), device="cpu", compute_type="int8", cpu_threads=1, num_workers=CORES)


@pytest.fixture(scope="session")
def plain(weights: Path) -> Iterator[SpeechEngine]:
    """Our engine as stock computes: eight bits, ctranslate2's encoder, whole windows."""
    yield from _opened(encoder="ctranslate2", compute_type="int8", contexts=FULL)


@pytest.fixture(scope="session")
def accelerated(weights: Path) -> Iterator[SpeechEngine]:
    """Our engine with its defaults, and OpenVINO's encoder for whole windows, in the arithmetic that this CPU needs.

    Fails where the comparison refuses it.
    """
    yield from _opened(encoder="openvino", compute_type="auto", contexts=None)


def _opened(encoder: Setting, compute_type: str, contexts: Contexts | None) -> Iterator[SpeechEngine]:
    engine = asyncio.run(
        open_engine(
            EngineOptions(
                model=MODEL,
                device="cpu",
                compute_type=compute_type,
                encoder=encoder,
                contexts=contexts,
                slots=CORES,
                threads=IN_HAND,
                long_audio=LongAudio(after_seconds=60, window_seconds=30, threads=CORES),
            )
        )
    )
    yield engine
    assert asyncio.run(engine.close(60))
