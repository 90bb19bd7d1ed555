"""The shape of sound between decoder and engine."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE: Final = 16_000  # Hz; Whisper's input rate

Pcm = NDArray[np.float32]
"""float32 mono in [-1, 1], shape (samples,), 16 kHz."""
