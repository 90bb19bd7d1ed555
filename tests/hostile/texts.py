"""Bodies that name other files and hosts; as a program: decode them all and print what became of each.

`python -m tests.hostile.texts [--without-filter]`. The second form leaves the system-call filter out, so that the
whitelists stand alone.
"""

import asyncio
import json
import struct
import sys
from typing import Final

from sttd.consumer.audio.limits import DecodeLimits
from sttd.consumer.audio.pool import DecoderPool
from sttd.consumer.audio.process import child_command
from sttd.consumer.errors import AudioRejected
from tools.audio import containers as c
from tools.audio import files

SECRET: Final = "/etc/hostname"
HOST: Final = "http://192.0.2.1/x"
WITHOUT_FILTER: Final = (
    "from sttd.consumer.audio import seccomp; seccomp.install = lambda: False; "
    "from sttd.consumer.audio import child; child.main"
)


def with_reference() -> bytes:
    """A QuickTime file that names another file for its samples."""
    audio = files.encoded("m4a-aac")
    path = SECRET.encode()
    reference = b"\0\0\0\0" + bytes(6) + struct.pack(">H", len(path)) + path
    old = c.box(b"dref", bytes(4), struct.pack(">I", 1), c.box(b"url ", b"\0\0\0\1"))
    assert old in audio
    return audio.replace(old, c.box(b"dref", bytes(4), struct.pack(">I", 1), c.box(b"alis", reference)))


def bodies() -> dict[str, bytes]:
    """Name -> what may be sent."""
    manifest = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet '
        'mimeType="audio/mp4">'
    )
    texts = {
        "ffconcat": f"ffconcat version 1.0\nfile '{SECRET}'\n",
        "ffconcat of a URL": f"ffconcat version 1.0\nfile {HOST}.wav\n",
        "SDP": "v=0\no=- 0 0 IN IP4 192.0.2.1\ns=x\nc=IN IP4 192.0.2.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
        "HLS": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\n{HOST}.ts\n#EXTINF:9,\nfile://{SECRET}\n#EXT-X-ENDLIST\n",
        "HLS of concat": f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\nconcat:{HOST}|file://{SECRET}\n#EXT-X-ENDLIST\n",
        "DASH": f"{manifest}<BaseURL>{HOST}</BaseURL></AdaptationSet></Period></MPD>",
        "M3U": f"#EXTM3U\n{HOST}.mp3\n{SECRET}\n",
        "PLS": f"[playlist]\nFile1={HOST}.mp3\nFile2={SECRET}\nNumberOfEntries=2\n",
        "XSPF": "<playlist "
        f'xmlns="http://xspf.org/ns/0/"><trackList><track><location>{HOST}</location></track></trackList></playlist>',
        "ASX": f'<asx version="3.0"><entry><ref href="{HOST}.wma"/></entry></asx>',
        "RTSP": "rtsp://192.0.2.1/x",
        "URL": f"{HOST}.ogg",
        "path": SECRET,
        "concat:": f"concat:{SECRET}|{SECRET}",
        "subfile:": f"subfile,,start,0,end,100,,:{SECRET}",
        "data:": "data:audio/wav;base64,UklGRg==",
        "XML entity": f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file://{SECRET}">]><MPD>&a;</MPD>',
        "image sequence": "%03d.wav",
        "SMIL": f'<smil><body><audio src="{HOST}"/></body></smil>',
    }
    return {name: text.encode() for name, text in texts.items()} | {"QuickTime reference": with_reference()}


async def results(*, without_filter: bool) -> dict[str, str]:
    """What became of each body."""
    *python, boot, path = child_command()
    command = (
        *python,
        boot.replace("from sttd.consumer.audio import child; child.main", WITHOUT_FILTER) if without_filter else boot,
        path,
    )
    pool = DecoderPool(1, DecodeLimits(decode_seconds=20), command=command)
    await pool.start()
    try:
        return {name: await _result(pool, body) for name, body in bodies().items()}
    finally:
        await pool.close()


async def _result(pool: DecoderPool, body: bytes) -> str:
    try:
        await pool.decode(body)
    except AudioRejected as refusal:
        return str(refusal.code)
    return "decoded"


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(results(without_filter="--without-filter" in sys.argv))))
