"""faster-whisper as it is: one model, `--workers` notes at a time.

With one worker of all cores, or a pool of one core each.
"""

from typing import Any

from bench.peers import host


def main() -> None:
    """Load the model and serve."""
    given = host.arguments(__doc__).parse_args()
    from faster_whisper import WhisperModel  # noqa: PLC0415 - a wrong argument need not wait for it

    model = WhisperModel(
        given.model, device="cpu", compute_type="int8", num_workers=given.workers, cpu_threads=given.threads
    )

    def transcribe(samples: Any) -> str:
        segments, _ = model.transcribe(samples, language=host.LANGUAGE, beam_size=host.BEAM)
        return "".join(segment.text for segment in segments).strip()

    host.serve(given.socket, transcribe, given.workers)


if __name__ == "__main__":
    main()
