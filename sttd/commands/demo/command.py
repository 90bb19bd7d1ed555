"""`sttd demo`: a daemon, the sample notes, their texts, and where to look next. Leaves nothing running."""

import asyncio
import http.client
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import typer
from rich.console import Console

from sttd import errors
from sttd.client import Client
from sttd.commands.connection import daemon_settings
from sttd.commands.demo.chosen import Chosen, choose
from sttd.commands.demo.daemon import DaemonEnded, DemoDaemon
from sttd.commands.demo.queues import corner, reachable
from sttd.commands.demo.report import BUNDLED, SampleResult, complaint, counters, table
from sttd.commands.exit_codes import Exit
from sttd.commands.extras import need_consumer
from sttd.commands.terminal import leave, say, stderr
from sttd.samples import Sample, samples
from sttd.settings import ClientSettings, load

READY_SECONDS: Final = 300
NOTE_SECONDS: Final = 600  # a quiet pair of cores needs twenty; a busy one must not fail the demo

NEXT = """Next: `make run` keeps a daemon running, `sttd transcribe FILE...` sends it
your own notes, and docs/client.md shows how a bot does it."""

NEXT_BUNDLED = """
The bundled model is for short notes about spending only. `sttd model fetch base`
fetches a real one, and `sttd demo` takes it."""


def demo() -> None:
    """See it work: start a daemon, send the sample notes through RabbitMQ, print their texts.

    Needs RabbitMQ at STTD_AMQP_URL (`make demo` starts one); uses a queue of its own there and deletes it. The model is
    `base`, fetched if it is not here, else the bundled one; STTD_MODEL names another. Exit code 0 means that every note
    came back as it should.
    """
    need_consumer()
    from sttd.consumer.errors import ModelUnavailable  # noqa: PLC0415 - the base install has no daemon

    try:
        settings = load()
        asyncio.run(reachable(settings))  # better found out now than after a download
        raise typer.Exit(asyncio.run(_demo(settings, choose(daemon_settings()))))
    except errors.SettingsInvalid as error:
        raise leave(Exit.USAGE, str(error)) from None
    except errors.BrokerUnavailable as error:
        raise leave(
            Exit.BROKER, f"{error} Unset STTD_AMQP_URL, and `make demo` starts a RabbitMQ of its own."
        ) from None
    except (DaemonEnded, ModelUnavailable) as error:
        raise leave(Exit.FAILED, str(error)) from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise leave(Exit.INTERRUPTED, "interrupted: no daemon and no queue of the demo is left") from None


async def _demo(settings: ClientSettings, model: Chosen) -> Exit:
    with _signals_cancel(), tempfile.TemporaryDirectory(prefix="sttd-demo-") as folder:
        async with corner(settings) as queue:
            log = Path(folder) / "daemon.log"
            return await _with_daemon(DemoDaemon(settings, model, queue, log), settings, queue)


async def _with_daemon(demo_daemon: DemoDaemon, settings: ClientSettings, queue: str) -> Exit:
    console = Console(highlight=False)
    async with demo_daemon as daemon:
        with stderr().status(f"starting the daemon: connecting, loading the model {daemon.model}, testing it"):
            await daemon.ready(READY_SECONDS)
        with stderr().status("sending the sample notes"):
            results = await _send(settings, queue)
        wrong = _show(console, results, daemon.model)
        await _show_side_port(console, daemon)
        code = await daemon.stop()
        wrong += [f"the daemon ended with exit code {code}; its log ends with\n{daemon.tail()}"] if code else []
    for line in wrong:
        say(line)
    told = NEXT + NEXT_BUNDLED * (daemon.model == BUNDLED)
    console.print(told if not wrong else "The demo did not go as it should; see above.", markup=False)
    return Exit.FAILED if wrong else Exit.OK


async def _send(settings: ClientSettings, queue: str) -> list[SampleResult]:
    """All notes at once, as many bots would."""
    async with Client(
        settings.amqp_url.get_secret_value(), queue=queue, timeout=NOTE_SECONDS, name="sttd demo"
    ) as client:
        return list(await asyncio.gather(*(_hear(client, sample) for sample in samples())))


async def _hear(client: Client, sample: Sample) -> SampleResult:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    try:
        answer = await client.transcribe(sample.path, language=sample.language)
    except errors.SttdClientError as error:
        return SampleResult(sample, error, loop.time() - begun)
    return SampleResult(sample, answer, loop.time() - begun)


def _show(console: Console, results: Sequence[SampleResult], model: str) -> list[str]:
    console.print(table(results, model))
    judged = ((heard.sample.file, complaint(heard, model)) for heard in results)
    return [f"{file}: {problem}" for file, problem in judged if problem]


async def _show_side_port(console: Console, daemon: DemoDaemon) -> None:
    console.print("\nWhile a daemon runs, its side port shows how it is (by default on port 9464):")
    for path, what in (("metrics", "for Prometheus"), ("readyz", "ready? each check by name"), ("healthz", "alive?")):
        console.print(f"  curl {daemon.url}/{path:<8} # {what}", markup=False)
    try:
        _, page = await daemon.get("/metrics")
    except (OSError, http.client.HTTPException) as error:
        say(f"no metrics: {error}")
        return
    console.print("Some of its metrics after these notes:")
    for line in counters(page):
        console.print(f"  {line}", markup=False)
    console.print()


@contextmanager
def _signals_cancel() -> Iterator[None]:
    """A closed terminal, or `kill`, ends the demo like Ctrl-C: the daemon has a session of its own and would stay."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # asyncio.run made one
    numbers = (signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
