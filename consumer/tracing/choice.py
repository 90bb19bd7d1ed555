"""Whether to trace: on when the standard OTEL_* environment asks for it and the `[otel]` extra is installed.

These variables are OpenTelemetry's own, so they are read here and not in settings.py.
"""

import os
from collections.abc import Mapping
from typing import Final

from sttd.consumer.errors import SettingsError
from sttd.consumer.tracing.seam import Tracing

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
NEXT_STEP: Final = '`pip install ".[otel]"` in the folder of sttd, or unset the OTEL_* variables'


def wanted(environment: Mapping[str, str]) -> str | None:
    """Name the exporter that the environment asks for (`otlp` or `console`), None for no tracing.

    Raises `SettingsError`.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower() or (
        "otlp" if any(environment.get(name) for name in ENDPOINTS) else "none"
    )
    if exporter not in {"otlp", "console", "none"}:
        raise SettingsError(f"OTEL_TRACES_EXPORTER={exporter}: must be otlp, console or none")
    return None if exporter == "none" else exporter


def from_environment(worker: str) -> Tracing:
    """Make what the OTEL_* environment asks for. Raises `SettingsError`, also when the extra is missing."""
    exporter = wanted(os.environ)
    if exporter is None:
        return Tracing()
    try:
        from sttd.consumer.tracing import otel  # noqa: PLC0415 - an extra that most do without
    except ImportError as error:
        raise SettingsError(
            f"the environment asks for OpenTelemetry ({exporter}), which is not installed: {NEXT_STEP}"
        ) from error
    try:
        return otel.OtelTracing(otel.provider(otel.exporter(exporter), worker))
    except ValueError as error:
        raise SettingsError(f"OpenTelemetry refuses its environment (OTEL_*): {error}") from error
