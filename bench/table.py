"""The table of peers by name. Data."""

from typing import Final

from bench.clients import Client, FormClient, QueueClient, SocketClient
from bench.stage import Bench, Peer, Place

OURS: Final = "ours"
FULL: Final = "ours-full"
OLD: Final = "old-service"
POOL: Final = "pool"
CPP: Final = "whisper.cpp"
CPP_FIT: Final = "whisper.cpp-fit"


def _by_queue(bench: Bench, place: Place) -> Client:
    return QueueClient(bench.amqp_url, place.queue)


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
    name: str, title: str, module: str, *extra: str, workers: int = 0, environment: str = "own", ggml: bool = False
) -> Peer:
    """An engine behind host.py.

    `workers`: 0 means one for each core with one thread; else so many, which share the cores.
    """

    def command(bench: Bench, place: Place) -> list[str]:
        count = workers or bench.cores
        given = {
            "--socket": place.socket,
            "--model": bench.model.ggml() if ggml else bench.model.directory,
            "--workers": count,
            "--threads": max(1, bench.cores // count),
        }
        return ["-m", f"bench.peers.{module}", *(str(word) for pair in given.items() for word in pair), *extra]

    return Peer(name, title, command, lambda _, place: SocketClient(place.socket), environment=environment)


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


PEERS: Final = {
    peer.name: peer
    for peer in (
        _daemon(OURS, "sttd as it is by default"),
        _daemon(FULL, "sttd with full windows", STTD_ENCODER_CONTEXT="full"),
        Peer(
            OLD,
            "the old Flask service",
            _old_service,
            lambda _, place: FormClient(f"http://127.0.0.1:{place.port}"),
            "bench",
            ready_at="/health",
        ),
        _hosted(POOL, "faster-whisper in a thread pool, one thread each", "stock"),
        Peer("plain-worker", "aio-pika worker, prefetch 1, executor", _plain_worker, _by_queue, on_queue=True),
        _hosted(CPP, "whisper.cpp (q8_0)", "whispercpp", workers=1, environment="bench", ggml=True),
        _hosted(
            CPP_FIT,
            "whisper.cpp (q8_0), `audio_ctx` by the audio",
            "whispercpp",
            "--fit-context",
            workers=1,
            environment="bench",
            ggml=True,
        ),
        _hosted("stock", "faster-whisper, one note at a time", "stock", workers=1),
    )
}

HEADLINE: Final = (OURS, FULL, OLD, POOL, "plain-worker", CPP, CPP_FIT)
"""What `make bench` compares."""

TRACED: Final = _daemon("ours-traced", "sttd, each model call written down", "bench.peers.traced")
