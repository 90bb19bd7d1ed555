"""Sounds without speech: no text with voice detection; without it no text that passes for speech."""

from dataclasses import replace
from typing import Final

import pytest

from sttd.consumer.engine.threaded import SpeechEngine
from sttd.consumer.engine.transcriber import Job
from tests.support.human import AT_ZERO, transcribed
from tools.audio.sounds import SOUNDS

pytestmark = pytest.mark.timeout(1800)

QUIET_TO_LOUD: Final = (-50.0, -35.0, -20.0)
SHORT_TO_LONG: Final = (2.0, 12.0)


@pytest.mark.parametrize("sound", SOUNDS)
def test_with_voice_detection_a_sound_without_speech_has_no_text(sound: str, accelerated: SpeechEngine) -> None:
    """A fan, a cable, a radio or a keyboard in a pocket's recording is not speech."""
    for seconds in SHORT_TO_LONG:
        for level in QUIET_TO_LOUD:
            answer = accelerated.transcribe_here(Job(SOUNDS[sound](seconds, level), AT_ZERO))
            assert answer.segments == [], (seconds, level)


@pytest.mark.parametrize("sound", SOUNDS)
def test_without_voice_detection_invented_text_is_flagged(sound: str, accelerated: SpeechEngine) -> None:
    """Whisper writes captions under sounds; a bot must be able to distinguish them from speech."""
    without = replace(AT_ZERO, vad=False)
    answers = transcribed(accelerated, [(SOUNDS[sound](seconds, -25.0), without) for seconds in SHORT_TO_LONG])
    invented = [segment for answer in answers for segment in answer.segments]
    assert [segment for segment in invented if not segment.flags] == []
