"""`python -m tests.hostile.fuzz --files 100000 --state PATH`: mutated files through real decoder children.

Resumable, every seed kept. The parent must answer each with sound or with a code; a child may die, and then its file
must get `audio_unreadable`. Writes one JSON object to the state file after every thousand files; begins after the last
seed that it names.
"""

import argparse
import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from sttd.consumer.audio.limits import DecodeLimits
from sttd.consumer.audio.pool import DecoderPool
from sttd.consumer.errors import AudioRejected
from sttd.schemas.codes import ErrorCode
from tools.audio import containers, damage, files

LIMITS: Final = DecodeLimits(max_audio_seconds=600, decode_seconds=10)
EVERY: Final = 1_000
CHILDREN: Final = 2
KEPT: Final = 200
"""Seeds of files that cost a child, kept by number; their files are made again by `mutated`."""


@dataclass
class Tally:
    """What has come of the files so far."""

    next_seed: int = 0
    decoded: int = 0
    flagged: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    child_losses: dict[str, int] = field(default_factory=dict)
    costly_seeds: list[int] = field(default_factory=list)
    parent_failures: list[str] = field(default_factory=list)
    wrong_codes: list[str] = field(default_factory=list)


def corpus() -> list[bytes]:
    """Small good files of every kind, and some that are odd from the start."""
    good = [files.encoded(name, 0.3) for name in files.TAKEN]
    odd = [
        containers.flac_constant(20),
        containers.opus_silence(5),
        containers.opus_silence(1) + containers.opus_silence(1, serial=2),
    ]
    return [*good, damage.video(0.6), *odd, b"ffconcat version 1.0\nfile x.wav\n", b"#EXTM3U\nhttp://127.0.0.1/x.mp3\n"]


def mutated(originals: list[bytes], seed: int) -> bytes:
    """The file that a seed stands for: one to four kinds of damage, at times to two files joined."""
    rng = random.Random(seed)
    audio = bytearray(rng.choice(originals))
    if rng.random() < 0.1:
        audio = audio[: rng.randrange(1, len(audio))] + rng.choice(originals)
    for _ in range(rng.randrange(1, 5)):
        if len(audio) > 64:  # nothing to damage in less
            rng.choice(damage.KINDS)(audio, rng)
    return bytes(audio)


class Fuzz:
    """One run over a range of seeds."""

    def __init__(self, state: Path | None) -> None:
        self._state = state
        self._originals = corpus()
        self._losses: Counter[str] = Counter()
        self.tally = Tally(**json.loads(state.read_text())) if state and state.exists() else Tally()

    async def run(self, last: int) -> Tally:
        """All seeds below `last`."""
        self._losses.update(self.tally.child_losses)
        pool = DecoderPool(CHILDREN, LIMITS, lambda why: self._losses.update([why]))
        await pool.start()
        try:
            while self.tally.next_seed < last:
                until = min(self.tally.next_seed + EVERY, last)
                seeds = iter(range(self.tally.next_seed, until))
                await asyncio.gather(*(self._work(pool, seeds) for _ in range(CHILDREN)))
                self._keep(until)
        finally:
            await pool.close()
        return self.tally

    async def _work(self, pool: DecoderPool, seeds: Iterator[int]) -> None:
        for seed in seeds:  # one iterator, shared by all workers
            try:
                await self._one(pool, seed)
            except Exception as error:  # noqa: BLE001 -- this is what is being looked for
                self.tally.parent_failures.append(f"{seed}: {error!r}")

    async def _one(self, pool: DecoderPool, seed: int) -> None:
        try:
            with await pool.decode(mutated(self._originals, seed)) as decoded:
                self.tally.decoded += 1
                self.tally.flagged += decoded.info.truncated
        except AudioRejected as refusal:
            code = str(refusal.code)
            self.tally.refused[code] = self.tally.refused.get(code, 0) + 1
            if "tries" in refusal.details:
                self.tally.costly_seeds = [*self.tally.costly_seeds, seed][:KEPT]
                if refusal.code != ErrorCode.AUDIO_UNREADABLE:
                    self.tally.wrong_codes.append(f"{seed}: {code}")

    def _keep(self, until: int) -> None:
        self.tally.next_seed = until
        self.tally.child_losses = dict(self._losses)
        if self._state:
            new = self._state.with_suffix(".new")
            new.write_text(json.dumps(asdict(self.tally)))
            new.replace(self._state)


def main() -> int:
    """Run from the command line; exit code 1 after a failure of the parent or a wrong code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--state", type=Path, default=None)
    given = parser.parse_args()
    tally = asyncio.run(Fuzz(given.state).run(given.files))
    sys.stdout.write(json.dumps(asdict(tally), indent=1) + "\n")
    return 1 if tally.parent_failures or tally.wrong_codes else 0


if __name__ == "__main__":
    sys.exit(main())
