"""`python -m bench.decode`: what a note costs to decode here, beside faster-whisper's own `decode_audio`.

Processor time of parent and child together, alternating, so that a busy machine troubles both alike; wall time is not
looked at. The difference between both outputs is printed for every format that is taken.
"""

import argparse
import asyncio
import io
import statistics
import sys
import time
from typing import Final

import numpy as np
from faster_whisper.audio import decode_audio

from bench.process import core_seconds
from sttd.consumer.audio.limits import DecodeLimits
from sttd.consumer.audio.pool import DecoderPool
from sttd.consumer.pcm import floats
from tools.audio import files

LENGTHS: Final = (3.0, 60.0)
KINDS: Final = ("ogg-opus", "mp3", "m4a-aac", "wav-s16")
BATCH_SECONDS: Final = 60.0
"""Sound decoded between two readings of the clock: the kernel counts a child's time in hundredths of a second."""


async def ours(pool: DecoderPool, audio: bytes, times: int) -> float:
    """Processor seconds for one decoding, parent and child."""
    (child,) = pool._idle  # noqa: SLF001 -- the one child whose time is counted
    before, parent = core_seconds(child.pid), time.process_time()
    for _ in range(times):
        with await pool.decode(audio):
            pass
    return (time.process_time() - parent + core_seconds(child.pid) - before) / times


def theirs(audio: bytes, times: int) -> float:
    """The same of the stock decoder, in this process."""
    before = time.process_time()
    for _ in range(times):
        decode_audio(io.BytesIO(audio))
    return (time.process_time() - before) / times


async def compare(pool: DecoderPool, name: str, seconds: float, rounds: int) -> str:
    """A row of the table."""
    audio, times = files.encoded(name, seconds), max(1, int(BATCH_SECONDS / seconds))
    await ours(pool, audio, 1)
    theirs(audio, 1)
    pairs = [(await ours(pool, audio, times), theirs(audio, times)) for _ in range(rounds)]
    ratios = sorted(mine / other for mine, other in pairs)
    mine, other = (statistics.median(column) * 1000 for column in zip(*pairs, strict=True))
    low, high = ratios[len(ratios) // 10], ratios[-1 - len(ratios) // 10]
    ratio = statistics.median(ratios)
    return f"| {name} | {seconds:g} | {other:.1f} | {mine:.1f} | {ratio:.2f} | {low:.2f} to {high:.2f} |"


async def largest_difference(pool: DecoderPool, name: str) -> float:
    """The largest difference between two samples, ours and theirs; infinite where their number differs."""
    audio = files.encoded(name, 3.0)
    with await pool.decode(audio) as decoded:
        stock = decode_audio(io.BytesIO(audio))
        return float(np.abs(floats(decoded.pcm) - stock).max()) if decoded.pcm.size == stock.size else float("inf")


def tell(line: str) -> None:
    """To standard output, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(rounds: int) -> None:
    """Print both tables."""
    pool = DecoderPool(1, DecodeLimits(files_per_child=10**9))
    await pool.start()
    try:
        tell(f"{rounds} rounds, alternating\n")
        tell("| kind | s | decode_audio, ms | ours, ms | ratio | middle 80 % |\n|---|---|---|---|---|---|")
        for name in KINDS:
            for seconds in LENGTHS:
                tell(await compare(pool, name, seconds, rounds))
        differences = {name: await largest_difference(pool, name) for name in files.TAKEN}
        tell(f"\nlargest difference over {len(differences)} kinds: {max(differences.values())}")
    finally:
        await pool.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    asyncio.run(main(parser.parse_args().rounds))
