"""The benchmark's commands: reads arguments, finds the broker, picks the cores, calls the parts, writes the results."""

import argparse
import asyncio
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench import environments, figures, machine, report, run, scenarios
from bench.models import ROOT, Model
from bench.notes import SETS
from bench.peers import host
from bench.scenarios.knobs import Knobs
from bench.stage import Bench
from bench.table import HEADLINE, PEERS
from sttd.consumer.errors import ModelUnavailable
from sttd.consumer.machine import usable_cores
from sttd.service import log
from tools.voices import VoicesUnavailable

PLANS: Final = {
    "headline": (HEADLINE, run.Plan(3, 20, ("closed:1", "closed:8"))),
    "run": (tuple(PEERS), run.Plan(5, 30)),
}
RESULTS: Final = ROOT / "docs" / "benchmarks"
RAW: Final = ROOT / ".local" / "bench-results"

OF_THEIR_OWN: Final = frozenset({"accuracy", "confidence", "hotwords", "invented", "languages", "numerals"})

HELP: Final = """The benchmarks, for a quiet machine. docs/benchmarks/README.md explains their results.

  headline    what `make bench` does: the old service, a pool, a plain worker, whisper.cpp and sttd, under 30 minutes
  run         every peer under every load, hours, or what --peers, --loads, --rounds and --seconds leave of it
  scenario    single promises and their verdicts, by name
  accuracy    word errors of every mode on recorded human voices, hours, resumable; has options of its own
  confidence  how sure a text is, against how right it is, resumable; has options of its own
  numerals    numbers as digits: sentences with numbers through the real model, resumable; has options of its own
  hotwords    the operator's words: listed names with the list and without, resumable; has options of its own
  invented    words that are written where nobody speaks, ours and stock's, resumable; has options of its own
  languages   what `auto` takes short notes for, in five languages, resumable; has options of its own
  setup       install what some peers need into .local, as the others do by themselves
"""


def main(arguments: Sequence[str]) -> int:
    """Run one command; the exit code."""
    if arguments[:1] and arguments[0] in OF_THEIR_OWN:  # they have neither broker nor rounds
        command = importlib.import_module(f"bench.{arguments[0]}.command")  # the other commands need none of it
        try:
            return int(command.main(arguments[1:]))
        except (ModelUnavailable, VoicesUnavailable) as error:
            sys.exit(f"bench: {error}")
    if arguments[:1] == ["setup"]:
        environments.install()
        return 0
    given = _parser().parse_args(arguments or ["headline"])
    log.configure("console", "warning")
    try:
        with _alone_on(given.cores), _bench(given) as bench:
            found = asyncio.run(COMMANDS[given.command](given, bench))
    except ModelUnavailable as error:
        sys.exit(f"bench: {error.message}")
    _write(given, found)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", formatter_class=argparse.RawDescriptionHelpFormatter, description=HELP
    )
    parser.add_argument("command", choices=COMMANDS, metavar="WORD", help="one of these (default: headline)")
    parser.add_argument("names", nargs="*", help="for `scenario`: which; there are " + ", ".join(scenarios.ALL))
    parser.add_argument("--rounds", type=int, help="how often each peer has its turn (headline: 3; run: 5)")
    parser.add_argument(
        "--seconds", type=float, help="length of each closed loop and each Poisson load (headline: 20; run: 30)"
    )
    parser.add_argument("--peers", type=_peers, help="comma-separated; there are " + ", ".join(PEERS))
    parser.add_argument("--loads", type=_loads, help="comma-separated; `run` has " + ", ".join(run.LOADS))
    parser.add_argument(
        "--notes", choices=SETS, default="short", help="; ".join(f"{name}: {what}" for name, what in SETS.items())
    )
    parser.add_argument("--model", default="base", help="a size, a Hub id, a directory or `demo`")
    parser.add_argument("--cores", type=int, default=min(2, usable_cores()), help="everything runs on so many")
    parser.add_argument("--count", type=int, help="for scenarios: notes")
    parser.add_argument("--out", type=Path, help="directory for pages and figures (default: docs/benchmarks, .local)")
    return parser


def _loads(text: str) -> tuple[str, ...]:
    try:
        return run.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _peers(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(PEERS):
        raise argparse.ArgumentTypeError(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    return names


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
    """What there is so far is written after each round: a run of hours may be interrupted."""
    names, usual = PLANS[given.command]
    plan = run.Plan(
        given.rounds or usual.rounds, given.seconds or usual.seconds, given.loads or usual.loads, given.notes
    )
    peers = {name: PEERS[name] for name in given.peers or names}
    head = _head(bench) | {
        "plan": {
            "rounds": plan.rounds,
            "seconds": plan.seconds,
            "loads": list(plan.loads),
            "notes": plan.kind,
            "beam": host.BEAM,
        },
        "titles": {name: peer.title for name, peer in peers.items()},
    }

    def whole(results: run.Results) -> dict[str, Any]:
        return head | {name: getattr(results, name) for name in ("samples", "starts", "missing", "left_out")}

    return whole(await run.run(plan, peers, bench, lambda results: _write(given, whole(results))))


async def _scenario(given: argparse.Namespace, bench: Bench) -> dict[str, Any]:
    """Each is written when it is done."""
    if unknown := set(given.names) - set(scenarios.ALL) or (set() if given.names else {"nothing"}):
        sys.exit(f"bench: no scenario {', '.join(unknown)}; there are {', '.join(scenarios.ALL)}")
    found: dict[str, Any] = {}
    for name in given.names:
        run.tell(f"scenario {name}")
        knobs = Knobs(given.rounds, given.seconds, given.count)
        found = _head(bench) | {"scenario": name} | await scenarios.ALL[name](bench, knobs)
        run.tell(json.dumps(figures.rounded(found.get("verdict", {})), ensure_ascii=False))
        if name != given.names[-1]:
            _write(given, found)
    return found


def _head(bench: Bench) -> dict[str, Any]:
    told = machine.describe(bench.cores, environments.python())
    return {"machine": told, "model": bench.model.name, "date": datetime.now(UTC).date().isoformat()}


def _write(given: argparse.Namespace, found: dict[str, Any]) -> None:
    """Figures as JSON in .local; pages, and the plot of the curve, in docs."""
    raw, pages = (given.out or RAW), (given.out or (RESULTS if given.command != "run" else RAW))
    for place in (raw, pages):
        place.mkdir(parents=True, exist_ok=True)
    path = raw / f"{report.stem(given.command, found)}.json"
    path.write_text(json.dumps(figures.rounded(found), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    written = [path]
    for stem, text in report.pages(given.command, _all_of(path, given.command)).items():
        written.append(pages / f"{stem}.md")
        written[-1].write_text(text, encoding="utf-8")
    if "curve" in found and environments.python().exists():
        subprocess.run([environments.python(), "-m", "bench.plots", path, pages], cwd=ROOT, check=True)  # noqa: S603 - ours
    sys.stderr.write(f"written: {', '.join(map(os.path.relpath, written))}\n")


def _all_of(path: Path, command: str) -> list[dict[str, Any]]:
    """What the command's page is made of: all scenarios so far, else the one result."""
    files = sorted(path.parent.glob("scenario-*.json")) if command == "scenario" else [path]
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


COMMANDS: Final = {"headline": _run, "run": _run, "scenario": _scenario}
