"""No test measures the clock (issue 11): a busy machine or another CPU breaks such a test.

Parses the tree of tests/. Figures are made in bench/, which asserts nothing; a run's own figures may be printed by the
instruments below. Pure functions over `{path: source}`, so that made-up trees can show that each rule is able to fail.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
CLOCKS: Final = frozenset(
    f"{name}{unit}" for name in ("monotonic", "perf_counter", "process_time", "thread_time") for unit in ("", "_ns")
)
"""What measures; `time.time()` also stamps, so only an assertion may not read it."""

INSTRUMENTS: Final = {
    "tests/support/waiting.py": "gives up after a while",
    "tests/chaos/rig.py": "prints how soon service was back",
    "tests/chaos/test_daemon_killed.py": "prints the longest exit",
    "tests/alerts/test_alerts.py": "writes how soon each alert fired",
}
"""Who may read a clock, and what for. None of them asserts what it read."""

MEASURED: Final = re.compile(rf"(^|_)({'|'.join(sorted(CLOCKS))}|took|elapsed|resident|rss|maxrss)(_|$)")
"""Names of what was measured."""

KERNELS: Final = re.compile(r"^Vm(RSS|HWM|Peak|Size)\b")
"""The same as keys of /proc/PID/status."""


def violations(tree: Mapping[str, str]) -> list[str]:
    """Everything in a tree of tests that measures, as sentences."""
    return sorted({told for path, source in tree.items() for told in _of_module(path, ast.parse(source))})


def _of_module(path: str, module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Assert):
            for name in sorted(set(_measured(node.test))):
                yield f"{path}:{node.lineno} asserts {name}"
        elif path not in INSTRUMENTS and (name := _clock(node)):
            yield f"{path}:{getattr(node, 'lineno', 1)} reads a clock: {name}"


def _measured(asserted: ast.expr) -> Iterator[str]:
    for node in ast.walk(asserted):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "time":
            yield "time()"
        if MEASURED.search(name := _name(node)):
            yield name
        if isinstance(node, ast.Constant) and KERNELS.search(str(node.value)):
            yield str(node.value)


def _clock(node: ast.AST) -> str:
    if isinstance(node, ast.ImportFrom) and node.module == "time":
        return ", ".join(alias.name for alias in node.names if alias.name in CLOCKS)
    name = _name(node)
    return name if isinstance(node, ast.Attribute) and name in CLOCKS else ""


def _name(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def test_no_test_measures_the_clock() -> None:
    """A deadline is `wait_for`'s; a time limit is tested on virtual time; a figure is a scenario of bench/."""
    paths = sorted((ROOT / "tests").rglob("*.py"))
    tree = {path.relative_to(ROOT).as_posix(): path.read_text() for path in paths if path != Path(__file__)}
    assert tree.keys() >= INSTRUMENTS.keys()
    assert violations(tree) == []


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import time\nbegan = time.monotonic()", "x.py:2 reads a clock: monotonic"),
        ("from time import perf_counter_ns", "x.py:1 reads a clock: perf_counter_ns"),
        ("def f(took):\n    assert took < 1", "x.py:2 asserts took"),
        ("def f(run):\n    assert run.elapsed.total_seconds() < 1", "x.py:2 asserts elapsed"),
        ("def f(loop, began):\n    assert loop.time() - began < 1", "x.py:2 asserts time()"),
        ("def f(gateway):\n    assert gateway.resident_mib('all') < 150", "x.py:2 asserts resident_mib"),
        ("def f(read):\n    assert read('VmHWM:') < 150", "x.py:2 asserts VmHWM:"),
    ],
)
def test_each_way_to_measure_is_found(source: str, told: str) -> None:
    """A rule that cannot find its own violation protects nothing."""
    assert violations({"x.py": source}) == [told]


def test_an_instrument_may_read_but_not_assert() -> None:
    """What it reads is printed."""
    path = next(iter(INSTRUMENTS))
    assert violations({path: "import time\nbegan = time.monotonic()"}) == []
    assert violations({path: "import time\nassert time.monotonic() < 5"}) == [f"{path}:2 asserts monotonic"]


def test_times_of_day_and_of_messages_are_left_alone() -> None:
    """A rule that forbids too much would be switched off."""
    assert (
        violations({"x.py": "import time\nnow = time.time()\nassert f(now) == 'took it'\nassert x.timestamp <= now"})
        == []
    )
