"""Measurements of single promises, each with a name, figures and a verdict: `python -m bench scenario NAME`.

A scenario takes the stage and the knobs of the command line and returns what goes into JSON; `verdict` names each
promise with what was measured and what was wanted.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from bench.scenarios import callers, curve, decoder, gateway, lanes, language, long_file, memory, overhead
from bench.scenarios.knobs import Knobs
from bench.stage import Bench

Scenario = Callable[[Bench, Knobs], Awaitable[dict[str, Any]]]

ALL: Final[dict[str, Scenario]] = {
    "curve": curve.measure,
    "hour": long_file.hour,
    "overhead": overhead.measure,
    "behind-long-files": long_file.behind,
    "lanes": lanes.measure,
    "callers": callers.measure,
    "auto": language.measure,
    "long-file": long_file.against_stock,
    "memory": memory.measure,
    "hours": memory.hours,
    "lag": memory.lag,
    "siege": gateway.besieged,
    "bombs": decoder.bombs,
    "soak": decoder.soak,
}
