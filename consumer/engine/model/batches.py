"""Calls of several messages as one ctranslate2 batch: how to stack their inputs and hand out the results.

Never imports ctranslate2 (its arrays are reached through those at hand). The planner decides which calls go together.
"""

from collections.abc import Hashable, Sequence
from typing import Any, Final

import numpy as np

from sttd.consumer.engine.model.gated import GatedModel
from sttd.consumer.engine.schedule.scheduler import Batchable

MOST_POSITIONS: Final = 650
"""Of windows that a CPU decodes together: 13 s, half as many as mel frames. Four longer ones that loop would need more
than `memory.CALL_MIB`."""


class CoalescedDecoder(GatedModel):
    """What faster-whisper sees as `WhisperModel.model` on a CPU: short windows of one length are decoded together.

    A step of the decoder reads all of its weights, for one window as for four: the real `base` needs 0.6 of the core
    time for four of 5 s. Longer windows are decoded alone: those behind them would wait too long.
    """

    def encode(self, features: Any, to_cpu: bool = False) -> Any:
        """Mel frames of one window -> what the decoder reads."""
        positions = features.shape[-1] // 2
        if positions > MOST_POSITIONS:
            return super().encode(features, to_cpu=to_cpu)
        return self._gate.run(
            lambda: self._model.encode(features, to_cpu=to_cpu), name="encode", begins=True, gathers=positions
        )

    def generate(self, features: Any, prompts: list[list[int]], **options: Any) -> Any:
        """One encoded window and its prompt -> tokens."""
        if features.shape[1] > MOST_POSITIONS:
            return super().generate(features, prompts, **options)
        return self._generate(features, prompts, options, gathers=features.shape[1])

    def _generate(self, features: Any, prompts: list[list[int]], options: dict[str, Any], gathers: int | None) -> Any:
        """Equal prompt lengths only: ctranslate2 needs the task at one position."""

        def together(items: Sequence[tuple[Any, list[int]]]) -> list[Any]:
            results = self._model.generate(
                _stack([window for window, _ in items]), [prompt for _, prompt in items], **options
            )
            return [[result] for result in results]

        kind = (*_shape(features), len(prompts[0]), _frozen(options))
        return self._gate.run(
            lambda: self._model.generate(features, prompts, **options),
            name="generate",
            batch=Batchable("generate", kind, (features, prompts[0]), together),
            gathers=gathers,
        )


class CoalescedModel(CoalescedDecoder):
    """The same on a GPU, where all calls of equal options and shapes may run together.

    Encoder outputs stay in main memory between calls: only there can they be cut and stacked.
    """

    def encode(self, features: Any, to_cpu: bool = True) -> Any:  # noqa: ARG002 - ctranslate2's argument; see above
        """Mel frames of one window -> what the decoder reads."""
        return self._gate.run(
            lambda: self._model.encode(features, to_cpu=True),
            name="encode",
            begins=True,
            batch=Batchable("encode", _shape(features), features, self._encode_all),
        )

    def generate(self, features: Any, prompts: list[list[int]], **options: Any) -> Any:
        """One encoded window and its prompt -> tokens."""
        return self._generate(features, prompts, options, gathers=None)

    def detect_language(self, features: Any) -> Any:
        """One encoded window -> the probability of each language."""
        return self._gate.run(
            lambda: self._model.detect_language(features),
            name="detect_language",
            batch=Batchable(
                "detect_language",
                _shape(features),
                features,
                lambda items: [[result] for result in self._model.detect_language(_stack(items))],
            ),
        )

    def _encode_all(self, items: Sequence[Any]) -> list[Any]:
        encoded = self._model.encode(_stack(items), to_cpu=True)
        rows = np.asarray(encoded)
        return [type(encoded).from_array(rows[index : index + 1].copy()) for index in range(len(items))]


def can_coalesce(model: Any) -> bool:
    """Whether the model's encoder outputs can be cut: numpy has no bfloat16."""
    return not str(model.compute_type).endswith("bfloat16")


def _stack(views: Sequence[Any]) -> Any:
    return type(views[0]).from_array(np.concatenate([np.asarray(view) for view in views]))


def _shape(view: Any) -> tuple[Hashable, ...]:
    return (tuple(view.shape), str(view.dtype))


def _frozen(options: dict[str, Any]) -> Hashable:
    return tuple(sorted((name, tuple(value) if isinstance(value, list) else value) for name, value in options.items()))
