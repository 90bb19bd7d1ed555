"""The benchmark's commands: reads arguments, finds the broker, picks the cores, calls the parts, writes the results."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bench import environments, figures, machine, report, run, scenarios, workload
from bench.models import ROOT, Model
from bench.stage import Bench, Peer
from bench.table import LADDER, PEERS
from sttd.consumer.machine import usable_cores
from sttd.service import log

QUICK: Final = run.Plan(rounds=1, seconds=6, loads=("closed:1", "closed:8", "poisson:75", "burst:20"))
LADDER_LOADS: Final = ("closed:8",)
RESULTS: Final = ROOT / "docs" / "benchmarks"


def main(arguments: Sequence[str]) -> int:
    """Run one command; the exit code."""
    if arguments[:1] == ["accuracy"]:  # has neither broker nor rounds
        from bench.accuracy import command as accuracy  # noqa: PLC0415 - the other commands need no voices

        return accuracy.main(arguments[1:])
    if arguments[:1] == ["numerals"]:
        from bench.numerals import command as numerals  # noqa: PLC0415 - the same

        return numerals.main(arguments[1:])
    if arguments[:1] == ["setup"]:
        return _setup(arguments[1:] or ["bench"])
    parser = _parser()
    given = parser.parse_args(arguments or ["--help"])
    log.configure("console", "warning")
    with _alone_on(given.cores), _bench(given) as bench:
        found = asyncio.run(COMMANDS[given.command](given, bench))
    _write(given, found)
    return 0


def _setup(names: Sequence[str]) -> int:
    if unknown := set(names) - set(environments.FOLDERS):
        sys.exit(f"bench: no environment {', '.join(unknown)}; there are {', '.join(environments.FOLDERS)}")
    for name in names:
        environments.install(name)
    return 0


HELP: Final = """The benchmarks, for a quiet machine. docs/benchmarks/README.md explains their results.

  run         every peer side by side, hours
  quick       the same in a few minutes, into .local/bench-quick
  ladder      the gain of each step of ours, from stock faster-whisper on
  scenario    single promises and their verdicts
  accuracy    word errors of every mode on recorded human voices, hours, resumable; has options of its own
  numerals    numbers as digits: sentences with numbers through the real model, resumable; has options of its own
  setup       install what some peers need into .local, as `run` does by itself; `setup torch`: up to 6 GB
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=HELP,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="WORD", help="one of these")
    parser.add_argument("names", nargs="*", help="for `scenario`: which (default: all): " + ", ".join(scenarios.ALL))
    parser.add_argument("--rounds", type=int, help="how often each peer has its turn (default: 5; quick: 1)")
    parser.add_argument(
        "--seconds", type=float, help="length of each closed loop and each Poisson load (default: 30; quick: 6)"
    )
    parser.add_argument("--peers", type=_names(PEERS), help="comma-separated (default: all): " + ", ".join(PEERS))
    parser.add_argument("--loads", type=_loads, help="comma-separated (default: all): " + ", ".join(run.LOADS))
    parser.add_argument(
        "--notes", choices=("short", "mixed", "samples"), default="short", help="3 s, 3 to 60 s, or sttd's own"
    )
    parser.add_argument(
        "--model", choices=[*workload.SIZES, "demo"], default="base", help="the size that the workload has, or `demo`"
    )
    parser.add_argument("--cores", type=int, default=min(2, usable_cores()), help="everything runs on so many")
    parser.add_argument("--count", type=int, help="for `memory`: notes")
    parser.add_argument(
        "--out", type=Path, help="directory for results (default: docs/benchmarks for `run`, else .local)"
    )
    return parser


def _loads(text: str) -> tuple[str, ...]:
    try:
        return run.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _names(table: Mapping[str, Peer]) -> Any:
    def parse(text: str) -> tuple[str, ...]:
        names = tuple(text.split(","))
        if unknown := set(names) - set(table):
            raise argparse.ArgumentTypeError(
                f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(table)}"
            )
        return names

    return parse


@contextmanager
def _alone_on(cores: int) -> Iterator[None]:
    """Let this process and all that it starts, the broker too, run on so many cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def _bench(given: argparse.Namespace) -> Iterator[Bench]:
    """A broker (STTD_AMQP_URL, or a private one) and a folder for sockets and logs."""
    from tools.rabbitmq import Node  # noqa: PLC0415 - `--help` needs no broker

    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        scratch = Path(folder)
        if url := os.environ.get("STTD_AMQP_URL"):
            yield Bench(Model(given.model), url, None, given.cores, scratch)
        else:
            with Node() as node:
                node.start()
                yield Bench(Model(given.model), node.amqp_url, node.pid, given.cores, scratch)


async def _run(given: argparse.Namespace, bench: Bench) -> dict[str, Any]:
    plan = run.Plan(given.rounds or 5, given.seconds or 30, given.loads or run.LOADS, given.notes)
    return await _compared(given, plan, _chosen(given), bench)


async def _quick(given: argparse.Namespace, bench: Bench) -> dict[str, Any]:
    plan = run.Plan(given.rounds or 1, given.seconds or QUICK.seconds, given.loads or QUICK.loads, given.notes)
    return await _compared(given, plan, _chosen(given), bench)


async def _ladder(given: argparse.Namespace, bench: Bench) -> dict[str, Any]:
    """With `auto`, as bots use it that do not know the language; a fixed language leaves step 3 without effect."""
    plan = run.Plan(given.rounds or 5, given.seconds or 30, given.loads or LADDER_LOADS, given.notes)
    return await _compared(given, plan, LADDER, replace(bench, language="auto"))


async def _compared(
    given: argparse.Namespace, plan: run.Plan, peers: Mapping[str, Peer], bench: Bench
) -> dict[str, Any]:
    """What there is so far is written after each round: a run of hours may be interrupted."""
    head = _head(bench) | {
        "plan": {
            "rounds": plan.rounds,
            "seconds": plan.seconds,
            "loads": list(plan.loads),
            "notes": plan.kind,
            "beam": bench.beam,
        },
        "titles": {name: peer.title for name, peer in peers.items()},
    }

    def whole(results: run.Results) -> dict[str, Any]:
        return head | {name: getattr(results, name) for name in ("samples", "starts", "missing", "left_out")}

    return whole(await run.run(plan, peers, bench, lambda results: _write(given, whole(results))))


async def _scenario(given: argparse.Namespace, bench: Bench) -> dict[str, Any]:
    head = _head(bench)
    found = {}
    for name in given.names or scenarios.ALL:
        if name not in scenarios.ALL:
            sys.exit(f"bench: no scenario {name}; there are {', '.join(scenarios.ALL)}")
        run.tell(f"scenario {name}")
        knobs = scenarios.Knobs(given.rounds, given.seconds, given.count)
        found[name] = await scenarios.ALL[name](bench, knobs)
        run.tell(json.dumps(figures.rounded(found[name].get("verdict", {})), ensure_ascii=False))
    return head | {"scenarios": found}


def _head(bench: Bench) -> dict[str, Any]:
    interpreters = map(environments.python, environments.FOLDERS)
    return {"machine": machine.describe(bench.cores, *interpreters), "model": bench.model.name}


def _chosen(given: argparse.Namespace) -> dict[str, Peer]:
    return {name: PEERS[name] for name in given.peers or PEERS}


def _write(given: argparse.Namespace, found: dict[str, Any]) -> None:
    """Pages, figures as JSON, and plots where matplotlib is installed.

    Only the comparison of all peers is a page of docs/.
    """
    raw = given.out or ROOT / ".local" / ("bench-quick" if given.command == "quick" else "bench-results")
    folder = RESULTS if given.command == "run" and not given.out else raw
    for place in (raw, folder):
        place.mkdir(parents=True, exist_ok=True)
    for stem, part in report.parts(given.command, found).items():
        path = raw / f"{stem}.json"
        path.write_text(json.dumps(figures.rounded(part), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        (folder / f"{stem}.md").write_text(report.page(stem, figures.rounded(part)), encoding="utf-8")
        if "samples" in part and (python := environments.python("bench")).exists():
            subprocess.run([python, "-m", "bench.plots", path], cwd=ROOT, check=True)  # noqa: S603 - our own module
        sys.stderr.write(f"written: {os.path.relpath(folder / stem)}.md and {os.path.relpath(path)}\n")


COMMANDS: Final = {
    "run": _run,
    "quick": _quick,
    "ladder": _ladder,
    "scenario": _scenario,
}
