"""What native libraries read once: environment variables at their import, glibc's arenas at the first thread.

`prepare` must run before the first import of numpy to reach its matrix products: so an entry point calls it before it
imports anything else of ours. Never overwrites what the operator has set.
"""

import ctypes
import os
from typing import Final

VARIABLES: Final = {
    "OMP_NUM_THREADS": "1",  # one slot is one core: threads within a call compete with those of the other slots
    "OPENBLAS_NUM_THREADS": "1",  # numpy's: with two threads the spectrogram costs twice the CPU time and gains nothing
    "TOKENIZERS_PARALLELISM": "false",  # the tokenizer's own threads and a later fork deadlock
    # onnxruntime 1.32 keeps events of its use in ~/.cache and sends them to its maker over the internet
    "ORT_DISABLE_TELEMETRY": "1",
}


M_ARENA_MAX: Final = -8  # mallopt's number for it, from glibc's malloc.h
ARENAS: Final = 2
"""With an arena for each engine thread the daemon keeps 80 MiB more and is no faster (500 notes, 2 slots: 337 against
256 MiB)."""


def prepare() -> None:
    """Set what is not set."""
    for variable, value in VARIABLES.items():
        os.environ.setdefault(variable, value)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none, and one arena anyway
    if mallopt is not None and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt(M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Return to the system what was freed by now; glibc keeps it otherwise: 45 to 75 MiB after a model has loaded."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
