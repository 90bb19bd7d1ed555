"""MP3 and ADTS: frames without an outer length, then tags, zeros, or the next file. Pure.

A decoder takes whatever stands behind the last frame for damaged ones.
"""

import re
from typing import Final

from sttd.consumer.audio.structure import starts, tags
from sttd.consumer.audio.structure.part import Length, Part

_XING: Final = re.compile(rb"(?:Xing|Info)\0\0\0(.)", re.DOTALL)
_FIRST_FRAME: Final = 64
_HAS_BYTES: Final = 2
_LEAST_ZEROS: Final = 64
_MOST_TRIES: Final = 64
_V1_LAYER_3: Final = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_V1_LAYER_2: Final = (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)
_V2: Final = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES: Final = (44_100, 48_000, 32_000)
_ADTS, _LAYER_3, _LAYER_2, _V1 = 0, 1, 2, 3


def walk(audio: bytes, start: int) -> Part:
    """The frames from `start` up to the next file, or to the tags and zeros at the end."""
    stops = starts.following(audio, start)
    end = _before_zeros(audio, start, tags.before_tags(audio, start, stops))
    return Part(start, end, _length(audio, start, end), behind=stops - end)


def _length(audio: bytes, start: int, end: int) -> Length:
    """The first frame may count frames and bytes: where all bytes are there, a count of more frames is false."""
    found = _XING.search(audio, start, start + _FIRST_FRAME)
    if found is None or not found[1][0] & _HAS_BYTES:
        return Length.ELSEWHERE
    at = found.end() + 4 * (found[1][0] & 1)
    return Length.WHOLE if 0 < int.from_bytes(audio[at : at + 4]) <= end - start else Length.ELSEWHERE


def _before_zeros(audio: bytes, start: int, end: int) -> int:
    """Without the zeros at the end, but for those of the last frame: encoders fill frames up with them."""
    sound = len(audio[start:end].rstrip(b"\0")) + start
    if end - sound < _LEAST_ZEROS:
        return end
    at = sound
    for _ in range(_MOST_TRIES):
        at = audio.rfind(audio[start : start + 2], start, at)
        if at < 0:
            return end
        if sound <= (behind := at + _frame_bytes(audio, at)) <= end:
            return behind
    return end


def _frame_bytes(audio: bytes, at: int) -> int:
    """The length of the frame whose header stands there; 0 where none does."""
    if at + 6 > len(audio):
        return 0
    kind, shape = audio[at + 1], audio[at + 2]
    version, layer, kilobits, rate = kind >> 3 & 3, kind >> 1 & 3, shape >> 4, shape >> 2 & 3
    if layer == _ADTS:
        return int.from_bytes(audio[at + 3 : at + 6]) >> 5 & 0x1FFF
    if layer not in {_LAYER_2, _LAYER_3} or kilobits == len(_V2) or rate == len(_RATES):
        return 0
    table = _V2 if version != _V1 else _V1_LAYER_3 if layer == _LAYER_3 else _V1_LAYER_2
    samples = 144 if version == _V1 or layer == _LAYER_2 else 72
    slower = (2, 0, 1, 0)[version]
    return samples * table[kilobits] * 1000 // (_RATES[rate] >> slower) + (shape >> 1 & 1)
