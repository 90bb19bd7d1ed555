"""`sttd transcribe`, `sttd demo` and the example of the docs as processes against a real RabbitMQ."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage

from sttd.commands.demo.queues import corner
from sttd.schemas import names
from sttd.settings import load
from tests.support import fake_hub, fake_pip
from tests.support.broker import Broker, wait_until
from tests.support.fake_daemon import FakeDaemon, control, failure, progress, silent, transcript
from tests.support.waiting import BRIEFLY, PATIENCE

ROOT = Path(__file__).parents[2]


@pytest.fixture
def notes(tmp_path: Path) -> list[str]:
    """Five files, whose content is their text; the third is broken."""
    paths = [tmp_path / f"{number}.ogg" for number in range(5)]
    for number, path in enumerate(paths):
        path.write_text("broken" if number == 2 else f"text {number}")
    return [str(path) for path in paths]


async def scripted(daemon: FakeDaemon, message: AbstractIncomingMessage) -> None:
    """Echo the body, after one progress message if asked; `broken` cannot be read."""
    if "stt-progress" in message.headers:
        await daemon.reply(message, progress(message, 0.5))
    await daemon.reply(
        message, failure(message, "audio_unreadable") if message.body == b"broken" else transcript(message)
    )


async def start(url: str, cwd: Path, *args: str) -> Process:
    """`python ARGS` with this broker, and the bundled model where one is loaded."""
    environment = {"STTD_MODEL": "demo", **os.environ, "STTD_AMQP_URL": url}
    return await asyncio.create_subprocess_exec(
        sys.executable, *args, env=environment, cwd=cwd, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )


async def run(url: str, cwd: Path, *args: str, stdin: bytes = b"") -> tuple[int | None, list[str], list[str]]:
    """Exit code and lines of stdout and stderr of `python ARGS`."""
    process = await start(url, cwd, *args)
    out, err = await process.communicate(stdin)
    return process.returncode, out.decode().splitlines(), err.decode().splitlines()


def read_screen(screen: int) -> str:
    """All that is drawn on a terminal until its last user is gone."""
    drawn = b""
    with open(screen, "rb", buffering=0) as source, contextlib.suppress(OSError):  # EIO is the end of a terminal
        while part := source.read(65536):
            drawn += part
    return drawn.decode()


async def test_results_come_in_argument_order_and_failures_are_summed_up(
    broker: Broker, tmp_path: Path, notes: list[str]
) -> None:
    """Only texts go to stdout; stderr holds one line per failure; the exit code shows that some failed."""
    async with FakeDaemon(broker.amqp_url, scripted):
        code, out, err = await run(broker.amqp_url, tmp_path, "-m", "sttd", "transcribe", *notes)
    assert code == 1
    assert out == [f"{notes[number]}: text {number}" for number in (0, 1, 3, 4)]
    assert err == [f"{notes[2]}: audio_unreadable: it is audio_unreadable", "1 of 5 failed"]


@pytest.mark.parametrize("name", ["demo", "base"])
async def test_texts_of_the_demo_model_come_with_a_warning(
    broker: Broker, tmp_path: Path, notes: list[str], name: str
) -> None:
    """Once, on stderr, with the next step: nobody should judge the project by a model of 4.7 MB."""

    async def answer(daemon: FakeDaemon, message: AbstractIncomingMessage) -> None:
        model = transcript(message).model.model_copy(update={"name": name})
        await daemon.reply(message, transcript(message).model_copy(update={"model": model}))

    async with FakeDaemon(broker.amqp_url, answer):
        code, out, err = await run(broker.amqp_url, tmp_path, "-m", "sttd", "transcribe", *notes[:2])
    assert (code, len(out)) == (0, 2)
    assert ["demo model" in line and "STTD_MODEL=base" in line for line in err] == ([True] if name == "demo" else [])


async def test_json_lines_hold_failures_too(broker: Broker, tmp_path: Path, notes: list[str]) -> None:
    """A program reads one stream, in order."""
    async with FakeDaemon(broker.amqp_url, scripted):
        code, out, _ = await run(broker.amqp_url, tmp_path, "-m", "sttd", "transcribe", "--format", "json", *notes)
    lines = [json.loads(line) for line in out]
    assert code == 1
    assert [line["file"] for line in lines] == notes
    assert [line["status"] for line in lines] == ["completed", "completed", "failed", "completed", "completed"]
    assert lines[2]["error"]["code"] == "audio_unreadable"


async def test_one_file_from_stdin_gives_its_text_alone(broker: Broker, tmp_path: Path) -> None:
    """`cat note.ogg | sttd transcribe -`, with the options on the wire."""
    async with FakeDaemon(broker.amqp_url) as daemon:
        args = ("-m", "sttd", "transcribe", "--language", "en", "--caller", "чат 7", "-")
        code, out, err = await run(broker.amqp_url, tmp_path, *args, stdin=b"from stdin")
        sent = daemon.seen[0].headers
        assert (sent["stt-language"], sent["stt-caller"]) == ("en", "чат 7")
    assert (code, out, err) == (0, ["from stdin"], [])


async def shell(url: str, cwd: Path, command: str) -> tuple[int | None, str, str]:
    """Exit code, stdout and stderr of a command line of bash, in which `sttd` is this one."""
    environment = {**os.environ, "STTD_AMQP_URL": url}
    whole = command.replace("sttd ", f"{sys.executable} -m sttd ")
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", whole, env=environment, cwd=cwd, stdout=PIPE, stderr=PIPE
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_pipes_are_read_wherever_they_stand(broker: Broker, tmp_path: Path) -> None:
    """`<(...)` of the shell, a named pipe, and stdin by its other name: each as a file."""
    os.mkfifo(tmp_path / "pipe")
    command = "printf three > pipe & printf two | sttd transcribe -f json <(printf one) /dev/stdin pipe"
    async with FakeDaemon(broker.amqp_url, scripted):
        code, out, err = await shell(broker.amqp_url, tmp_path, command)
    assert code == 0, err
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["one", "two", "three"]


async def test_a_file_name_that_is_no_utf8_comes_out_as_valid_json_and_text(broker: Broker, tmp_path: Path) -> None:
    """Results, failures and names of results: all of it."""
    (tmp_path / os.fsdecode(b"\xff.ogg")).write_text("heard")
    (tmp_path / os.fsdecode(b"\xfe.ogg")).write_text("broken")
    async with FakeDaemon(broker.amqp_url, scripted):
        code, out, _ = await shell(broker.amqp_url, tmp_path, "sttd transcribe -f json *.ogg")
        _, text, told = await shell(broker.amqp_url, tmp_path, "sttd transcribe *.ogg")
        written, _, _ = await shell(broker.amqp_url, tmp_path, "sttd transcribe *.ogg -o texts")
    assert (code, written) == (1, 1)
    assert [json.loads(line)["file"] for line in out.splitlines()] == ["\\xfe.ogg", "\\xff.ogg"]
    assert text == "\\xff.ogg: heard\n"
    assert told.startswith("\\xfe.ogg: audio_unreadable: ")
    assert [os.fsencode(path.name) for path in (tmp_path / "texts").iterdir()] == [b"\xff.txt"]


async def test_a_stdout_that_fails_in_the_middle_loses_no_finished_result(broker: Broker, tmp_path: Path) -> None:
    """As on a full disk, here by a limit: one line says why, the results are on stderr, the exit code is 1."""
    for name in ("a.ogg", "b.ogg"):
        (tmp_path / name).write_text(f"text of {name}")
    async with FakeDaemon(broker.amqp_url, scripted):
        code, out, err = await shell(broker.amqp_url, tmp_path, "ulimit -f 0; sttd transcribe a.ogg b.ogg > out.txt")
    assert (code, out) == (1, "")
    assert err.splitlines()[0].startswith("stdout cannot be written: File too large; what is finished follows here")
    assert "a.ogg: text of a.ogg" in err.splitlines()
    assert "Traceback" not in err


async def test_a_queue_that_nobody_has_ever_served_ends_with_3_and_one_line(
    broker: Broker, tmp_path: Path, notes: list[str]
) -> None:
    """However many files there are."""
    code, out, err = await run(broker.amqp_url, tmp_path, "-m", "sttd", "transcribe", *notes)
    assert (code, out, len(err)) == (3, [], 1), "\n".join(err)
    assert "sttd serve" in err[0]


async def test_an_answer_that_does_not_come_is_a_failure_of_that_file(
    broker: Broker, tmp_path: Path, notes: list[str]
) -> None:
    """A timeout is not a broker that is away."""
    async with FakeDaemon(broker.amqp_url, silent):
        code, out, err = await run(
            broker.amqp_url, tmp_path, "-m", "sttd", "transcribe", "--timeout", f"{BRIEFLY}", notes[0]
        )
    assert (code, out) == (1, [])
    assert "reply_timeout" in err[0]


async def test_ctrl_c_ends_in_order(broker: Broker, tmp_path: Path, notes: list[str]) -> None:
    """Exit code 130, one line, and no reply queue left on the broker."""
    async with FakeDaemon(broker.amqp_url, silent) as daemon:
        process = await start(broker.amqp_url, tmp_path, "-m", "sttd", "transcribe", *notes)
        for _ in notes:
            await daemon.arrived.acquire()
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    assert (process.returncode, out) == (130, b"")
    assert err.startswith(b"interrupted")
    assert b"Traceback" not in err
    await wait_until(lambda: not [queue for queue in broker.queues() if queue["name"].startswith("sttd.client.")])


async def test_ctrl_c_ends_a_command_that_still_reads_stdin(broker: Broker, tmp_path: Path, notes: list[str]) -> None:
    """As one that was typed without a file: the thread that reads held up the end."""
    async with FakeDaemon(broker.amqp_url, silent) as daemon:
        process = await start(broker.amqp_url, tmp_path, "-m", "sttd", "transcribe", notes[0], "-")
        await daemon.arrived.acquire()
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(PATIENCE):
            assert await process.wait() == 130
        _, err = await process.communicate()
    assert err == b"interrupted: what was not finished was cancelled\n"


async def test_what_is_finished_is_printed_and_the_rest_cancelled_at_the_daemon_by_ctrl_c(
    broker: Broker, tmp_path: Path, notes: list[str]
) -> None:
    """The first file waits, the second is done: its text is not lost, and the first is cancelled."""

    async def first_waits(daemon: FakeDaemon, message: AbstractIncomingMessage) -> None:
        if message.body == b"text 0":
            await asyncio.Event().wait()
        await daemon.reply(message, transcript(message))

    async with control(broker.amqp_url) as heard, FakeDaemon(broker.amqp_url, first_waits) as daemon:
        process = await start(broker.amqp_url, tmp_path, "-m", "sttd", "transcribe", "-o", "out", *notes[:2])
        await wait_until((tmp_path / "out" / "1.txt").exists)
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
        (waiting,) = [message.message_id for message in daemon.seen if message.body == b"text 0"]
        await wait_until(lambda: heard == [waiting])
    assert (process.returncode, err) == (130, b"interrupted: what was not finished was cancelled\n")


async def test_results_go_into_a_directory_whole_and_failures_do_not(
    broker: Broker, tmp_path: Path, notes: list[str]
) -> None:
    """One file per note, in the format asked for; the summary counts them, and the exit code shows a failure."""
    async with FakeDaemon(broker.amqp_url, scripted) as daemon:
        args = ("-m", "sttd", "transcribe", "--format", "vtt", "--words", "--output", "deep/out", *notes)
        code, out, err = await run(broker.amqp_url, tmp_path, *args)
        assert {message.headers["stt-word-timestamps"] for message in daemon.seen} == {"true"}
    written = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "deep" / "out").iterdir()}
    assert (code, out) == (1, [])
    assert written == dict.fromkeys(["0.vtt", "1.vtt", "3.vtt", "4.vtt"], "WEBVTT\n")
    assert err == [f"{notes[2]}: audio_unreadable: it is audio_unreadable", "4 of 5 written to deep/out"]


async def test_results_go_into_a_directory_where_stdout_is_closed(
    broker: Broker, tmp_path: Path, notes: list[str]
) -> None:
    """As services start their programs; it needs no stdout."""
    async with FakeDaemon(broker.amqp_url, scripted):
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            f"exec {sys.executable} -m sttd transcribe --output out {notes[0]} >&-",
            env={**os.environ, "STTD_AMQP_URL": broker.amqp_url},
            cwd=tmp_path,
            stderr=PIPE,
        )
        _, err = await process.communicate()
    assert (process.returncode, err.decode().splitlines()) == (0, ["1 of 1 written to out"])
    assert len(list((tmp_path / "out").iterdir())) == 1


async def test_a_terminal_shows_progress_and_the_results_stay_clean(
    broker: Broker, tmp_path: Path, notes: list[str]
) -> None:
    """Bars go to the terminal on stderr only, and only then is progress requested; stdout is unchanged."""

    async def reporting(daemon: FakeDaemon, message: AbstractIncomingMessage) -> None:
        assert message.headers["stt-progress"] == "true"
        await daemon.reply(message, progress(message, 0.5))
        await daemon.reply(message, transcript(message))

    screen, terminal = os.openpty()
    async with FakeDaemon(broker.amqp_url, reporting):
        environment = {**os.environ, "STTD_AMQP_URL": broker.amqp_url, "TERM": "xterm", "COLUMNS": "120"}
        command = (sys.executable, "-m", "sttd", "transcribe", *notes)
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, cwd=tmp_path, stdout=PIPE, stderr=terminal
        )
        os.close(terminal)
        drawing = asyncio.create_task(asyncio.to_thread(read_screen, screen))
        out, _ = await process.communicate()
        drawn = await drawing
    assert out.decode().splitlines() == [
        f"{note}: {'broken' if number == 2 else f'text {number}'}" for number, note in enumerate(notes)
    ]
    assert "transcribing" in drawn
    assert "/5" in drawn


async def test_the_examples_of_the_docs_run_as_they_are_printed(
    broker: Broker, tmp_path: Path, notes: list[str]
) -> None:
    """The first thing that a bot developer copies: a bot, the blocking client, a stream."""
    page = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
    programs = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    for name, program in zip(("bot.py", "blocking.py", "stream.py"), programs, strict=True):
        (tmp_path / name).write_text(program, encoding="utf-8")
    (tmp_path / "note.ogg").write_text("a note", encoding="utf-8")
    async with FakeDaemon(broker.amqp_url, scripted):
        code, out, err = await run(broker.amqp_url, tmp_path, "bot.py", *notes[1:3])
        assert (code, err) == (0, [])
        assert out == ["text 1", "send me another recording, please: it is audio_unreadable"]
        assert await run(broker.amqp_url, tmp_path, "blocking.py") == (0, ["a note"], [])
        assert await run(broker.amqp_url, tmp_path, "stream.py") == (0, ["50% so far", "a note"], [])


async def test_a_demo_empties_each_queue_before_it_deletes_it(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Interrupted early it deletes young queues, of which RabbitMQ 3.10 may not know yet that they dead-letter.

    What the daemon has not declared is no failure.
    """
    calls: list[str] = []

    def noted(kind: type, method: str) -> None:
        real = getattr(kind, method)

        async def call(*given: Any, **named: Any) -> Any:
            calls.append(method)
            return await real(*given, **named)

        monkeypatch.setattr(kind, method, call)

    noted(aio_pika.Queue, "purge")
    noted(aio_pika.Channel, "queue_delete")
    async with corner(load(amqp_url=broker.amqp_url)) as queue:
        for name in names.request_queues(queue)[:2]:
            broker.declare(name, x_queue_type="quorum")
    assert calls == ["purge", "queue_delete", "purge", "queue_delete", "purge", "purge"]
    assert capsys.readouterr().err == ""
    await wait_until(lambda: not broker.queues())


@pytest.mark.slow("a whole demo")
@pytest.mark.timeout(300)  # a daemon, ten notes and two imports of everything, on a busy machine
async def test_a_demo_whose_daemon_cannot_start_says_why_and_leaves_nothing(broker: Broker, tmp_path: Path) -> None:
    """Here the user may not declare queues: the daemon's own words reach the person, and the exit code is 1."""
    url = broker.add_user(f"{broker.user}-poor", "x", configure=r"^sttd\.client\.", write=".*", read=".*")
    code, _, err = await run(url, tmp_path, "-m", "sttd", "demo")
    said = "\n".join(err)
    assert code == 1
    assert "the daemon ended with exit code 4" in said
    assert "cannot be declared" in said
    assert "Traceback" not in said
    assert not broker.queues()


@pytest.mark.slow("a whole demo")
@pytest.mark.timeout(300)  # a daemon, ten notes and two imports of everything, on a busy machine
async def test_a_demo_without_hub_index_and_cache_runs_the_bundled_model(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line reports it, every note comes back, the exit code is 0; but a model that is asked for is not replaced."""
    fake_pip.install(tmp_path / "fake", monkeypatch).says("WARNING: Retrying (Retry(total=0))")
    with fake_hub.refusing() as endpoint:
        for name, value in {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path), "STTD_MODEL": ""}.items():
            monkeypatch.setenv(name, value)
        code, _, err = await run(broker.amqp_url, tmp_path, "-m", "sttd", "demo")
        assert (code, len(err)) == (0, 1), err
        assert err[0].startswith("taking the bundled model")
        monkeypatch.setenv("STTD_MODEL", "base")
        code, out, err = await run(broker.amqp_url, tmp_path, "-m", "sttd", "demo")
        assert (code, out, len(err)) == (1, [], 1), err
        assert err[0].startswith("model 'base' is not on this machine; ")


@pytest.mark.slow("a whole demo")
@pytest.mark.timeout(300)  # a daemon, ten notes and two imports of everything, on a busy machine
async def test_a_demo_leaves_the_notes_and_suspects_of_a_daemon_alone(broker: Broker, tmp_path: Path) -> None:
    """Its model has a few phrases: another bot's note would come back as nonsense."""
    for queue in ("stt.requests", "stt.suspect"):
        broker.declare(
            queue,
            x_queue_type="quorum",
            x_delivery_limit=20,
            x_dead_letter_exchange="stt.dlx",
            x_dead_letter_strategy="at-least-once",
            x_overflow="reject-publish",
        )
        broker.publish(queue, b"somebody else's")
    code, _, err = await run(broker.amqp_url, tmp_path, "-m", "sttd", "demo")
    assert code == 0, err
    assert (broker.depth("stt.requests"), broker.depth("stt.suspect")) == (1, 1)
    assert not [queue for queue in broker.queues() if queue["name"].startswith("stt.demo")]
