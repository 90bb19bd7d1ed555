"""whisper.cpp through pywhispercpp: the same weights in int8 blocks (q8_0), one note at a time with all threads.

With `--fit-context` the encoder's context follows the audio, as whisper.cpp's users set `audio_ctx` for short notes: 50
positions a second and 128 more. Runs in .local/bench.
"""

import math
from typing import Any

from bench.peers import host

POSITIONS = 1500
POSITIONS_A_SECOND = 50
MORE = 128


def main() -> None:
    """Load the model and serve."""
    parser = host.arguments(__doc__)
    parser.add_argument("--fit-context", action="store_true")
    given = parser.parse_args()
    from pywhispercpp.model import Model  # noqa: PLC0415 - a wrong argument need not wait for it

    model = Model(
        given.model,
        params_sampling_strategy=1,
        beam_search={"beam_size": host.BEAM, "patience": -1.0},
        n_threads=given.threads,
        language=host.LANGUAGE,
        print_progress=False,
        print_realtime=False,
        print_timestamps=False,
        no_context=True,
    )

    def transcribe(samples: Any) -> str:
        fit = math.ceil(samples.size / 16_000 * POSITIONS_A_SECOND) + MORE if given.fit_context else 0
        segments = model.transcribe(samples, audio_ctx=fit if fit < POSITIONS else 0)
        return " ".join(" ".join(segment.text for segment in segments).split())

    host.serve(given.socket, transcribe, 1)


if __name__ == "__main__":
    main()
