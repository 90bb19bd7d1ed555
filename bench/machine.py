"""What machine, with what libraries: the first lines of every result.

Reads /proc, caps of the CPU and package versions; names no host and no path.
"""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from sttd.consumer.engine.model.cpu import here

FLAGS: Final = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
PACKAGES: Final = ("faster-whisper", "ctranslate2", "openvino", "aio-pika", "numpy")
THEIRS: Final = ("flask", "pywhispercpp")
TELL: Final = """
import sys
from importlib.metadata import PackageNotFoundError, version
for name in sys.argv[1:]:
    try:
        print(name, version(name))
    except PackageNotFoundError:
        pass
"""


def describe(cores: int, *interpreters: Path) -> dict[str, Any]:
    """CPU, cores used, memory, system, versions: ours and those of the given environments.

    `load`: how busy it is before the run.
    """
    cpu = here()
    packages = {name: found for name in PACKAGES if (found := _version(name))}
    for interpreter in interpreters:
        if interpreter.exists():
            told = subprocess.run(  # noqa: S603 - our own environments
                [interpreter, "-c", TELL, *THEIRS], capture_output=True, text=True, check=False
            ).stdout
            packages |= dict(line.split(" ", 1) for line in told.splitlines())
    return {
        "cpu": cpu.name or platform.machine(),
        "flags": [flag for flag in FLAGS if flag in cpu.flags],
        "caps": list(cpu.caps),
        "cores_used": cores,
        "cores_there": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": packages,
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
