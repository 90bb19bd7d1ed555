"""How peers are asked, against small servers of the test: who misreads an answer measures nothing."""

import asyncio
import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.clients import SocketClient
from bench.notes import Note, opus
from bench.peers import host, traced
from bench.process import PeerFailed
from bench.table import HEADLINE, PEERS
from bench.traces import Trace
from sttd.consumer import app
from sttd.consumer.engine.model import loaded as model

SOUND = (8000 * np.sin(np.arange(16_000) / 7)).astype(np.int16)
NOTE = Note("n", "ru", "", 1.0, opus(SOUND))


async def test_an_engine_behind_the_socket_answers_each_note_with_its_own_text(tmp_path: Path) -> None:
    """Answers overtake each other and still reach those who asked; an engine's error is the peer's failure."""

    def transcribe(samples: Any) -> str:
        if samples.size < 12_000:
            raise ValueError("too short")
        return str(round(samples.size / 16_000))

    socket = tmp_path / "s"
    serving = asyncio.create_task(host.serving(socket, transcribe, 2))
    client = SocketClient(socket)
    async with asyncio.timeout(120):
        while not socket.exists():  # noqa: ASYNC110 - the server reports to no task in this process when it listens
            await asyncio.sleep(0)
        await client.open()
        long = Note("l", "ru", "", 2.0, opus(np.tile(SOUND, 2)))
        answers = await asyncio.gather(client.ask(long), client.ask(NOTE), client.ask(long))
        assert [answer.text for answer in answers] == ["2", "1", "2"]
        assert set(answers[0].stages) == {"queued", "decode", "transcribe"}
        with pytest.raises(PeerFailed, match="too short"):
            await client.ask(Note("s", "ru", "", 0.2, opus(SOUND[:3200])))
    await client.close()
    serving.cancel()
    await asyncio.wait({serving})


def test_the_instruments_fit_the_daemon() -> None:
    """The traced daemon wraps two of the daemon's own names.

    A rename would otherwise be found only hours into a run.
    """
    assert next(iter(inspect.signature(model.LoadedModel).parameters)) == "whisper"
    assert "watch_loop_lag" in vars(app)


def test_model_calls_are_written_down_and_answered_by_the_model(tmp_path: Path) -> None:
    """Anything but a call of the model passes as it is."""

    class Model:
        is_multilingual = True

        def encode(self, features: int) -> int:
            return features + 1

    path = tmp_path / "trace"
    trace = traced.Trace(path)
    timed = traced.TimedModel(Model(), trace)
    assert timed.is_multilingual
    assert timed.encode(1) == 2
    trace.close()
    (call,) = Trace.read(path).calls
    assert (call.name, call.seconds >= 0) == ("encode", True)


def test_all_peers_of_the_documents_are_in_the_table() -> None:
    """The name of each peer leads to its description."""
    page = (Path(__file__).parents[2] / "docs" / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert [name for name in PEERS if f"| `{name}` |" not in page] == []
    assert set(HEADLINE) <= set(PEERS)


def test_peers_get_the_daemons_versions_of_what_both_use() -> None:
    """A peer with another ctranslate2 would be compared with the wrong thing; `make lock` renews both."""
    root = Path(__file__).parents[2]
    locked = {
        path: dict.fromkeys(
            re.findall(r"^([\w.-]+==[\w.]+)", (root / path).read_text(encoding="utf-8"), flags=re.MULTILINE)
        )
        for path in ("requirements.lock", "bench/requirements.lock")
    }
    ours = {pin.partition("==")[0] for pin in locked["requirements.lock"]}
    theirs = [pin for pin in locked["bench/requirements.lock"] if pin.partition("==")[0] in ours]
    assert {"ctranslate2", "faster-whisper", "av"} <= {pin.partition("==")[0] for pin in theirs}
    assert [pin for pin in theirs if pin not in locked["requirements.lock"]] == []
    assert "://" not in (root / "bench" / "requirements.lock").read_text(encoding="utf-8")
