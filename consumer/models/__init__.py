"""The bundled demo model, as package data: where it lies, nothing else."""

from pathlib import Path


def demo_directory() -> Path:
    """The demo model's directory: a ctranslate2 Whisper model; see MODEL_CARD.md beside it for its vocabulary."""
    return Path(__file__).parent / "demo"
