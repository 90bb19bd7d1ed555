"""Files for the decoder's tests, made with PyAV: every container and codec that is taken, and hostile ones.

Never an external ffmpeg.
"""

import io
import struct
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

TAKEN: Final[dict[str, tuple[str, str, int, str]]] = {
    # name: container, encoder, sample rate, layout
    "ogg-opus": ("ogg", "libopus", 48_000, "mono"),
    "ogg-vorbis": ("ogg", "vorbis", 44_100, "stereo"),
    "webm-opus": ("webm", "libopus", 48_000, "mono"),
    "matroska-aac": ("matroska", "aac", 44_100, "mono"),
    "mp3": ("mp3", "libmp3lame", 44_100, "stereo"),
    "m4a-aac": ("mp4", "aac", 44_100, "stereo"),
    "mov-alac": ("mov", "alac", 48_000, "stereo"),
    "3gp-amr": ("3gp", "libopencore_amrnb", 8_000, "mono"),
    "adts-aac": ("adts", "aac", 16_000, "mono"),
    "flac": ("flac", "flac", 44_100, "stereo"),
    "amr": ("amr", "libopencore_amrnb", 8_000, "mono"),
    "aiff": ("aiff", "pcm_s16be", 22_050, "mono"),
    "caf": ("caf", "pcm_s16le", 44_100, "mono"),
    "w64": ("w64", "pcm_s16le", 44_100, "mono"),
    "wav-u8": ("wav", "pcm_u8", 11_025, "mono"),
    "wav-s16": ("wav", "pcm_s16le", 44_100, "stereo"),
    "wav-s16-16k": ("wav", "pcm_s16le", 16_000, "mono"),
    "wav-s24": ("wav", "pcm_s24le", 48_000, "mono"),
    "wav-s32": ("wav", "pcm_s32le", 96_000, "mono"),
    "wav-f32": ("wav", "pcm_f32le", 48_000, "5.0"),
    "wav-alaw": ("wav", "pcm_alaw", 8_000, "mono"),
    "wav-mulaw": ("wav", "pcm_mulaw", 8_000, "mono"),
}


def tone(seconds: float, rate: int) -> NDArray[np.float32]:
    """A tone that rises while it sounds, so that a missing or moved piece shows.

    Shape (samples,), within [-0.5, 0.5].
    """
    time = np.arange(int(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * (220 * time + 40 * time**2))).astype(np.float32)


def encoded(name: str, seconds: float = 1.0) -> bytes:
    """A tone as a file of one of the `TAKEN` kinds."""
    container, encoder, rate, layout = TAKEN[name]
    return encode(container, encoder, rate, layout, tone(seconds, rate))


def encode(container: str, encoder: str, rate: int, layout: str, samples: NDArray[np.float32]) -> bytes:
    """One file.

    `samples`: of each channel, shape (channels, samples), or the same on all channels, shape (samples,).
    """
    out = io.BytesIO()
    with av.open(out, mode="w", format=container) as target:
        stream: Any = target.add_stream(encoder, rate=rate, layout=layout, options={"strict": "experimental"})  # Vorbis
        for frame in frames(samples, rate, layout, stream.codec_context):
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return out.getvalue()


def frames(samples: NDArray[np.float32], rate: int, layout: str, context: Any) -> list[Any]:
    """The samples in the format and the frame size that the encoder takes."""
    each = samples if samples.ndim > 1 else np.tile(samples, (av.AudioLayout(layout).nb_channels, 1))
    frame: Any = av.AudioFrame.from_ndarray(np.ascontiguousarray(each), format="fltp", layout=layout)
    frame.rate = rate
    context.open()
    resampler = av.AudioResampler(
        format=context.format, layout=layout, rate=rate, frame_size=context.frame_size or 1024
    )
    return [*resampler.resample(frame), *resampler.resample(None)]


def silent_video() -> bytes:
    """A video file without an audio stream."""
    out = io.BytesIO()
    with av.open(out, mode="w", format="matroska") as target:
        stream: Any = target.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 64
        for _ in range(5):
            target.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        target.mux(stream.encode(None))
    return out.getvalue()


def wav(data: bytes, *, rate: int = 16_000, channels: int = 1, bits: int = 16, data_size: int | None = None) -> bytes:
    """A WAV file written by hand, so that its header can lie."""
    size = len(data) if data_size is None else data_size
    block = channels * bits // 8
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, min(rate * block, 2**32 - 1), block & 0xFFFF, bits)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", size) + data
    return struct.pack("<4sI", b"RIFF", min(4 + len(form) + 8 + size, 2**32 - 1)) + body


def ogg_pages(audio: bytes) -> list[bytes]:
    """An Ogg file, page by page."""
    starts = [at for at in range(len(audio)) if audio.startswith(b"OggS", at)]
    return [audio[start:end] for start, end in zip(starts, [*starts[1:], len(audio)], strict=True)]
