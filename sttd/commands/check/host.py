"""What `sttd check` asks this machine: model, decoder, processor, memory, side port. Loads no model.

`look` needs the `[consumer]` extra.
"""

from __future__ import annotations

import asyncio
import http.client
import importlib
import importlib.metadata
import json
import re
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from sttd.commands.check.line import Line, failed, ok, warning
from sttd.commands.extras import INSTALL
from sttd.samples import samples
from sttd.service.addresses import advice, looked_up

if TYPE_CHECKING:
    from sttd.consumer.settings import Settings

MIB: Final = 1024 * 1024
PROCESS_MIB: Final = 320
WEIGHTS_TIMES: Final = 1.4
"""What a daemon holds that has loaded its model, by the size of its weights on disk: an estimate. Measured with
OpenVINO's encoder and base (145 MB): 460 MiB with one slot, 490 with two."""

WEIGHTS_MB: Final = {
    "tiny": 76,
    "base": 145,
    "small": 484,
    "medium": 1528,
    "large": 3087,
    "large-v3-turbo": 1618,
    "turbo": 1618,
    "distil-small": 332,
    "distil-medium": 789,
    "distil-large": 1513,
    "gigaam": 885,
    "gigaam, int8": 225,
}
"""Of models that are not here yet, by size; `.en`, `-v2` and the like change nothing."""

LARGE_SHARE: Final = 0.1
LOWERS: Final = {
    "bodies": "STTD_PREFETCH or STTD_MAX_BODY_BYTES",
    "short_notes": "STTD_PREFETCH",
    "long_audio": "STTD_MAX_AUDIO_SECONDS",
    "model_calls": "STTD_SLOTS",
    "decoders": "STTD_SLOTS",
    "loaded": "STTD_MODEL (a smaller one)",
}
"""By part of the memory bound: the setting that makes it smaller."""

FEATURES: Final = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_vnni": "AVX-512 VNNI", "amx_int8": "AMX"}
DECODE_SECONDS: Final = 30
ANSWER_SECONDS: Final = 2.0


async def look(settings: Settings) -> AsyncIterator[Line]:
    """Yield a line per question."""
    yield await asyncio.to_thread(model_line, settings)
    yield await decoder_line(settings)
    yield await asyncio.to_thread(compute_line, settings)
    yield cores_line(settings)
    from sttd.consumer.machine import allowed_bytes  # noqa: PLC0415 - commands import the daemon lazily

    yield memory_line(settings, allowed_bytes())
    yield await asyncio.to_thread(port_line, settings.side_host, settings.side_port)


def model_line(settings: Settings, offered: Callable[[str], str] | None = None) -> Line:
    """On disk and undamaged, or at a source? Reads all of a downloaded model, once.

    `offered`: names the source of a model that is not here, or raises `ModelUnavailable`.
    """
    from sttd.consumer.engine.files import layouts, store  # noqa: PLC0415 - commands import the daemon lazily
    from sttd.consumer.errors import ModelUnavailable  # noqa: PLC0415 - the same

    name = settings.model
    layout = layouts.of(name, settings.engine, settings.compute_type)
    try:
        path = store.resolve(name, settings.model_cache, layout)
        if path is None:
            return _absent(name, offered or (lambda name: store.offered(name, layout)))
        store.verify(name, path)
    except ModelUnavailable as error:
        return failed("model", error.message, "correct STTD_MODEL, or fetch the model again: sttd model fetch NAME")
    if name == layouts.DEMO:
        return warning(
            "model", "demo is for short notes about spending only", "set STTD_MODEL=base or larger for real use"
        )
    return ok("model", f"{name} in {path}")


def _absent(name: str, offered: Callable[[str], str]) -> Line:
    from sttd.consumer.errors import ModelUnavailable  # noqa: PLC0415 - commands import the daemon lazily

    try:
        source = offered(name)
    except ModelUnavailable as error:
        told, _, step = error.message.rpartition(": ")
        return failed("model", f"{told}; a start would end with code {int(error.exit_code)}", step)
    told = f"{name} is not on this machine; the first start downloads it from {source}"
    return warning("model", told, f"`sttd model fetch {name}` does it now")


async def decoder_line(settings: Settings) -> Line:
    """A decoder child, started as the daemon starts them, decodes a bundled note."""
    from sttd.consumer.audio.limits import DecodeLimits  # noqa: PLC0415 - commands import the daemon lazily
    from sttd.consumer.audio.pool import DecoderPool  # noqa: PLC0415 - the same
    from sttd.consumer.errors import SttdError  # noqa: PLC0415 - the same

    sample = samples()[0]
    pool = DecoderPool(1, DecodeLimits.from_settings(settings))
    try:
        async with asyncio.timeout(DECODE_SECONDS):
            await pool.start()
            decoded = await pool.decode(await asyncio.to_thread(sample.path.read_bytes))
    except (SttdError, OSError, TimeoutError) as error:
        told = str(error) or f"no answer within {DECODE_SECONDS} s"
        return failed(
            "decoder", f"it cannot decode a bundled note: {told}", f"install the libraries again: {INSTALL['consumer']}"
        )
    finally:
        await pool.close()
    return ok("decoder", f"a child process decoded {decoded.info.duration:.1f} s of {decoded.info.codec}")


def compute_line(settings: Settings) -> Line:
    """Whether device and compute type are available, and what the processor supports."""
    if settings.engine == "onnx":
        return onnx_line()
    ctranslate2 = importlib.import_module("ctranslate2")
    gpus = int(ctranslate2.get_cuda_device_count())
    device = "cuda" if settings.device == "cuda" or (settings.device == "auto" and gpus) else "cpu"
    if device == "cuda" and not gpus:
        return failed(
            "compute",
            "STTD_DEVICE=cuda, but there is no CUDA device here",
            "set STTD_DEVICE=cpu, or give the process a GPU",
        )
    types = sorted(ctranslate2.get_supported_compute_types(device))
    if settings.compute_type not in {"auto", *types}:
        return failed(
            "compute",
            f"this {device} does not support STTD_COMPUTE_TYPE={settings.compute_type}",
            f"one of: auto, {', '.join(types)}",
        )
    if device == "cuda":
        return ok("compute", f"{gpus} CUDA device{'s' if gpus > 1 else ''}; compute types {', '.join(types)}")
    from sttd.consumer.engine.model import cpu  # noqa: PLC0415 - commands import the daemon lazily

    return cpu_line(cpu.here().flags, types)


def onnx_line() -> Line:
    """The library of the engine onnx; it works on any CPU."""
    try:
        version = importlib.metadata.version("onnx-asr")
    except importlib.metadata.PackageNotFoundError:
        return failed("compute", "STTD_ENGINE=onnx, but onnx-asr is not installed", f"install it: {INSTALL['onnx']}")
    return ok("compute", f"onnx-asr {version} on the CPU, one core a slot")


def cpu_line(features: frozenset[str], types: list[str]) -> Line:
    """AVX2 is where int8 becomes fast."""
    found = [title for flag, title in FEATURES.items() if flag in features]
    told = f"CPU with {', '.join(found) or 'no AVX2'}; compute types {', '.join(types)}"
    if features and "avx2" not in features:
        return warning(
            "compute", told, "expect a fraction of the usual speed; virtual machines: pass the host's CPU model through"
        )
    return ok("compute", told)


def cores_line(settings: Settings) -> Line:
    """Each slot keeps one core busy."""
    from sttd.consumer.machine import usable_cores  # noqa: PLC0415 - commands import the daemon lazily

    cores, slots = usable_cores(), settings.effective_slots
    told = f"{slots} slots on {cores} usable cores (affinity and CPU quota considered)"
    if slots > cores:
        return warning(
            "cores", told, f"more slots than cores make every note slower: STTD_SLOTS={cores}, or leave it unset"
        )
    return ok("cores", told)


def memory_line(settings: Settings, available: int | None) -> Line:
    """About the bound that a start would log, against what is free now, in a container also by its limit."""
    from sttd.consumer import memory  # noqa: PLC0415 - commands import the daemon lazily

    weights = _weights(settings)
    bound = memory.bound(settings, PROCESS_MIB * MIB + int(WEIGHTS_TIMES * weights))
    told = f"about {bound.total // MIB:,} MiB needed with these settings when everything is in use"
    told += "" if weights else f", and the model {settings.model}, whose size is not known here"
    if available is None:
        return ok("memory", f"{told}; the system does not report what is free")
    told += f", {available // MIB:,} MiB available"
    if bound.total <= available:
        return ok("memory", told)
    parts = sorted(asdict(bound).items(), key=lambda part: -part[1])
    large = [name for name, size in parts if size > LARGE_SHARE * bound.total]
    lower = dict.fromkeys(LOWERS[name] for name in large if name in LOWERS)
    return warning("memory", told, f"lower {', '.join(lower)} (the largest parts first), or give it more memory")


def _weights(settings: Settings) -> int:
    """Bytes of the model's weights; 0 where they are not known."""
    from sttd.consumer.engine.files import layouts, store  # noqa: PLC0415 - commands import the daemon lazily
    from sttd.consumer.errors import ModelUnavailable  # noqa: PLC0415 - the same

    layout = layouts.of(settings.model, settings.engine, settings.compute_type)
    try:
        if path := store.resolve(settings.model, settings.model_cache, layout):
            return layout.weights(path).stat().st_size
    except (ModelUnavailable, OSError):  # the line about the model names it
        return 0
    if settings.engine == "onnx":
        return WEIGHTS_MB["gigaam, int8" if settings.compute_type == "int8" else "gigaam"] * 1_000_000
    size = settings.model if settings.model in WEIGHTS_MB else re.sub(r"(\.en|-v[\d.]+)$", "", settings.model)
    return WEIGHTS_MB.get(size, 0) * 1_000_000


def port_line(host: str, port: int) -> Line:
    """Whether the port is free, or used by a daemon that already serves, or by another program."""
    try:
        family, kind, protocol, _, address = looked_up(host, port)
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if _is_daemon(host, port):
            return ok("side port", f"a daemon serves on {host}:{port}; a second one here needs another STTD_SIDE_PORT")
        return failed(
            "side port",
            f"{host}:{port} cannot be used: {error.strerror or error}",
            advice(error, "STTD_SIDE_HOST", "STTD_SIDE_PORT"),
        )
    return ok("side port", f"{host}:{port} is free" if port else f"any free port of {host}")


def _is_daemon(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/health")
        told = json.loads(connection.getresponse().read(4096))
        return isinstance(told, dict) and {"status", "model"} <= told.keys()
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()
