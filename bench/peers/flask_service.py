"""The old service's behaviour, in code of our own: Flask, `POST /transcribe`, one faster-whisper model.

The audio is a multipart field `file`; the answer is `{"text", "language", "duration"}` or `{"error"}` with 400 or 500;
`GET /health`. Model in int8 on the CPU with the number of threads that faster-whisper takes by itself, beam 5, language
fixed to Russian. All requests share one worker of the model. Runs in .local/bench.
"""

import argparse
import contextlib
import tempfile
from pathlib import Path
from typing import Any


def main() -> None:
    """Load the model and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True)
    given = parser.parse_args()
    from faster_whisper import WhisperModel  # noqa: PLC0415 - a wrong argument need not wait for it

    application(WhisperModel(given.model, device="cpu", compute_type="int8")).run(host="127.0.0.1", port=given.port)


def application(model: Any) -> Any:
    """The Flask application around one model."""
    from flask import Flask, jsonify, request  # noqa: PLC0415 - only in the environment of the benchmark

    app = Flask(__name__)

    @app.get("/health")
    def health() -> Any:
        return jsonify({"status": "ok", "model": "whisper-base"})

    @app.post("/transcribe")
    def transcribe() -> Any:
        if "file" not in request.files:
            return jsonify({"error": "no file"}), 400
        path = Path(tempfile.mkstemp(suffix=".ogg")[1])
        try:
            request.files["file"].save(path)
            segments, info = model.transcribe(str(path), beam_size=5, language="ru")
            text = " ".join(segment.text.strip() for segment in segments)
            return jsonify({"text": text, "language": info.language, "duration": info.duration})
        except Exception as error:  # noqa: BLE001 - the old service answered 500 to whatever was raised
            return jsonify({"error": str(error)}), 500
        finally:
            with contextlib.suppress(OSError):
                path.unlink()

    return app


if __name__ == "__main__":
    main()
