"""Runs notes through a mode: a process for each core, each with an engine of its own.

So core seconds are those of one note. Whatever a process answers is on disk before it gets its next note.
"""

import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any, Final

from bench.accuracy import results
from bench.accuracy.engines import Opened
from bench.accuracy.modes import Mode, Note
from bench.accuracy.subject import Subject
from bench.run import tell

SAID_EVERY: Final = 25


class ModeUnavailable(Exception):
    """The mode does not open on this machine; the text is the reason."""


def measure(
    name: str, mode: Mode, chosen: Sequence[Note], kept: results.Results, *, subject: Subject, cores: int
) -> None:
    """Answer what is not answered yet. Raises `ModeUnavailable`."""
    with _process(mode, subject.model) as (first, engine):
        own = results.key(mode.settings, engine, subject.cpu)
        left: SimpleQueue[Note] = SimpleQueue()
        for note in unanswered(chosen, kept.of(own)):
            left.put(note)
        tell(f"{name}: {left.qsize()} of {len(chosen)} notes to do ({engine})")
        if left.empty():
            return
        lock = Lock()

        def keep(result: results.Result) -> None:
            with lock:
                kept.add({"key": own, "engine": engine} | result)
                if left.qsize() % SAID_EVERY == 0:
                    tell(f"{name}: {left.qsize()} left")

        def more() -> None:
            with _process(mode, subject.model) as (another, _):
                _feed(another, left, keep)

        with ThreadPoolExecutor(cores) as pool:
            running = [pool.submit(_feed, first, left, keep), *(pool.submit(more) for _ in range(cores - 1))]
        for one in running:
            one.result()


def unanswered(chosen: Sequence[Note], known: Mapping[results.Place, results.Result]) -> list[Note]:
    """What is still to do, in order."""
    return [note for note in chosen if (note.set, note.name) not in known]


def _feed(process: Connection, left: SimpleQueue[Note], keep: Any) -> None:
    while True:
        try:
            note = left.get_nowait()
        except Empty:
            return
        process.send(note)
        keep(process.recv())


@contextmanager
def _process(mode: Mode, model: Path) -> Iterator[tuple[Connection, str]]:
    """A process that has opened the mode, and the description of its engine."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, mode, model), daemon=True)
    process.start()
    theirs.close()
    try:
        engine, reason = ours.recv()
        if reason:
            raise ModeUnavailable(reason)
        yield ours, engine
    finally:
        ours.close()
        process.join()


def _serve(pipe: Connection, mode: Mode, model: Path) -> None:
    """Answer notes until the other end is closed, be it because its process is gone."""
    try:
        opened = Opened(mode, model)
    except Exception as error:  # noqa: BLE001 - whatever the libraries raise is the reason why this mode is not run
        pipe.send(("", f"{type(error).__name__}: {error}"))
        return
    pipe.send((opened.engine, ""))
    while True:
        try:
            note: Note = pipe.recv()
            found = opened.answer(note)
            pipe.send({"set": note.set, "name": note.name, "seconds": note.seconds} | found)
        except (EOFError, BrokenPipeError):
            return
