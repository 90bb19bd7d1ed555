"""Any Russian sentence in units of a recorded human voice, by Festival: `apt-get install festival festvox-ru`.

Never part of the daemon.
"""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tools.voices import VoicesUnavailable

VOICE: Final = "msu_ru_nsh_clunits"


def available() -> bool:
    """Whether Festival is installed."""
    return shutil.which("festival") is not None


def say(sentences: Mapping[Path, str]) -> None:
    """Write each sentence as a WAV file, all in one process: the voice takes seconds to load.

    Raises `VoicesUnavailable`.
    """
    program = shutil.which("festival")
    if program is None:
        raise VoicesUnavailable("the sentences need Festival: apt-get install festival festvox-ru")
    steps = [f"(voice_{VOICE})"]
    for sound, text in sentences.items():
        sound.parent.mkdir(parents=True, exist_ok=True)
        steps.append(f'(utt.save.wave (utt.synth (Utterance Text "{text}")) "{sound}.part" \'riff)')
    done = subprocess.run(  # noqa: S603 - Festival
        [program, "--pipe"], input="\n".join(steps).encode(), capture_output=True, check=False
    )
    for sound in sentences:
        part = Path(f"{sound}.part")
        if done.returncode or not part.is_file():
            told = done.stderr.decode(errors="replace")[-200:]
            raise VoicesUnavailable(f"Festival does not say {sentences[sound]!r}: {told}")
        part.replace(sound)
