"""The engine's tests at each level of CPU that this machine has, by the libraries' own caps: `python -m tools.cpus`.

What the caps do, as far as it can be seen (docs/engine.md has the table): CT2_FORCE_CPU_ISA chooses ctranslate2's own
vector code, not its matrix products. Those come from oneDNN on AMD, capped by ONEDNN_MAX_CPU_ISA, and from MKL on
Intel, capped by MKL_ENABLE_INSTRUCTIONS. OpenVINO's oneDNN reads ONEDNN_MAX_CPU_ISA too; code that OpenVINO generates
itself follows no cap.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sttd.consumer.engine.model import cpu
from tools import no_arguments

ENGINE: Final = (
    "tests/unit/test_engine_model.py",
    "tests/unit/test_engine_whisper.py",
    "tests/unit/test_engine_contexts.py",
)
OPENVINO: Final = ("tests/unit/test_encoder.py",)
"""Below AVX2 OpenVINO's convolution does not compile, and ctranslate2 encodes."""


@dataclass(frozen=True, slots=True)
class Level:
    """`flag`: of `/proc/cpuinfo`, what the machine must have; `ctranslate2`, `onednn`, `mkl`: the caps' values."""

    name: str
    flag: str
    ctranslate2: str
    onednn: str
    mkl: str
    tests: Sequence[str] = (*ENGINE, *OPENVINO)

    @property
    def caps(self) -> Mapping[str, str]:
        """The environment that keeps the libraries on this level."""
        return {
            "CT2_FORCE_CPU_ISA": self.ctranslate2,
            "ONEDNN_MAX_CPU_ISA": self.onednn,
            "MKL_ENABLE_INSTRUCTIONS": self.mkl,
        }


LEVELS: Final = (
    Level("SSE4.1", "sse4_1", "GENERIC", "SSE41", "SSE4_2", ENGINE),
    Level("AVX2", "avx2", "AVX2", "AVX2", "AVX2"),
    Level("AVX2 with VNNI", "avx_vnni", "AVX2", "AVX2_VNNI", "AVX2_E1"),
    Level("AVX-512 without VNNI", "avx512bw", "AVX512", "AVX512_CORE", "AVX512"),
    Level("AVX-512 with VNNI", "avx512_vnni", "AVX512", "AVX512_CORE_VNNI", "AVX512_E1"),
    Level("AMX", "amx_bf16", "AVX512", "AVX512_CORE_AMX", "AVX512_E4"),
)


def main() -> int:
    """Run them, lowest level first, and print what was run and what this machine does not have.

    Exit code 1: one failed.
    """
    flags = cpu.here().flags
    outcomes = {
        level.name: _outcome(level) if level.flag in flags else "not run: this CPU has none" for level in LEVELS
    }
    sys.stdout.write("\n".join(f"{name:<22} {outcome}" for name, outcome in outcomes.items()) + "\n")
    return int("failed" in outcomes.values())


def _outcome(level: Level) -> str:
    sys.stdout.write(f"== {level.name}: {' '.join(f'{name}={value}' for name, value in level.caps.items())}\n")
    sys.stdout.flush()
    command = [sys.executable, "-m", "pytest", "--quiet", *level.tests]
    done = subprocess.run(command, env=os.environ | level.caps, check=False)  # noqa: S603 - our own tests
    return "failed" if done.returncode else "passed"


if __name__ == "__main__":
    no_arguments.refuse(__doc__)
    sys.exit(main())
