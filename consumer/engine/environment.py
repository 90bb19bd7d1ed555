"""What native libraries read once: environment variables at their import, glibc's arenas at the first thread.

`prepare` must run before the first import of numpy to reach its matrix products: so an entry point calls it before it
imports anything else of ours. Never overwrites what the operator has set.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from pathlib import Path
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

HUGE_PAGES: Final = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""Buffers over 32 MB, as a window of 30 s needs them, are mapped anew in each call. With pages of 2 MB instead of 4 KB
ctranslate2's encoder needs 0.8 of the core time on a window of the real `base`, and its output is the same."""

KERNEL: Final = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def restart_with_huge_pages() -> None:
    """Start this program again, in this process, with `HUGE_PAGES`, which glibc reads only once.

    Does nothing where the variable is set already, or where the kernel gives no huge pages on demand.
    """
    if HUGE_PAGES.keys() & os.environ.keys() or platform.libc_ver()[0] != "glibc" or not _on_demand():
        return
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **HUGE_PAGES})  # noqa: S606 - itself


def _on_demand() -> bool:
    try:
        return "[madvise]" in KERNEL.read_text(encoding="ascii")
    except OSError:
        return False


def prepare() -> None:
    """Set what is not set."""
    for variable, value in VARIABLES.items():
        os.environ.setdefault(variable, value)
    if "MALLOC_ARENA_MAX" not in os.environ:
        _limit_arenas()


def _limit_arenas() -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none, and one arena anyway
    if mallopt is not None:
        mallopt(M_ARENA_MAX, ARENAS)
