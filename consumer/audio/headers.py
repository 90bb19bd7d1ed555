"""The format of a file by its first bytes, read without any decoder. Pure.

FFmpeg answers "invalid data" both to a broken MP4 and to plain text; these checks tell them apart.
"""

from typing import Final

from sttd.consumer.audio.structure import starts, tags

_WAVE_64, _MATROSKA = b"riff\x2e\x91\xcf\x11", b"\x1a\x45\xdf\xa3"
_BEGINNINGS: Final = (*b"OggS fLaC ID3 RIFF RF64 BW64 RIFX FORM caff #!AMR".split(), _WAVE_64, _MATROSKA)
_BOXES: Final = (b"ftyp", b"moov", b"mdat")
_CLUSTER: Final = b"\x1f\x43\xb6\x75"
_FRAGMENTS: Final = (b"moof", b"styp", b"sidx")
_FIRST_PAGE: Final = 2


def is_later_piece(audio: bytes) -> bool:
    """Whether the bytes begin as a recorder's pieces do behind the first one, which alone tells codec and tracks."""
    is_page = audio.startswith(b"OggS") and len(audio) > len(b"OggS?") and not audio[len(b"OggS?")] & _FIRST_PAGE
    return is_page or audio.startswith(_CLUSTER) or (audio.startswith(_FRAGMENTS, 4) and b"moov" not in audio)


_PACKED: Final = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"PK\3\4", b"7z\xbc\xaf", b"Rar!")
_ZLIB: Final = range(0x7801, 0x7900)


def is_packed(audio: bytes) -> bool:
    """Whether the bytes begin as those of gzip, bzip2, xz, zstd, zlib or an archive do."""
    first = int.from_bytes(audio[:2])
    return audio.startswith(_PACKED) or (first in _ZLIB and first % 31 == 0)


def looks_like_audio(audio: bytes) -> bool:
    """Whether the bytes begin as one of the formats that we take does."""
    return audio.startswith(_BEGINNINGS) or audio.startswith(_BOXES, 4) or starts.is_mpeg(audio, 0)


def duration_is_guessed(audio: bytes, container: str) -> bool:
    """Whether FFmpeg can only guess this file's duration, from its size and a bit rate.

    A guess proves nothing.
    """
    if container == "mp3":
        return not any(tag in audio[tags.id3_bytes(audio) :][:4096] for tag in (b"Xing", b"Info", b"VBRI"))
    return container in {"aac", "amr"}
