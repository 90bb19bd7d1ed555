"""The instruction sets of this machine's CPU, and the variables that limit the numeric libraries on it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CPUINFO: Final = Path("/proc/cpuinfo")

LEVELS: Final = (
    ("AMX", "amx_bf16"),
    ("AVX-512 with VNNI", "avx512_vnni"),
    ("AVX-512 without VNNI", "avx512bw"),
    ("AVX2 with VNNI", "avx_vnni"),
    ("AVX2", "avx2"),
    ("AVX", "avx"),
)
"""The best level first, with the flag of `/proc/cpuinfo` that shows it."""

CAPS: Final = ("CT2_FORCE_CPU_ISA", "CT2_USE_MKL", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Environment variables by which ctranslate2, its MKL and the oneDNN of both engines limit themselves."""


@dataclass(frozen=True, slots=True)
class Cpu:
    """`flags`: as the kernel lists them, empty where it does not; `caps`: the limiting variables that are set."""

    name: str
    flags: frozenset[str]
    caps: tuple[str, ...] = ()

    @property
    def level(self) -> str:
        """In words for a log line: the best level of the hardware, and the caps that are set."""
        best = next((level for level, flag in LEVELS if flag in self.flags), "neither AVX nor better")
        return f"{best} ({', '.join(self.caps)})" if self.caps else best


def here() -> Cpu:
    """The CPU of this machine. Where the kernel does not describe it: no name, no flags."""
    caps = tuple(f"{name}={os.environ[name]}" for name in CAPS if os.environ.get(name))
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return Cpu("", frozenset(), caps)
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in reversed(lines))}
    return Cpu(facts.get("model name", ""), frozenset(facts.get("flags", "").split()), caps)
