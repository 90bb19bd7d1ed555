"""`sttd size`: notes a day and an answer time in, consumers and cores out, for a measured machine.

Loads the daemon only with `--measure`. Touches no broker.
"""

import asyncio
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from sttd.commands.connection import daemon_settings
from sttd.commands.exit_codes import Exit
from sttd.commands.extras import need_consumer
from sttd.commands.size.report import Asked, as_json, show
from sttd.commands.terminal import leave, say, stderr
from sttd.sizing import profile as profiles
from sttd.sizing.autoscaler import Autoscaler
from sttd.sizing.profile import Profile, ProfileError
from sttd.sizing.search import Machine, OutOfReach, Search
from sttd.sizing.traffic import Day, Lengths, hour_shares

Notes = Annotated[float, typer.Option("--notes-per-day", "-n", min=1, max=1e9, help="Voice notes in 24 hours.")]
P95 = Annotated[
    float, typer.Option("--p95", min=0.01, help="Seconds within which 19 of 20 notes of the busiest hour are answered.")
]
Mean = Annotated[
    float, typer.Option("--seconds", help="Mean length of a note in seconds; half of them are below 4/5 of it.")
]
Peak = Annotated[float, typer.Option(help="The busiest hour's share of the day's notes; 0.042: all hours are equal.")]
Cores = Annotated[
    int | None,
    typer.Option(
        "--cores-per-consumer",
        min=1,
        max=256,
        help="Cores, and so slots, of one consumer. (default: those of the measured daemon, else 2)",
    ),
]
Prefetch = Annotated[
    int | None, typer.Option(min=1, max=2000, help="STTD_PREFETCH. (default: 4 x cores, as in the daemon)")
]
Measure = Annotated[
    bool,
    typer.Option(
        "--measure", help="Time the configured model (STTD_MODEL ...) on this machine first; a minute or two."
    ),
]
Save = Annotated[Path | None, typer.Option(dir_okay=False, help="With --measure: keep what was measured in this file.")]
Given = Annotated[
    Path | None,
    typer.Option("--profile", dir_okay=False, help="Use a file that --save wrote, also on another machine."),
]
Scale = Annotated[
    bool, typer.Option("--autoscale", help="Also simulate the whole day with the autoscaler of deploy/kubernetes/keda.")
]
Waiting = Annotated[
    float, typer.Option(min=0.1, help="With --autoscale: waiting notes per consumer (the trigger's `value`).")
]
Start = Annotated[
    float, typer.Option("--start-seconds", min=0, help="With --autoscale: from the order of a pod to its first note.")
]
Flooding = Annotated[
    int | None,
    typer.Option("--flood", min=1, max=100_000, help="Also simulate one caller who sends so many notes at once."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def size(
    notes: Notes = 10_000,
    p95: P95 = 10,
    *,
    seconds: Mean = 12,
    peak_share: Peak = 0.09,
    cores: Cores = None,
    prefetch: Prefetch = None,
    measure: Measure = False,
    save: Save = None,
    given: Given = None,
    autoscale: Scale = False,
    waiting: Waiting = 10,
    start: Start = 30,
    flood: Flooding = None,
    as_object: Json = False,
) -> None:
    """How many consumers and cores a day's voice notes need.

    Simulates the busiest hour of a messenger's day: one queue, RabbitMQ's round robin and prefetch, the daemon's slots.
    What a note costs comes from a profile: the built-in one (the model base on the machine that docs/scaling.md
    describes), your own machine with --measure, or a file with --profile.

        sttd size --notes-per-day 50000 --p95 5
        sttd size --measure --save here.json
        sttd size --profile here.json --notes-per-day 50000 --p95 5 --autoscale

    The answer time counts from sending to the answer, without the network. Touches no broker.
    """
    if measure and given:
        raise leave(Exit.USAGE, "--measure times this machine, --profile uses what was timed before: choose one")
    if save and not measure:
        raise leave(Exit.USAGE, "--save keeps what --measure finds: add --measure")
    day = _day(notes, peak_share, seconds)
    profile = _profile(measure=measure, save=save, given=given)
    scaler = Autoscaler(most=100_000, waiting_each=waiting, start_seconds=start) if autoscale else None
    asked = Asked(p95, seconds, scaler, flood)
    machine = Machine(profile, cores or (profile.slots if measure or given else 2), prefetch)
    _answer(machine, day, asked, as_object=as_object)


def _answer(machine: Machine, day: Day, asked: Asked, *, as_object: bool) -> None:
    search = Search(machine, day)
    try:
        with stderr().status("simulating"):
            report = asked.report(machine, day, search)
    except OutOfReach as error:
        raise leave(
            Exit.FAILED,
            f"no number of consumers answers 19 of 20 notes within {asked.p95:g} s: alone on a core they take "
            f"{error.fastest:.1f} s with {machine.profile.model}; ask for a --p95 above that, or take a smaller model, "
            "a smaller beam or faster cores",
        ) from None
    typer.echo(as_json(report)) if as_object else show(report)


def _day(notes: float, peak: float, mean: float) -> Day:
    try:
        hour_shares(peak)
        return Day(notes, peak, Lengths.with_mean(mean))
    except ValueError as error:
        raise leave(Exit.USAGE, f"{error}: see `sttd size --help`") from None


def _profile(*, measure: bool, save: Path | None, given: Path | None) -> Profile:
    if measure:
        return _measured(save)
    try:
        return profiles.load(given) if given else profiles.built_in()
    except ProfileError as error:
        raise leave(Exit.USAGE, str(error)) from None


def _measured(save: Path | None) -> Profile:
    """Load and time the configured model, or one line and the end."""
    need_consumer()
    import structlog  # noqa: PLC0415 - the base install has no daemon

    from sttd.commands.size.measure import measure  # noqa: PLC0415 - with it comes what only this option needs
    from sttd.consumer.errors import StartupError  # noqa: PLC0415 - the same

    # Its default is stdout, where the answer goes; the engine's good news is not for this command.
    level = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=level, logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    configured = daemon_settings()
    try:
        with stderr().status("measuring") as status:
            found = asyncio.run(measure(configured, tell=lambda line: status.update(f"measuring: {line}")))
    except StartupError as error:
        raise leave(Exit.FAILED, f"{error.message} (`sttd check` looks at the whole host)") from None
    except KeyboardInterrupt:
        raise leave(Exit.INTERRUPTED, "interrupted: nothing was stored") from None
    if save:
        _keep(found, save)
    return found


def _keep(found: Profile, path: Path) -> None:
    try:
        found.save(path)
    except OSError as error:
        raise leave(Exit.FAILED, f"{path}: {error.strerror}; the measurement is lost, choose another --save") from None
    say(f"kept in {path}: use it with --profile {path}")
