"""When each step of one note began and ended: written by the threads that work for it, read for metrics and traces.

Pure; may be written from several threads at once. Never holds a word of the note.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

T = TypeVar("T")

MOST_STEPS: Final = 400
"""Steps that are kept one by one; an hour of audio has more, and of those only the sums are kept."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step, by `time.monotonic`. `together`: how many notes' calls ran as one."""

    name: str
    began: float
    ended: float
    together: int = 1


class Timeline:
    """The steps of one note: fetch, decode, transcribe, reply, park, and of each model call wait, then its name.

    The names of model calls are encode, generate, align and detect_language.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._sums: defaultdict[str, float] = defaultdict(float)
        # The windows of a long note run side by side, and a sum would lose one of two additions.
        self._lock = threading.Lock()

    def add(self, name: str, began: float, ended: float, together: int = 1, *, failed: bool = False) -> None:
        """Record a step that is over.

        `began`, `ended`: by `time.monotonic`; `together`: how many notes' calls ran as one. A `failed` one is kept for
        the trace, and is in no sum.
        """
        with self._lock:
            if not failed:
                self._sums[name] += ended - began
            if len(self.steps) < MOST_STEPS:
                self.steps.append(Step(name, began, ended, together))

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Record the block as one step; as a failed one when it raises."""
        began = time.monotonic()
        try:
            yield
        except BaseException:
            self.add(name, began, time.monotonic(), failed=True)
            raise
        self.add(name, began, time.monotonic())

    def seconds(self, *names: str) -> float:
        """Sum of all steps with these names that did not fail, in seconds; 0.0 where there is none."""
        return sum(self._sums[name] for name in names if name in self._sums)

    def call(self, name: str, call: Callable[[], T]) -> Callable[[], T]:
        """Wrap a model call: from now until it is made counts as `wait`, the call itself as `name`."""
        asked = time.monotonic()

        def timed() -> T:
            self.add("wait", asked, time.monotonic())
            with self.step(name):
                return call()

        return timed
