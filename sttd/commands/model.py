"""`sttd model fetch`, `verify` and `info`: bring weights to this machine, check them, list what is here.

Never loads a model.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sttd.commands.connection import daemon_settings
from sttd.commands.exit_codes import Exit
from sttd.commands.extras import need_consumer
from sttd.commands.terminal import bytes_bar, leave, say, tell

if TYPE_CHECKING:
    from sttd.consumer.engine.files.layouts import Layout
    from sttd.consumer.settings import Settings

Cache = Annotated[
    Path | None,
    typer.Option(
        file_okay=False, help="Where downloads are kept. (default: STTD_MODEL_CACHE, or the Hub library's own)"
    ),
]


def build() -> typer.Typer:
    """The group `sttd model`."""
    app = typer.Typer(no_args_is_help=True, help="Speech models: fetch one, check it, or see what is on disk.")
    app.command()(fetch)
    app.command()(verify)
    app.command()(info)
    return app


def fetch(
    name: Annotated[
        str, typer.Argument(help="A size (`base`, `small`, `large-v3` ...), a Hub id, or `gigaam-v3-ctc`.")
    ],
    cache: Cache = None,
) -> None:
    """Download a model, so that the daemon starts without network.

    Continues an interrupted download; prints the directory.
    """
    need_consumer()
    settings = daemon_settings()
    from sttd.consumer.errors import ModelUnavailable  # noqa: PLC0415 - the base install has no daemon

    try:
        path = brought(name, cache or settings.model_cache, layout_of(name, settings))
    except ModelUnavailable as error:
        raise leave(Exit.FAILED, error.message) from None
    typer.echo(path)


def layout_of(name: str, settings: Settings) -> Layout:
    """Of the engine that knows this name, else of the configured one."""
    from sttd.consumer.engine.files import layouts  # noqa: PLC0415 - the base install has no daemon

    return layouts.of_name(name, settings.engine, settings.compute_type)


def brought(name: str, cache: Path | None, layout: Layout) -> Path:
    """The model's directory, downloaded if it is not here, with its source and progress on stderr.

    Raises `ModelUnavailable`.
    """
    from sttd.consumer.engine.files import store  # noqa: PLC0415 - the base install has no daemon
    from sttd.consumer.engine.files.download_progress import DownloadProgress  # noqa: PLC0415 - the same

    with bytes_bar() as bar:
        shown = bar.add_task(f"fetching {name}", total=None, visible=False)
        sources: set[str] = set()

        def tell(now: DownloadProgress) -> None:
            if now.done and now.source not in sources:  # from the first byte on: a failure has its own message
                sources.add(now.source)
                bar.console.print(f"fetching {name} from {now.source}", markup=False)
            bar.update(shown, completed=now.done, total=now.total or None, visible=True)

        return store.fetch(name, cache, tell, layout)


def verify(
    name: Annotated[str | None, typer.Argument(help="A size, a Hub id or a directory. (default: STTD_MODEL)")] = None,
    cache: Cache = None,
) -> None:
    """Read all of a downloaded model and compare each file with its hash.

    `sttd model fetch` downloads a damaged one again.
    """
    need_consumer()
    settings = daemon_settings()
    from sttd.consumer.engine.files import store  # noqa: PLC0415 - the base install has no daemon
    from sttd.consumer.errors import ModelUnavailable  # noqa: PLC0415 - the same

    wanted = name or settings.model
    path = found(wanted, cache or settings.model_cache, layout_of(wanted, settings))
    try:
        checked = store.verify(wanted, path)
    except ModelUnavailable as error:
        raise leave(Exit.FAILED, error.message) from None
    if not checked:
        raise leave(Exit.FAILED, f"no hash is known for {path}: it is no download of ours, nothing was compared")
    typer.echo(f"{wanted}: every file matches its hash")


def info(
    name: Annotated[
        str | None, typer.Argument(help="A size, a Hub id, a directory or `demo`. (default: STTD_MODEL)")
    ] = None,
    cache: Cache = None,
) -> None:
    """Show where a model is on disk, how big it is, which languages it supports, and how `sttd serve` would load it."""
    need_consumer()
    settings = daemon_settings()
    wanted = name or settings.model
    layout = layout_of(wanted, settings)
    _print(wanted, found(wanted, cache or settings.model_cache, layout), layout, settings)


def found(name: str, cache: Path | None, layout: Layout, code: Exit = Exit.FAILED) -> Path:
    """The model's directory, or one line and the end with this code."""
    from sttd.consumer.engine.files import store  # noqa: PLC0415 - the base install has no daemon
    from sttd.consumer.errors import ModelUnavailable  # noqa: PLC0415 - the same

    try:
        path = store.resolve(name, cache, layout)
    except ModelUnavailable as error:
        raise leave(code, error.message) from None
    if path is None:
        raise leave(code, f"model {name} is not on this machine: `sttd model fetch {name}` downloads it")
    return path


def _print(name: str, path: Path, layout: Layout, settings: Settings) -> None:
    size = sum(file.stat().st_size for file in path.iterdir() if file.is_file())
    how = f"device {settings.device}, compute type {settings.compute_type}, {settings.effective_slots} slots"
    rows = {
        "model": name,
        "directory": str(path),
        "size": f"{size / 1e6:,.1f} MB",
        "languages": ", ".join(layout.languages(path)) or _languages(path),
        "loads as": how,
    }
    for what, told in rows.items():
        tell(f"{what:<9}  {told}")
    if name == "demo":
        say("demo is for short notes about spending in Russian and a little English: to try out, never for production")


def _languages(path: Path) -> str:
    """By ctranslate2's own rule: a multilingual vocabulary holds the empty token."""
    try:
        vocabulary = _vocabulary(path)
        known = len(json.loads((path / "config.json").read_text(encoding="utf-8")).get("lang_ids", []))
    except (OSError, ValueError) as error:
        return f"unknown ({error})"
    return f"multilingual, {known} language codes" if "" in vocabulary else "English only"


def _vocabulary(path: Path) -> list[str]:
    tokens = path / "vocabulary.json"
    if tokens.is_file():
        return list(json.loads(tokens.read_text(encoding="utf-8")))
    return (path / "vocabulary.txt").read_text(encoding="utf-8").split("\n")[:-1]
