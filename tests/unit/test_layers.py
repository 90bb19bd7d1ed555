"""The direction of imports, held by parsing the tree: upwards, sideways and in circles is forbidden.

Pure functions over `{module name: source}`, so that made-up trees can show that each rule is able to fail.
"""

import ast
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
OURS: Final = ("schemas", "consumer", "sttd", "gateway", "tools", "bench")
INSTALLED: Final = frozenset({"schemas", "consumer", "gateway"})
"""Folders at the top of the repository that are installed, and imported, below `sttd` only (issue 12): a bot may have
its own `schemas`."""
MOST_LINES: Final = 350

MAY_IMPORT: Final[dict[str, frozenset[str]]] = {
    "sttd.schemas": frozenset(),
    "sttd.__main__": frozenset({"sttd.commands"}),
    "sttd.service": frozenset(),
    "sttd.consumer": frozenset({"sttd.schemas", "sttd.service"}),
    "sttd": frozenset({"sttd.schemas", "sttd.service"}),
    "sttd.commands": frozenset({"sttd.schemas", "sttd.service", "sttd"}),
    "sttd.gateway": frozenset({"sttd.schemas", "sttd.service", "sttd"}),
    "tools": frozenset({"sttd.schemas", "sttd.service", "sttd", "sttd.commands", "sttd.consumer", "sttd.gateway"}),
    "bench": frozenset({"sttd.schemas", "sttd.service", "sttd", "sttd.commands", "sttd.consumer", "tools"}),
    "tests": frozenset(),
}
"""Which of our packages each may import; itself goes without saying."""

MAY_IMPORT_LAZILY: Final[dict[str, frozenset[str]]] = {
    "sttd.commands": frozenset({"sttd.consumer", "sttd.gateway", "tools"})
}
"""And which inside functions only: a bot that installs the client has neither engine nor broker tools."""

LEVELS: Final[dict[str, tuple[frozenset[str], ...]]] = {
    "sttd.consumer": tuple(
        frozenset(level.split())
        for level in (
            "pcm errors machine models service_manager timeline",
            "settings tracing watched",
            "bus audio engine refs side_port",
            "request observe memory",
            "app",
            "__main__",
        )
    ),
    "sttd.consumer.request": tuple(
        frozenset(level.split())
        for level in (
            "cancels survived delivery numerals operator",
            "copies limit callers joins",
            "verdict progress breaker",
            "handler settlement account",
            "worker",
        )
    ),
    "sttd.consumer.engine": tuple(
        frozenset(level.split())
        for level in (
            "hotwords abilities",
            "environment transcriber files glue vowel",
            "windows schedule",
            "threaded",
            "model",
            "onnx",
            "opening",
        )
    ),
}
"""Packages from the ground up. A part imports from lower levels only; parts on one level do not import each other.

The package's own `__init__` is below all.
"""

LIBRARIES: Final[dict[str, str]] = {
    "aio_pika": "sttd.consumer.bus",
    "aiormq": "sttd.consumer.bus",
    "pamqp": "sttd.consumer.bus",
    "faster_whisper": "sttd.consumer.engine.model.loaded",
    "ctranslate2": "sttd.consumer.engine.model.loaded",
    "openvino": "sttd.consumer.engine.model.graph",
    "onnx_asr": "sttd.consumer.engine.onnx.ctc",
    "onnxruntime": "sttd.consumer.engine.onnx.ctc",
    "av": "sttd.consumer.audio.child",
    "opentelemetry": "sttd.consumer.tracing.otel",
    "num2words": "sttd.consumer.request.numerals",
    "botocore": "sttd.consumer.refs.s3",
    "httpx2": "sttd.consumer.refs.s3",
}
"""Libraries of the daemon that only one place in it may import."""

AMQP: Final = frozenset({"aio_pika", "aiormq", "pamqp", "pika"})
HTTP: Final = frozenset({"starlette", "uvicorn", "h11"})


@dataclass(frozen=True)
class Import:
    """One import: who, what, and whether only when a function runs."""

    importer: str
    imported: str
    lazy: bool


def imports_of(module: str, source: str, modules: frozenset[str]) -> Iterator[Import]:
    """All imports of one module; a name imported from a package is the submodule of that name if there is one."""
    yield from _walk(module, ast.parse(source), modules, lazy=False)


def _walk(module: str, node: ast.AST, modules: frozenset[str], *, lazy: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        for target in _targets(module, child, modules):
            yield Import(module, target, lazy)
        inside = (
            lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _for_types_only(child)
        )
        yield from _walk(module, child, modules, lazy=inside)


def _for_types_only(node: ast.AST) -> bool:
    """Whether this is `if TYPE_CHECKING:`, which runs even less often than a function."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _targets(module: str, node: ast.AST, modules: frozenset[str]) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if not isinstance(node, ast.ImportFrom):
        return set()
    base = node.module or ""
    if node.level:
        parents = module.split(".")[: -node.level]
        base = ".".join([*parents, *([base] if base else [])])
    return {f"{base}.{alias.name}" if f"{base}.{alias.name}" in modules else base for alias in node.names}


def area_of(module: str) -> str | None:
    """The longest name in the table of packages that a module belongs to; None for a library."""
    return max((area for area in MAY_IMPORT if _within(module, area)), key=len, default=None)


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def level_of(package: str, module: str) -> tuple[int, str]:
    """Level and part of a module of a package in LEVELS. Raises `LookupError` for a part that is not in the table."""
    if module == package:
        return -1, ""
    part = module.removeprefix(f"{package}.").split(".")[0]
    for level, parts in enumerate(LEVELS[package]):
        if part in parts:
            return level, part
    raise LookupError(f"{module}: place {part!r} in LEVELS[{package!r}]")


def violations(tree: Mapping[str, str]) -> list[str]:
    """Everything in a tree that goes against the arrows, as sentences."""
    modules = frozenset(tree)
    found = [edge for module, source in tree.items() for edge in imports_of(module, source, modules)]
    return sorted(
        {
            *_against_packages(found),
            *_against_levels(found),
            *_against_libraries(found),
            *_circles(found),
            *_processing(tree),
            *_against_edges(found),
        }
    )


def _against_packages(found: list[Import]) -> Iterator[str]:
    for edge in found:
        if edge.imported.split(".")[0] in INSTALLED:
            yield f"{edge.importer} must not import {edge.imported}: it is sttd.{edge.imported}"
        area, other = area_of(edge.importer), area_of(edge.imported)
        if area is None or other is None or other == area:
            continue
        lazily = edge.lazy and other in MAY_IMPORT_LAZILY.get(area, frozenset())
        if other not in MAY_IMPORT[area] and not lazily:
            yield f"{edge.importer} must not import {edge.imported}"


def _against_levels(found: list[Import]) -> Iterator[str]:
    for package, edge in itertools.product(LEVELS, found):
        if not (_within(edge.importer, package) and _within(edge.imported, package)):
            continue
        (own, part), (other, other_part) = level_of(package, edge.importer), level_of(package, edge.imported)
        if part != other_part and other >= own:
            yield f"{edge.importer} must not import {edge.imported}: {other_part} is not below {part}"


def _against_libraries(found: list[Import]) -> Iterator[str]:
    for edge in found:
        home = LIBRARIES.get(edge.imported.split(".")[0])
        if home and _within(edge.importer, "sttd.consumer") and not _within(edge.importer, home):
            yield f"{edge.importer} must not import {edge.imported}: only {home} does"


def _against_edges(found: list[Import]) -> Iterator[str]:
    """HTTP stays in the gateway (and the daemon's side port), AMQP stays out of it."""
    for edge in found:
        library, area = edge.imported.split(".")[0], area_of(edge.importer)
        if area == "sttd.gateway" and library in AMQP:
            yield f"{edge.importer} must not import {edge.imported}: it talks to the daemon through sttd.Client only"
        if area in {"sttd.schemas", "sttd", "sttd.commands"} and library in HTTP:
            yield f"{edge.importer} must not import {edge.imported}: only sttd.gateway does"


def _circles(found: list[Import]) -> Iterator[str]:
    """Circles of imports that run when modules are loaded, each listed once, from its first name on."""
    graph: dict[str, set[str]] = {}
    for edge in found:
        if not edge.lazy and edge.imported != edge.importer:
            graph.setdefault(edge.importer, set()).add(edge.imported)
    for start in sorted(graph):
        path = _way_back(graph, start)
        if path and start == min(path):
            yield f"circle: {' -> '.join([*path, start])}"


def _way_back(graph: Mapping[str, set[str]], start: str) -> list[str]:
    ways = [[start]]
    seen = {start}
    while ways:
        way = ways.pop()
        for following in graph.get(way[-1], ()):
            if following == start:
                return way
            if following not in seen:
                seen.add(following)
                ways.append([*way, following])
    return []


def _processing(tree: Mapping[str, str]) -> Iterator[str]:
    """`message.process()` rejects without requeue when it is cancelled: a drain would lose messages.

    The peers of the benchmark are what others write, and may.
    """
    for module, source in ((module, source) for module, source in tree.items() if not _within(module, "bench.peers")):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "process":
                yield f"{module}:{node.lineno} calls .process()"


def real_tree() -> dict[str, str]:
    """Our own modules and their sources."""
    paths = [path for package in OURS for path in sorted((ROOT / package).rglob("*.py"))]  # follows no symbolic link
    return {_name(path.relative_to(ROOT)): path.read_text() for path in paths}


def _name(path: Path) -> str:
    name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    return f"sttd.{name}" if path.parts[0] in INSTALLED else name


def test_imports_of_the_whole_tree_follow_the_arrows() -> None:
    """The documented layout is that of the code."""
    assert violations(real_tree()) == []


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        (
            {"sttd.schemas.codes": "import sttd.consumer.errors"},
            "sttd.schemas.codes must not import sttd.consumer.errors",
        ),
        ({"sttd.consumer.app": "from sttd import Client"}, "sttd.consumer.app must not import sttd"),
        (
            {"sttd.consumer.app": "def late():\n    from tools.rabbitmq import Node"},
            "sttd.consumer.app must not import tools.rabbitmq",
        ),
        (
            {"sttd.client": "def late():\n    from sttd.consumer import settings"},
            "sttd.client must not import sttd.consumer",
        ),
        (
            {"sttd.commands.serve": "from sttd.consumer import __main__"},
            "sttd.commands.serve must not import sttd.consumer",
        ),
        (
            {"sttd.gateway.app": "import sttd.consumer.settings"},
            "sttd.gateway.app must not import sttd.consumer.settings",
        ),
        (
            {"sttd.gateway.app": "import aio_pika"},
            "sttd.gateway.app must not import aio_pika: it talks to the daemon through sttd.Client only",
        ),
        (
            {"sttd.subtitles": "import starlette.responses"},
            "sttd.subtitles must not import starlette.responses: only sttd.gateway does",
        ),
        ({"tools.contract": "from tests.support import broker"}, "tools.contract must not import tests.support"),
        ({"bench.scaling": "from tests.support import daemon"}, "bench.scaling must not import tests.support"),
        (
            {"sttd.consumer.bus.seam": "import sttd.consumer.request.delivery"},
            "sttd.consumer.bus.seam must not import sttd.consumer.request.delivery: request is not below bus",
        ),
        (
            {
                "sttd.consumer.engine.model.loaded": "from sttd.consumer.audio import decoder",
                "sttd.consumer.audio.decoder": "",
            },
            "sttd.consumer.engine.model.loaded must not import sttd.consumer.audio.decoder: audio is not below engine",
        ),
        (
            {"sttd.consumer.request.verdict": "from .handler import Handler"},
            "sttd.consumer.request.verdict must not import sttd.consumer.request.handler: handler is not below verdict",
        ),
        (
            {"sttd.consumer.request.handler": "import aio_pika.abc"},
            "sttd.consumer.request.handler must not import aio_pika.abc: only sttd.consumer.bus does",
        ),
        (
            {"sttd.consumer.engine.model.whisper": "def f():\n    import ctranslate2"},
            "only sttd.consumer.engine.model.loaded does",
        ),
        (
            {"sttd.consumer.audio.pool": "import av"},
            "sttd.consumer.audio.pool must not import av: only sttd.consumer.audio.child does",
        ),
        (
            {
                "sttd.consumer.bus.a": "from sttd.consumer.bus import b",
                "sttd.consumer.bus.b": "from sttd.consumer.bus.a import x",
            },
            "circle: sttd.consumer.bus.a -> sttd.consumer.bus.b -> sttd.consumer.bus.a",
        ),
        (
            {"sttd.consumer.request.worker": "async def f(m):\n    async with m.process():\n        pass"},
            "sttd.consumer.request.worker:2 calls .process()",
        ),
    ],
)
def test_each_rule_can_fail(tree: dict[str, str], told: str) -> None:
    """A rule that cannot find its own violation protects nothing."""
    (found,) = violations(tree)
    assert told in found


@pytest.mark.parametrize(
    "tree",
    [
        {"sttd.commands.serve": "def serve():\n    from sttd.consumer.__main__ import main"},
        {"sttd.commands.model": "if TYPE_CHECKING:\n    from sttd.consumer.settings import Settings"},
        {
            "sttd.consumer.bus.a": "from sttd.consumer.bus import b",
            "sttd.consumer.bus.b": "def f():\n    from sttd.consumer.bus import a",
        },
        {"sttd.client": "import aio_pika"},
        {
            "sttd.consumer.request.handler": "from sttd.consumer.bus.seam import Incoming\nfrom "
            "sttd.schemas import names"
        },
    ],
)
def test_what_the_arrows_allow_is_left_alone(tree: dict[str, str]) -> None:
    """A rule that forbids too much would be switched off."""
    assert violations(tree) == []


def test_a_part_of_the_daemon_without_a_level_is_an_error() -> None:
    """A new part has to be placed in the table; until then it must not import anything."""
    with pytest.raises(LookupError, match="place 'novelty' in LEVELS"):
        violations({"sttd.consumer.novelty": "import sttd.consumer.errors"})


def test_every_module_opens_with_a_docstring_and_has_at_most_350_lines() -> None:
    """The first lines of a module describe what it owns, and it has a bounded length."""
    tree = real_tree()
    silent = [module for module, source in tree.items() if not ast.get_docstring(ast.parse(source))]
    long = [module for module, source in tree.items() if len(source.splitlines()) > MOST_LINES]
    assert (silent, long) == ([], [])


def shared_names(tree: Mapping[str, str]) -> dict[str, list[str]]:
    """Public classes that are defined in more than one module, with those modules."""
    homes: dict[str, list[str]] = {}
    for module, source in tree.items():
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(module)
    return {name: modules for name, modules in homes.items() if len(modules) > 1}


def test_no_two_classes_that_are_installed_have_one_name() -> None:
    """One name, one thing: a search finds it (issue 12)."""
    assert shared_names({"a": "class Link: ...", "b": "class Link: ...\nclass _Own: ..."}) == {"Link": ["a", "b"]}
    assert shared_names({name: source for name, source in real_tree().items() if _within(name, "sttd")}) == {}


ORDINARY: Final = frozenset("__init__ __main__ app broker command errors report seam server settings work".split())
"""Names of modules with the same part in each package."""


def shared_module_names(tree: Mapping[str, str]) -> dict[str, list[str]]:
    """Names of modules that stand in more than one package, with those modules."""
    homes: dict[str, list[str]] = {}
    for module in tree:
        homes.setdefault(module.rpartition(".")[2], []).append(module)
    return {name: modules for name, modules in homes.items() if len(modules) > 1 and name not in ORDINARY}


def test_no_two_modules_that_are_installed_have_one_name() -> None:
    """Whoever looks for `link.py` finds one. What every package has (`settings`, `errors`) may have the same name."""
    assert shared_module_names({"a.link": "", "b.link": "", "c.errors": "", "d.errors": ""}) == {
        "link": ["a.link", "b.link"]
    }
    modules = {path: source for path, source in real_tree().items() if _within(path, "sttd")}
    packages = {module for module in modules if any(other.startswith(f"{module}.") for other in modules)}
    assert shared_module_names({module: "" for module in modules if module not in packages}) == {}
