"""The table of peers by name. Data."""

from __future__ import annotations

from typing import Final

from bench import workload
from bench.clients import Client, FormClient, QueueClient, SocketClient, WyomingClient
from bench.stage import Bench, Peer, Place

OURS: Final = "ours"
OLD: Final = "old-service"


def _by_queue(bench: Bench, place: Place) -> Client:
    return QueueClient(bench.amqp_url, place.queue)


def _by_socket(_: Bench, place: Place) -> Client:
    return SocketClient(place.socket)


def _by_form(_: Bench, place: Place) -> Client:
    return FormClient(f"http://127.0.0.1:{place.port}")


def _by_wyoming(_: Bench, place: Place) -> Client:
    return WyomingClient(place.port)


def _daemon(name: str, title: str, module: str = "consumer", **settings: str) -> Peer:
    return Peer(
        name,
        title,
        lambda _bench, _place: ["-m", module],
        _by_queue,
        settings=settings,
        on_queue=True,
        ready_at="/readyz",
    )


def _hosted(
    name: str, title: str, module: str, *extra: str, workers: int = 0, environment: str = "own", form: str = ""
) -> Peer:
    """An engine behind host.py.

    `workers`: 0 means one for each core with one thread; else so many, which share the cores.
    """

    def command(bench: Bench, place: Place) -> list[str]:
        count = workers or bench.cores
        given = {
            "--socket": place.socket,
            "--model": bench.model.form(form) if form else bench.model.directory,
            "--cores": bench.cores,
            "--workers": count,
            "--threads": max(1, bench.cores // count),
            "--beam": bench.beam,
            "--language": bench.language,
        }
        return ["-m", f"bench.peers.{module}", *(str(word) for pair in given.items() for word in pair), *extra]

    return Peer(name, title, command, _by_socket, environment=environment)


def _old_service(bench: Bench, place: Place) -> list[str]:
    return ["-m", "bench.peers.flask_service", "--port", str(place.port), "--model", str(bench.model.directory)]


def _plain_worker(bench: Bench, place: Place) -> list[str]:
    return [
        "-m",
        "bench.peers.plain_worker",
        "--queue",
        place.queue,
        "--model",
        str(bench.model.directory),
        "--threads",
        str(bench.cores),
    ]


def _wyoming(bench: Bench, place: Place) -> list[str]:
    given = {
        "--uri": f"tcp://127.0.0.1:{place.port}",
        "--model": bench.model.directory,
        "--data-dir": bench.scratch,
        "--device": "cpu",
        "--compute-type": "int8",
        "--beam-size": bench.beam,
        "--language": bench.language,
        "--cpu-threads": bench.cores,
        "--stt-library": "faster-whisper",
    }
    return [
        "-m",
        "wyoming_faster_whisper",
        "--local-files-only",
        *(str(word) for pair in given.items() for word in pair),
    ]


PEERS: Final = {
    peer.name: peer
    for peer in (
        _daemon(OURS, "sttd: daemon and RabbitMQ"),
        _daemon("ours-ctranslate2", "sttd without OpenVINO", STTD_ENCODER="ctranslate2"),
        _hosted("bare", "our engine in a bare loop, no RabbitMQ", "bare"),
        Peer(OLD, "the old Flask service", _old_service, _by_form, "bench", ready_at="/health"),
        Peer("plain-worker", "aio-pika worker, prefetch 1, executor", _plain_worker, _by_queue, on_queue=True),
        _hosted("pool", "faster-whisper in a thread pool, one thread each", "stock"),
        _hosted("stock", "faster-whisper, one note at a time", "stock", workers=1),
        Peer("wyoming", "wyoming-faster-whisper", _wyoming, _by_wyoming, "bench", ready_at="tcp"),
        _hosted(
            "openai-whisper",
            "openai-whisper (torch, float32)",
            "openai",
            *("--words", " ".join(workload.WORDS)),
            workers=1,
            environment="torch",
            form="torch",
        ),
        _hosted("whisper.cpp", "whisper.cpp (q8_0)", "whispercpp", workers=1, environment="bench", form="ggml"),
    )
}

LADDER: Final = {
    peer.name: peer
    for peer in (
        _hosted("1-stock", "stock faster-whisper, one note at a time", "stock", workers=1),
        _hosted("2-pool", "+ a thread pool", "stock"),
        _hosted(
            "3-encode-once",
            "+ one encoding for language and text",
            "bare",
            "--no-vad",
            "--gate",
            "slots",
            "--encoder",
            "ctranslate2",
        ),
        _hosted("4-openvino", "+ OpenVINO encodes", "bare", "--no-vad", "--gate", "slots"),
        _hosted("5-scheduler", "+ the scheduler", "bare", "--no-vad"),
        _hosted("6-greedy", "+ beam 1 (another text on hard notes)", "bare", "--no-vad", "--beam", "1"),
    )
}
"""Each step has what those above it have."""

TRACED: Final = _daemon("ours-traced", "sttd, each model call written down", "bench.peers.traced")
