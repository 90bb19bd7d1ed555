"""What most people write first: aio-pika, prefetch 1, `message.process()`, faster-whisper in `run_in_executor`.

No retries, no dead letters, no limits, no child process.
"""

import argparse
import asyncio
import io
import json
import os
import sys
import time
from typing import Any

import aio_pika


def main() -> None:
    """Load the model and consume."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queue", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    from faster_whisper import WhisperModel  # noqa: PLC0415 - a wrong argument need not wait for it

    model = WhisperModel(given.model, device="cpu", compute_type="int8", cpu_threads=given.threads)
    asyncio.run(_consume(os.environ["STTD_AMQP_URL"], given.queue, model))


async def _consume(url: str, name: str, model: Any) -> None:
    async with await aio_pika.connect_robust(url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=1)
        queue = await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
        sys.stdout.write("READY\n")
        sys.stdout.flush()
        async with queue.iterator() as messages:
            async for message in messages:
                async with message.process():
                    said = await asyncio.get_running_loop().run_in_executor(None, _transcribe, model, message.body)
                    reply = aio_pika.Message(json.dumps(said).encode(), correlation_id=message.correlation_id)
                    await channel.default_exchange.publish(reply, routing_key=message.reply_to or "")


def _transcribe(model: Any, audio: bytes) -> dict[str, Any]:
    """Decoding and transcribing are one call; there is no time of its own for either."""
    began = time.perf_counter()
    segments, _ = model.transcribe(io.BytesIO(audio), beam_size=5, language="ru")
    text = "".join(segment.text for segment in segments).strip()
    return {"status": "completed", "text": text, "timings": {"transcribe": time.perf_counter() - began}}


if __name__ == "__main__":
    main()
