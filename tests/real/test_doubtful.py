"""`doubtful: drop`: what nobody said goes, and a sentence that captions have too stays when somebody says it."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from faster_whisper.audio import decode_audio

from sttd.consumer.engine.model import guards
from sttd.consumer.engine.threaded import SpeechEngine
from sttd.consumer.engine.transcriber import Job
from tests.support.human import AT_ZERO, transcribed
from tools import festival_voice
from tools.audio.sounds import SOUNDS

pytestmark = pytest.mark.timeout(1800)

DROP: Final = replace(AT_ZERO, drop_doubtful=True)
CAPTIONS: Final = (
    "Продолжение следует.",
    "Спасибо за просмотр.",
    "До новых встреч.",
    "Подписывайтесь на канал.",
    "Ставьте лайки и подписывайтесь на канал.",
)
LENGTHS: Final = (2.0, 12.0)


@pytest.mark.parametrize("sound", SOUNDS)
def test_without_voice_detection_what_is_invented_is_dropped_and_reported(
    sound: str, accelerated: SpeechEngine
) -> None:
    """The text is empty; what `base` wrote stands beside it."""
    without = replace(AT_ZERO, vad=False)
    kept = transcribed(accelerated, [(SOUNDS[sound](seconds, -25.0), without) for seconds in LENGTHS])
    dropped = transcribed(
        accelerated, [(SOUNDS[sound](seconds, -25.0), replace(without, drop_doubtful=True)) for seconds in LENGTHS]
    )
    assert [answer.text for answer in dropped] == [""] * len(LENGTHS)
    assert [[part.text for part in answer.dropped] for answer in dropped] == [
        [part.text for part in answer.segments] for answer in kept
    ]


@pytest.mark.skipif(
    not festival_voice.available() and not os.environ.get("CI"),
    reason="needs Festival: apt-get install festival festvox-ru",
)
@pytest.mark.parametrize("vad", [True, False])
def test_a_caption_sentence_that_is_said_clearly_survives(vad: bool, accelerated: SpeechEngine, tmp_path: Path) -> None:
    """In units of a human voice: people do say "thank you for watching"."""
    sounds = {tmp_path / f"{number}.wav": text for number, text in enumerate(CAPTIONS)}
    festival_voice.say(sounds)
    for sound, said in sounds.items():
        answer = accelerated.transcribe_here(Job(decode_audio(str(sound)), replace(DROP, vad=vad)))
        assert answer.dropped == [], said
        assert set(guards.normalized(said).split()) & set(guards.normalized(answer.text).split()), answer.text
