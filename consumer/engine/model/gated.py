"""ctranslate2's model behind the gate: every call of faster-whisper waits for its turn."""

from typing import Any

from sttd.consumer.engine.schedule.scheduler import Scheduler


class GatedModel:
    """What faster-whisper gets as `WhisperModel.model`: ctranslate2's model, each call of it through the gate."""

    def __init__(self, model: Any, gate: Scheduler) -> None:
        """`model`: a `ctranslate2.models.Whisper`."""
        self._model = model
        self._gate = gate

    is_multilingual = property(lambda self: self._model.is_multilingual)
    n_mels = property(lambda self: self._model.n_mels)
    device = property(lambda self: self._model.device)
    device_index = property(lambda self: self._model.device_index)

    def encode(self, *args: Any, **kwargs: Any) -> Any:
        """Mel frames -> what the decoder reads."""
        return self._gate.run(lambda: self._model.encode(*args, **kwargs), name="encode", begins=True)

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """Encoded windows -> tokens."""
        return self._gate.run(lambda: self._model.generate(*args, **kwargs), name="generate")

    def detect_language(self, *args: Any, **kwargs: Any) -> Any:
        """Encoded windows -> the probability of each language."""
        return self._gate.run(lambda: self._model.detect_language(*args, **kwargs), name="detect_language")

    def align(self, features: Any, start_sequence: Any, text_tokens: Any, num_frames: int, **kwargs: Any) -> Any:
        """Tokens and encoded windows -> when each token was spoken.

        A window of one frame (the last one of a note can be that short) has no place to put a word: ctranslate2 answers
        with empty alignments and faster-whisper 1.2.1 raises IndexError on them. Two frames make one place.
        """
        frames = max(num_frames, 2)
        return self._gate.run(
            lambda: self._model.align(features, start_sequence, text_tokens, frames, **kwargs), name="align"
        )
