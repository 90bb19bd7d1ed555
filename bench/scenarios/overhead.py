"""One client: what a note costs beside the model's own calls, from publish to reply."""

from typing import Any, Final

from bench import figures, notes
from bench.scenarios.knobs import Knobs, promise
from bench.stage import Bench, on_stage
from bench.table import TRACED
from bench.traces import Trace, busy_seconds

MOST: Final = 0.025
"""Seconds, p50."""

WARM_UP: Final = 5


async def measure(bench: Bench, knobs: Knobs) -> dict[str, Any]:
    """Latency less the time in which at least one call of ctranslate2 or OpenVINO ran, note by note."""
    made = notes.notes("short")
    async with on_stage(TRACED, bench, made[0]) as running:
        answers = [await running.client.ask(note) for note in notes.in_turn(made, WARM_UP + (knobs.count or 100))][
            WARM_UP:
        ]
        trace = Trace.read(running.trace)
    engine = [busy_seconds(trace.between(answer.asked, answer.answered)) for answer in answers]
    around = [answer.seconds - seconds for answer, seconds in zip(answers, engine, strict=True)]
    told = [answer.seconds - answer.stages["decode"] - answer.stages["transcribe"] for answer in answers]
    inside = [answer.stages["transcribe"] - seconds for answer, seconds in zip(answers, engine, strict=True)]
    return {
        "verdict": {"overhead p50, s": promise(figures.percentile(around, 50), "at most", MOST, "s")},
        "notes": len(answers),
        "latency": figures.latencies([answer.seconds for answer in answers]),
        "model_calls": figures.latencies(engine),
        "overhead": figures.latencies(around),
        "of_it_decoding": figures.latencies([answer.stages["decode"] for answer in answers]),
        "of_it_in_the_engine_between_calls": figures.latencies(inside),
        "of_it_queue_reply_and_way": figures.latencies(told),
    }
