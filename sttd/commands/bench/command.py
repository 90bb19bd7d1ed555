"""`sttd bench FILES...`: the user's own audio and model, stock faster-whisper against the daemon's engine.

No RabbitMQ, no network. Each side runs in a process of its own (side.py), by turns. `--context` is short.py's.
"""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from sttd.commands.bench import report, short
from sttd.commands.bench.report import SideResult
from sttd.commands.bench.sides import SideFailed, SideProcess
from sttd.commands.connection import daemon_settings
from sttd.commands.exit_codes import Exit
from sttd.commands.extras import need_consumer
from sttd.commands.model import found
from sttd.commands.terminal import leave, notes_bar, say

Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True, help="Audio files of yours."),
]
Model = Annotated[
    str | None,
    typer.Option(help="A size, a Hub id, a directory or `demo`; must be on this machine. (default: STTD_MODEL)"),
]
Language = Annotated[
    str | None, typer.Option("--language", "-l", help="Spoken language, or `auto`. (default: STTD_LANGUAGE)")
]
Beam = Annotated[int | None, typer.Option(min=1, max=10, help="Beam width of both. (default: STTD_BEAM_SIZE)")]
Rounds = Annotated[
    int, typer.Option(min=1, max=100, help="How often each side transcribes all files; the median counts.")
]
Json = Annotated[bool, typer.Option("--json", help="Figures, texts and differences as JSON on stdout.")]
Context = Annotated[
    bool, typer.Option("--context", help="Compare sttd with itself instead: full windows and short contexts.")
]
Reference = Annotated[
    Path | None,
    typer.Option(
        metavar="TEXTS",
        exists=True,
        dir_okay=False,
        help="With --context: what is said in the files. A line for each: its name, a tab, the text.",
    ),
]


def bench(
    files: Files,
    model: Model = None,
    language: Language = None,
    beam: Beam = None,
    rounds: Rounds = 3,
    as_json: Json = False,
    context: Context = False,
    reference: Reference = None,
) -> None:
    """Compare sttd with stock faster-whisper on your own files and model: speed, memory, and the texts.

    With STTD_ENGINE=onnx: with onnx-asr as it is.

    Stock takes file by file with its own number of threads; sttd takes all at once with the settings of your daemon.
    Each side is a process of its own, the rounds alternate, and both decode before the clock starts.

    With --context: does a short encoder context, which costs half, make more errors on your notes? Take 150 or more.
    """
    need_consumer()
    if reference and not context:
        raise leave(Exit.USAGE, "--reference needs --context")
    asked = _asked(files, model, language, beam)
    if context and asked["engine"] != "whisper":
        raise leave(Exit.USAGE, "--context is about Whisper's encoder: set STTD_ENGINE=whisper")
    try:
        if context:
            unreadable = short.compare(asked, reference, as_json=as_json)
        else:
            unreadable = _show(*_compare(asked, rounds, len(set(files))), as_json=as_json)
    except SideFailed as error:
        raise leave(Exit.FAILED, str(error)) from None
    except KeyboardInterrupt:
        raise leave(Exit.INTERRUPTED, "interrupted") from None
    for file, reason in unreadable.items():
        say(f"{file}: {reason}")
    if unreadable:
        raise typer.Exit(Exit.FAILED)


def _asked(files: list[Path], model: str | None, language: str | None, beam: int | None) -> dict[str, Any]:
    """What both sides are given; ends the command where a setting or the model is not right."""
    settings = daemon_settings()
    from sttd.consumer.engine.files import layouts  # noqa: PLC0415 - the base install has no daemon

    name = model or settings.model
    layout = layouts.of(name, settings.engine, settings.compute_type)
    path = found(name, settings.model_cache, layout, Exit.USAGE)
    return {
        "files": list(dict.fromkeys(str(file) for file in files)),
        "path": str(path.resolve()),
        "engine": settings.engine,
        "name": name,
        "language": _known(language or settings.language),
        "beam": beam or settings.beam_size,
        "condition": settings.condition_on_previous_text,
        "dynamic": settings.encoder_context == "dynamic",
    }


def _known(language: str) -> str:
    from sttd.schemas import languages  # noqa: PLC0415 - beside the others

    try:
        return languages.code_or_auto(language)
    except ValueError:
        raise leave(
            Exit.USAGE, f"{language!r} is neither a Whisper language code (ru, en, de ...) nor `auto`"
        ) from None


def _compare(asked: dict[str, Any], rounds: int, count: int) -> tuple[SideResult, SideResult]:
    """Both sides loaded, then by turns.

    Ours reports first which device and type its settings lead to; stock is given the same.
    """
    with ExitStack() as stack, notes_bar() as bar:
        shown = bar.add_task("loading", total=2 * rounds * count)
        ours = stack.enter_context(SideProcess("ours", asked))
        same = {"device": ours.heard.device, "compute_type": ours.heard.compute_type}
        stock = stack.enter_context(SideProcess("stock", asked | same))
        if not stock.heard.seconds:
            raise SideFailed("none of the files can be decoded: " + "; ".join(stock.heard.unreadable.values()))
        for number in range(rounds):
            for side in (stock, ours):
                bar.update(shown, description=f"round {number + 1} of {rounds}, {side.heard.side}")
                side.round(lambda: bar.advance(shown))
    return stock.heard, ours.heard


def _show(stock: SideResult, ours: SideResult, *, as_json: bool) -> dict[str, str]:
    """Returns the files that cannot be decoded, with the reason."""
    differences = report.differences(stock.texts, ours.texts)
    if as_json:
        typer.echo(json.dumps(report.as_json(stock, ours, differences), ensure_ascii=False, indent=1))
        return stock.unreadable
    console = Console(highlight=False)
    console.print(report.table(stock, ours))
    for heard in (stock, ours):
        console.print(f"{heard.side}: {heard.engine} on {heard.device}, {heard.compute_type}", markup=False)
    for line in report.verdict(stock, differences):
        console.print(line, markup=False, soft_wrap=True)
    return stock.unreadable
