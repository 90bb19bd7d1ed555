"""Every program in examples/ against the real daemon: what a bot developer copies works as it stands."""

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from aio_pika.abc import AbstractIncomingMessage
from amqp.exceptions import PreconditionFailed
from celery import Celery
from kombu import pools
from kombu.entity import Queue

from sttd import Client, errors
from tests.support.broker import Broker, External
from tests.support.daemon import DaemonProcess
from tests.support.fake_daemon import FakeDaemon, failure, transcript
from tests.support.notes import GROCERIES, note, short_notes, spoken
from tests.support.waiting import PATIENCE
from tools import examples
from tools.rabbitmq import Node

EXAMPLES = Path(__file__).parents[2] / "examples"

PROGRAMS = {
    "python": [sys.executable, "bot.py"],
    "pika": [sys.executable, "transcribe.py"],
    "faststream": [sys.executable, "transcribe.py"],
    "node": ["node", "transcribe.mjs"],
    "php": ["php", "transcribe.php"],
}


@pytest.fixture(scope="module")
def url(node: Node | External, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where one daemon serves all examples of this file."""
    with Broker(node) as broker:
        daemon = DaemonProcess(broker.amqp_url, tmp_path_factory.mktemp("examples") / "daemon.log").start()
        try:
            daemon.wait_ready()
            yield broker.amqp_url
        finally:
            daemon.close()


@pytest.fixture(autouse=True, scope="module")
def _toolchains() -> None:
    """Not skipped where something is missing: an example that was not run may not work."""
    if not examples.ready():
        pytest.fail(
            f"the examples need {', '.join(examples.missing()) or 'npm ci in examples/node'}. {examples.NEXT_STEP}"
        )


def run(name: str, url: str, *paths: Path) -> tuple[int, list[str], str]:
    """Exit code, sorted lines of stdout, and stderr of one example."""
    done = subprocess.run(
        [*PROGRAMS[name], *map(str, paths)],
        cwd=EXAMPLES / name,
        env={**os.environ, "STTD_AMQP_URL": url},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, sorted(done.stdout.splitlines()), done.stderr


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_example_gives_each_note_its_own_text_and_a_failure_its_code(name: str, url: str) -> None:
    """Three notes and a damaged file, all in flight at once."""
    notes = [sample for sample in short_notes() if sample.language == "ru"][:3]
    damaged = note(expect="audio_unreadable")
    code, lines, err = run(name, url, *(sample.path for sample in notes), damaged.path)
    told = {Path(line.partition(": ")[0]).name: line.partition(": ")[2] for line in lines}
    assert {sample.path.name: spoken(told[sample.path.name]) for sample in notes} == {
        s.path.name: spoken(s.text) for s in notes
    }, err
    assert "audio_unreadable" in told[damaged.path.name]
    assert code == (0 if name == "python" else 1)  # the bot has answered; for the others it is a failed file
    assert "Traceback" not in err


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_example_says_at_once_that_nobody_serves(name: str, broker: Broker) -> None:
    """A wrong vhost, or a daemon that was never started: not a wait for a timeout, but a sentence."""
    code, lines, err = run(name, broker.amqp_url, note(text=GROCERIES).path)
    assert "stt.requests does not exist" in err
    assert (code, lines) == (1, []) if name != "python" else lines


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("what", ["missing", "folder"])
def test_each_example_names_the_file_that_it_cannot_read(name: str, what: str, url: str, tmp_path: Path) -> None:
    """A typing mistake is the first thing that a newcomer makes: one sentence, no traceback, an exit code."""
    path = tmp_path / "missing.ogg" if what == "missing" else tmp_path
    code, lines, err = run(name, url, path)
    assert (code, lines) == (1, [])
    (sentence,) = err.splitlines()
    assert sentence.startswith(f"{path}: ")


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_empty_file_is_one_that_cannot_be_heard(name: str, url: str, tmp_path: Path) -> None:
    """A download that broke off: a failure like any other."""
    path = tmp_path / "empty.ogg"
    path.touch()
    code, lines, err = run(name, url, path)
    assert (len(lines), "audio_empty" in lines[0], err) == (1, True, "")
    assert code == (0 if name == "python" else 1)  # the bot has answered


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("host", ["127.0.0.1", "rabbit.invalid"])
def test_each_example_says_that_there_is_no_rabbitmq(name: str, host: str, unused_tcp_port: int) -> None:
    """One sentence: a wrong address is the second mistake, and a misspelt name as likely as a wrong port."""
    code, lines, err = run(name, f"amqp://guest:guest@{host}:{unused_tcp_port}/", note(text=GROCERIES).path)
    assert (code, lines) == (1, [])
    assert "RabbitMQ" in err
    assert len(err.splitlines()) <= 2  # FastStream's library has a line of its own


@pytest.mark.parametrize("name", ["pika", "node", "php"])  # the others connect again
async def test_each_example_says_that_its_connection_is_gone(name: str, broker: Broker) -> None:
    """RabbitMQ is restarted while a note is at work: a sentence, not where in a library it was found out."""

    async def silent(_daemon: FakeDaemon, _message: AbstractIncomingMessage) -> None:
        await asyncio.Event().wait()

    async with FakeDaemon(broker.amqp_url, silent) as daemon:
        running = await asyncio.create_subprocess_exec(
            *PROGRAMS[name],
            str(note(text=GROCERIES).path),
            cwd=EXAMPLES / name,
            env={**os.environ, "STTD_AMQP_URL": broker.amqp_url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        await daemon.arrived.acquire()
        ended = asyncio.create_task(running.communicate())
        async with asyncio.timeout(PATIENCE):
            while not ended.done():  # the broker lists a connection some seconds after it was made
                await asyncio.to_thread(broker.close_connections)
                await asyncio.wait({ended}, timeout=0.2)
    out, err = await ended
    assert (running.returncode, out) == (1, b"")
    lines = err.decode().splitlines()
    assert any("the connection to RabbitMQ is gone" in line for line in lines)
    assert len(lines) <= 2  # Node's library has a line of its own


def load(path: Path) -> ModuleType:
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(f"example_{path.parent.name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_bot_cuts_long_texts_at_spaces_and_loses_no_word() -> None:
    """A messenger refuses a message of more than 4,096 characters; half a word is no word."""
    split = load(EXAMPLES / "python" / "bot.py").split
    text = " ".join(f"слово-{n}" for n in range(2000))
    parts = split(text)
    assert all(0 < len(part) <= 4096 for part in parts)
    assert " ".join(parts) == text
    assert split("x" * 5000) == ["x" * 4096, "x" * 904]
    assert split("короткая") == ["короткая"]
    assert split("") == []


class Chat:
    """A message of a messenger that records what the bot sent."""

    def __init__(self, voice: bytes) -> None:
        self._voice = voice
        self.said: list[str] = []

    async def download(self) -> bytes:
        return self._voice

    async def answer(self, text: str) -> None:
        self.said.append(text)


async def test_the_bot_answers_whatever_becomes_of_the_note(broker: Broker) -> None:
    """A long text in several messages, silence, a bad recording, an error: the person always gets an answer."""
    on_voice = load(EXAMPLES / "python" / "bot.py").on_voice
    words = " ".join(f"слово-{n}" for n in range(2000))

    async def script(daemon: FakeDaemon, message: AbstractIncomingMessage) -> None:
        texts = {b"long": words, b"silence": ""}
        code = message.body.decode()
        await daemon.reply(
            message, transcript(message, texts[message.body]) if message.body in texts else failure(message, code)
        )

    chats = {what: Chat(what.encode()) for what in ("long", "silence", "audio_unreadable", "model_error")}
    async with FakeDaemon(broker.amqp_url, script), Client(broker.amqp_url) as client:
        for chat in chats.values():
            await on_voice(chat, client)
    assert " ".join(chats["long"].said) == words
    assert max(map(len, chats["long"].said)) <= 4096
    assert [chats[what].said[0].split()[2] for what in ("silence", "audio_unreadable", "model_error")] == [
        "no",
        "read",
        "listen",
    ]


def test_a_celery_task_asks_sttd_with_the_blocking_client(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented way: Celery's own queues for Celery, sttd's for sttd; a bad file fails at once, with its code."""
    monkeypatch.setenv("STTD_AMQP_URL", url)
    tasks = load(EXAMPLES / "celery" / "tasks.py")
    try:
        assert spoken(tasks.transcribe.apply([str(note(text=GROCERIES).path)]).get()) == spoken(GROCERIES)
        with pytest.raises(errors.RejectedAudio):
            tasks.transcribe.apply([str(note(expect="audio_unreadable").path)]).get()
    finally:
        tasks.client().close()


def test_a_celery_task_tries_again_whatever_later_may_succeed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's errors say it themselves; a list of classes forgets one, as it forgot a queue that is not there."""
    tasks = load(EXAMPLES / "celery" / "tasks.py")
    asked: list[str] = []

    class Away:
        def transcribe(self, path: str, **_: object) -> None:
            asked.append(path)
            raise errors.NotServed("queue stt.requests does not exist") if path == "later" else errors.BadReply(path)

    monkeypatch.setattr(tasks, "client", Away)
    for path, error in (("later", errors.NotServed), ("never", errors.BadReply)):
        with pytest.raises(error):
            tasks.transcribe.apply([path]).get()
    assert asked == ["later"] * 6 + ["never"]


@pytest.fixture
def celery_app(url: str) -> Iterator[Celery]:
    """Celery as its users set it up, with results over AMQP; one attempt to publish instead of its default of many."""
    app = Celery("stranger", broker=url, backend="rpc://", set_as_current=False)
    app.conf.update(task_publish_retry=False, broker_connection_timeout=5)
    yield app
    app.close()
    pools.reset()  # type: ignore[no-untyped-call] # kombu's, of the process: they remember which queues exist


def test_a_celery_message_on_sttds_queue_is_answered_with_a_clear_failure(celery_app: Celery) -> None:
    """Sent by Celery itself, without its own declaring of queues: the answer is where Celery asked for it."""
    theirs, ours = Queue("celery-replies", auto_delete=True), Queue("stt.requests", no_declare=True)  # type: ignore[no-untyped-call]  # kombu has no types
    with celery_app.connection_for_write() as connection:
        inbox = connection.SimpleQueue(theirs)
        sent = celery_app.send_task("transcribe", ["note.ogg"], {"language": "ru"}, queue=ours, reply_to=theirs.name)
        reply: Any = inbox.get(timeout=PATIENCE)
        inbox.close()
    body = json.loads(reply.body)
    assert body["status"] == "failed"
    assert (body["error"]["code"], body["error"]["retryable"]) == ("bad_request", False)
    assert "object" in body["error"]["message"]
    assert reply.properties["correlation_id"] == body["correlation_id"] == sent.id


def test_celery_is_told_at_once_that_sttds_queue_is_not_its_own(celery_app: Celery, url: str) -> None:
    """`send_task(queue=...)` declares the queue in Celery's way: the broker refuses, the call raises.

    The daemon goes on.
    """
    with pytest.raises(PreconditionFailed, match="PRECONDITION_FAILED"):
        celery_app.send_task("transcribe", ["note.ogg"], queue="stt.requests")
    assert run("pika", url, note(text=GROCERIES).path)[0] == 0
