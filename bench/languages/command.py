"""`python -m bench languages`: detects what is not detected yet, writes the page.

Reads arguments, finds model and voices, calls the parts.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from random import Random
from typing import Any, Final

from bench.accuracy import results
from bench.accuracy import subject as subjects
from bench.accuracy.subject import Subject
from bench.languages.page import page
from bench.run import tell
from sttd.consumer.engine import environment
from tools import voices
from tools.voices import Utterance

SETTINGS: Final = {"languages": 1}
SEED: Final = 7
EACH: Final = 100
"""Notes of each language."""
SECONDS: Final = (1.0, 5.0)
SAID_EVERY: Final = 100


def main(arguments: Sequence[str]) -> int:
    """Run; the exit code. Raises `ModelUnavailable`, `VoicesUnavailable`."""
    given = _parser().parse_args(arguments)
    environment.prepare()
    subject = Subject.of(given.model, 1)
    people = [*voices.utterances(voices.fetch(), ("ru-prompts", "en-prompts")), *voices.other_languages()]
    chosen = list(short(people, given.count))
    kept = subject.results("languages")
    if not given.page_only:
        _measure(chosen, kept, subject.model, subject.cpu)
    head = subject.head() | {"remark": given.remark}
    subjects.write("languages", page(chosen, kept.latest(SETTINGS, subject.cpu), head))
    return 0


def short(people: Sequence[Utterance], count: int) -> Iterator[Utterance]:
    """So many notes of 1 to 5 s of each language, the languages by turns: a run that is stopped has some of each."""
    columns = []
    for language in dict.fromkeys(one.language for one in people):
        own = [one for one in people if one.language == language and SECONDS[0] <= one.seconds < SECONDS[1]]
        Random(f"{SEED}-{language}").shuffle(own)  # noqa: S311 - an order, not a secret
        columns.append(own[:count])
    yield from (one for row in zip_longest(*columns) for one in row if one is not None)


def _measure(chosen: Sequence[Utterance], kept: results.Results, model: Path, cpu: dict[str, Any]) -> None:
    engine, detect = _opened(model)
    own = results.key(SETTINGS, engine, cpu)
    left = [one for one in chosen if (one.set, one.name) not in kept.of(own)]
    tell(f"languages: {len(left)} of {len(chosen)} notes to do ({engine})")
    for number, one in enumerate(left, 1):
        kept.add({"key": own, "engine": engine, "set": one.set, "name": one.name, "probabilities": detect(one)})
        if number % SAID_EVERY == 0:
            tell(f"languages: {len(left) - number} left")


def _opened(model: Path) -> tuple[str, Callable[[Utterance], dict[str, float]]]:
    """The engine's name, and what gives each language's probability as the daemon computes it."""
    from bench.settings import PlainSettings  # noqa: PLC0415 - after the environment is set
    from sttd.consumer.engine.glue import Glued  # noqa: PLC0415 - the same
    from sttd.consumer.engine.opening import EngineOptions, load  # noqa: PLC0415 - the same
    from sttd.consumer.engine.schedule.scheduler import Scheduler  # noqa: PLC0415 - the same

    loaded = load(
        EngineOptions.from_settings(PlainSettings(model=str(model), device="cpu", slots=1)), model, Scheduler(1)
    )

    def detect(one: Utterance) -> dict[str, float]:
        sound = one.audio()
        spans = loaded.speech.spans(sound)
        found = loaded.languages(loaded.first_window(Glued(spans).sound(sound) if spans else sound))
        return {code: round(probability, 4) for code, probability in found.items()}

    return loaded.info.engine, detect


def _parser() -> argparse.ArgumentParser:
    parser = subjects.parser("languages", __doc__)
    parser.add_argument("--count", type=int, default=EACH, help=f"notes of each language (default: {EACH})")
    return parser
