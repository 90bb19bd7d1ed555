"""Peers on stage: the table of all peers, and one of them started, asked until it answers, and stopped.

Each peer runs with the interpreter whose environment has its libraries.
"""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from bench import environments
from bench.clients import Client
from bench.models import ROOT, Model
from bench.notes import Note
from bench.peers import host
from bench.process import PeerFailed, Process, answers, environment
from sttd.schemas import names
from tools.rabbitmq.plan import free_ports


@dataclass(frozen=True, slots=True)
class Bench:
    """What all peers of one run share: the model, the broker, how many cores, where scratch files go."""

    model: Model
    amqp_url: str
    broker_pid: int | None
    cores: int
    scratch: Path


@dataclass(slots=True)
class Running:
    """A peer on stage. `ready_seconds`: from its start until it listens; `first_seconds`: until its first answer."""

    client: Client
    process: Process
    queue: str
    trace: Path
    ready_seconds: float
    first_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer: what it is, which environment it needs, how it is started and asked."""

    name: str
    title: str
    command: Callable[[Bench, "Place"], list[str]]
    reach: Callable[[Bench, "Place"], Client]
    environment: str = "own"
    settings: Mapping[str, str] = field(default_factory=dict)
    on_queue: bool = False
    ready_at: str | None = None
    """The page that answers 200 once it is ready; None: it writes READY."""


@dataclass(frozen=True, slots=True)
class Place:
    """Names that one start of a peer has for itself."""

    socket: Path
    port: int
    queue: str
    trace: Path


def _place(bench: Bench) -> Place:
    name, (port,) = token_hex(4), free_ports(1)
    return Place(bench.scratch / f"{name}.sock", port, f"bench.{name}", bench.scratch / f"{name}.trace")


def _install() -> None:
    try:
        environments.install()
    except subprocess.CalledProcessError as error:
        raise PeerFailed(f"its environment cannot be installed: pip ended with {error.returncode}") from error


@asynccontextmanager
async def on_stage(peer: Peer, bench: Bench, note: Note, **settings: str) -> AsyncIterator[Running]:
    """The peer started and warm by one note; gone afterwards.

    `settings`: environment variables more. Raises `PeerFailed`.
    """
    if peer.environment == "bench":
        await asyncio.to_thread(_install)
    place = _place(bench)
    variables = environment() | {
        "PYTHONPATH": str(ROOT),
        "STTD_AMQP_URL": bench.amqp_url,
        "BENCH_TRACE": str(place.trace),
    }
    variables |= _daemon_settings(bench, place) | dict(peer.settings) | settings
    try:
        command = [str(environments.python(peer.environment)), *peer.command(bench, place)]
    except LookupError as error:
        raise PeerFailed(str(error)) from error
    began = time.monotonic()
    process = Process(command, variables, bench.scratch / f"{peer.name}-{place.queue}.log")
    try:
        client = peer.reach(bench, place)
        await process.until(lambda: _listens(process, place, peer))
        running = Running(client, process, place.queue, place.trace, time.monotonic() - began)
        await client.open()
        try:
            await client.ask(note)
            running.first_seconds = time.monotonic() - began
            yield running
        finally:
            await client.close()
    finally:
        await process.stop()
        await _tidy(bench, place, peer)


async def _listens(process: Process, place: Place, peer: Peer) -> bool:
    if peer.ready_at is None:
        return "READY" in process.log
    return await answers(place.port, peer.ready_at)


async def _tidy(bench: Bench, place: Place, peer: Peer) -> None:
    """Delete the queues that this start had for itself."""
    if not peer.on_queue:
        return
    import aio_pika  # noqa: PLC0415 - a run without queues needs no broker

    async with await aio_pika.connect(bench.amqp_url) as connection:
        channel = await connection.channel()
        for name in names.request_queues(place.queue):
            await channel.queue_delete(name)


def _daemon_settings(bench: Bench, place: Place) -> dict[str, str]:
    """The settings of the daemon; other peers do not read them."""
    return {
        "STTD_MODEL": bench.model.name,
        "STTD_REQUEST_QUEUE": place.queue,
        "STTD_SIDE_PORT": str(place.port),
        "STTD_SLOTS": str(bench.cores),
        "STTD_BEAM_SIZE": str(host.BEAM),
        "STTD_LANGUAGE": host.LANGUAGE,
        "STTD_LOG_FORMAT": "json",
        "STTD_DEVICE": "cpu",
        "STTD_COMPUTE_TYPE": "int8",
        "STTD_JOIN": "never",  # loads repeat few notes
    }
