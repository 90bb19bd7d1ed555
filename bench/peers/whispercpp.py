"""whisper.cpp through pywhispercpp: the same weights in int8 blocks (q8_0), one note at a time with all threads.

Runs in .local/bench.
"""

from __future__ import annotations

from typing import Any

from bench.peers import host


def main() -> None:
    """Load the model and serve."""
    given = host.arguments(__doc__).parse_args()
    from pywhispercpp.model import Model  # noqa: PLC0415 - a wrong argument need not wait for it

    model = Model(
        given.model,
        params_sampling_strategy=1,
        beam_search={"beam_size": given.beam, "patience": -1.0},
        n_threads=given.threads,
        language=given.language,
        print_progress=False,
        print_realtime=False,
        print_timestamps=False,
        no_context=True,
    )

    def transcribe(samples: Any) -> str:
        return " ".join(" ".join(segment.text for segment in model.transcribe(samples)).split())

    host.serve(given.socket, transcribe, 1)


if __name__ == "__main__":
    main()
