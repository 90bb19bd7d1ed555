"""openai-whisper on the same weights: torch in float32 on the CPU, one note at a time with all threads.

Runs in an environment of its own. Its decoding keeps state in the model, so it cannot take two notes at a time. Its
vocabulary is the real one, which spells the scripted tokens otherwise: the text is written from the tokens, as the
workload spells them.
"""

from __future__ import annotations

from typing import Any

from bench.peers import host

FIRST_WORD = 300  # as in bench/workload.py, which needs ctranslate2


def main() -> None:
    """Load the model and serve."""
    parser = host.arguments(__doc__)
    parser.add_argument("--words", required=True, help="what the scripted tokens spell, separated by spaces")
    given = parser.parse_args()
    import torch  # noqa: PLC0415 - seconds

    torch.set_num_threads(given.threads)
    model = _model(given.model)
    words = given.words.split()
    language = None if given.language == "auto" else given.language

    def transcribe(samples: Any) -> str:
        result = model.transcribe(
            samples, language=language, beam_size=given.beam, temperature=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0), fp16=False
        )
        tokens = [token - FIRST_WORD for segment in result["segments"] for token in segment["tokens"]]
        return " ".join(words[place] for place in tokens if 0 <= place < len(words))

    host.serve(given.socket, transcribe, 1)


def _model(path: str) -> Any:
    import numpy as np  # noqa: PLC0415 - seconds
    import torch  # noqa: PLC0415 - the same
    from whisper.model import ModelDimensions, Whisper  # noqa: PLC0415 - the same

    with np.load(path) as stored:
        dims = {name.removeprefix("dims/"): int(stored[name]) for name in stored.files if name.startswith("dims/")}
        model = Whisper(ModelDimensions(**dims))
        model.load_state_dict(
            {name: torch.from_numpy(stored[name]) for name in stored.files if not name.startswith("dims/")}
        )
    return model.eval()


if __name__ == "__main__":
    main()
