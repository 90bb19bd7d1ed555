"""Forms are read chunk by chunk, wherever cut, every limit holds while reading, and room is given back."""

import asyncio
import gc
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from sttd.gateway import forms
from sttd.gateway.forms import Form, Limits
from sttd.gateway.problems import Problem
from sttd.gateway.room import STALLED_SECONDS, UploadRoom

pytestmark = pytest.mark.virtual_time

LIMITS = Limits(file_bytes=1000, seconds=5)
FORM = {"content-type": 'multipart/form-data; boundary="b"'}


def part(head: str, body: bytes) -> bytes:
    """One part of a form."""
    return f"--b\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + body + b"\r\n"


FILE = part('name="file"; filename="v.ogg"', b"OggS\r\n--bogus\r\nrest")
WHOLE = (
    part('name="language"', "ру".encode()) + FILE + part('name="x[]"', b"1") + part('name="x[]"', b"2") + b"--b--\r\n"
)


def request(chunks: list[bytes], headers: dict[str, str]) -> Request:
    """A request whose body comes in these pieces; after the last one nothing comes, unless it is whole."""
    pieces = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages: list[dict[str, Any]] = [*pieces, {"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw, "method": "POST", "path": "/"}, receive)


async def read(
    *chunks: bytes, limits: Limits = LIMITS, headers: dict[str, str] | None = None, room: UploadRoom | None = None
) -> Form:
    """Read one form."""
    with (room or UploadRoom(10_000_000, asyncio.get_running_loop().time)).hold() as hold:
        return await forms.read(request(list(chunks), FORM | (headers or {})), hold, limits)


async def refused(*chunks: bytes, **given: Any) -> Problem:
    """Read one form that must be refused."""
    with pytest.raises(Problem) as error:
        await read(*chunks, **given)
    return error.value


async def test_a_form_is_its_fields_and_its_file() -> None:
    """Boundaries that only look like one are part of the audio.

    A field may come several times, with or without brackets.
    """
    form = await read(WHOLE)
    assert form.audio == b"OggS\r\n--bogus\r\nrest"
    assert form.one("language") == "ру"
    assert form.many("x") == ["1", "2"]
    assert form.one("nothing") is None


@settings(max_examples=50)
@given(st.lists(st.integers(0, len(WHOLE)), max_size=12))
def test_no_cut_between_chunks_changes_a_form(cuts: list[int]) -> None:
    """TCP cuts where it likes."""
    places = [0, *sorted(cuts), len(WHOLE)]
    chunks = [WHOLE[start:end] for start, end in pairwise(places)]
    assert asyncio.run(read(*chunks)) == asyncio.run(read(WHOLE))


@pytest.mark.parametrize("preamble", [b"\r\n", b"This is a multi-part message in MIME format.\r\n", b"-\r\n--\r\n"])
@pytest.mark.parametrize("cut", [1, 2, 30, 60, 200])
async def test_text_before_the_first_boundary_is_skipped(preamble: bytes, cut: int) -> None:
    """As in the old service: mail libraries write some."""
    body = preamble + WHOLE
    assert await read(body[:cut], body[cut:]) == await read(WHOLE)


FOLDED = b'Content-Disposition: form-data;\r\n name="file";\r\n\tfilename*0="a long ";\r\n filename*1="name.ogg"'
AS_WRITTEN = {
    "line feeds alone": WHOLE.replace(b"\r\n", b"\n"),
    "a folded head": WHOLE.replace(b'Content-Disposition: form-data; name="file"; filename="v.ogg"', FOLDED),
    "both": WHOLE.replace(b'Content-Disposition: form-data; name="file"; filename="v.ogg"', FOLDED).replace(
        b"\r\n", b"\n"
    ),
    "spaces behind the boundary": WHOLE.replace(b"--b\r\n", b"--b \t\r\n"),
    "nothing behind the last boundary": WHOLE.removesuffix(b"\r\n"),
    "text behind the last boundary": WHOLE + b"the end\r\n--b\r\n",
    "no space behind the colon": WHOLE.replace(b"Disposition: ", b"Disposition:"),
    "spaces around the colon": WHOLE.replace(b"Disposition: ", b"Disposition \t:\t "),
    "many heads": WHOLE.replace(b"Content-D", b"X-A: 1\r\nX-B: 2\r\n" * 10 + b"Content-D"),
    "an attachment": WHOLE.replace(b"form-data; ", b"attachment; "),
}
"""As mail libraries and programs for small machines write forms; the old service read each of them."""


@pytest.mark.parametrize("how", AS_WRITTEN)
@given(st.lists(st.integers(0, 900), max_size=6))
def test_a_form_is_read_however_it_was_written(how: str, cuts: list[int]) -> None:
    """Wherever it was cut. The audio keeps its bytes: only in it every line feed of the form alone stays what it is."""
    body = AS_WRITTEN[how]
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    form = asyncio.run(read(*(body[start:end] for start, end in pairwise(places))))
    assert form.audio == (b"OggS\r\n--bogus\r\nrest" if b"\r\n" in body else b"OggS\n--bogus\nrest")
    assert (form.one("language"), form.many("x")) == ("ру", ["1", "2"])


@pytest.mark.parametrize("inside", [b"\r\n--bb\r\n", b"--b\r\n", b"\r\n--b-\r\n", b"\r\n--b" + b" " * 65 + b"\r\n"])
async def test_audio_that_nearly_holds_a_boundary_is_kept(inside: bytes) -> None:
    """A boundary has a line of its own."""
    whole = part('name="file"; filename="a"', b"Ogg" + inside + b"S") + b"--b--\r\n"
    for chunks in ([whole], [whole[at : at + 1] for at in range(len(whole))]):
        assert (await read(*chunks)).audio == b"Ogg" + inside + b"S"


async def test_text_before_a_boundary_that_never_comes_is_bounded() -> None:
    """It counts as a field."""
    problem = await refused(*[b"x" * 1000] * 70, limits=Limits(file_bytes=1_000_000, seconds=5))
    assert problem.status == 413


async def test_the_first_file_of_that_name_wins_and_others_are_dropped() -> None:
    """As in the old service; a file under another name is no file of ours."""
    form = await read(
        part('name="other"; filename="a"', b"no"), FILE, part('name="file"; filename="c"', b"second"), b"--b--\r\n"
    )
    assert form.audio == b"OggS\r\n--bogus\r\nrest"
    assert (await read(part('name="file"', b"a field"), b"--b--\r\n")).audio is None
    assert (await read(part('name="file"; filename=""', b""), b"--b--\r\n")).audio == b""


@pytest.mark.parametrize(
    "named",
    [
        "name=\"file\"; filename*=utf-8''%D0%B3%D0%BE%D0%BB%D0%BE%D1%81.ogg",
        "name=\"file\"; FileName*=UTF-8'ru'%D0%B3.ogg",
        'name="file"; filename*="utf-8\'\'%D0%B3.ogg"',
        "name=\"file\"; filename*=koi8-r''%C7.ogg",
        "name=\"file\"; filename*=no-such-charset''%C7.ogg",
        'name="file"; filename*=%C7.ogg',
        'name="file"; filename="_.ogg"; filename*=utf-8\'\'%D0%B3.ogg',
        'name="file"; filename*0="a long "; filename*1="name.ogg"',
        "name=\"file\"; filename*0*=utf-8''%D0%B3; filename*1=.ogg",
        "name*=utf-8''file; filename*=utf-8''%D0%B3.ogg",
        "name*=utf-8''file; filename=a.ogg",
        "filename*=utf-8''%D0%B3.ogg; name=file",
        'name="file"; filename="голос.ogg"',
        'name="file"; filename="*.ogg"',
    ],
)
async def test_a_file_name_in_any_form_makes_a_file(named: str) -> None:
    """The old service read them all; older urllib3 sends Cyrillic names as `filename*` (psf/requests#3446)."""
    assert (await read(part(named, b"OggS"), b"--b--\r\n")).audio == b"OggS"


@pytest.mark.parametrize("named", ['name="file"', 'name="x; filename*=a"', "name=\"other\"; filename*=utf-8''a"])
async def test_what_only_looks_like_our_file_is_none(named: str) -> None:
    """A field, a name that quotes the parameter, a file under another name."""
    assert (await read(part(named, b"OggS"), b"--b--\r\n")).audio is None


@pytest.mark.parametrize(
    "named",
    [
        "name*=undefined''file",
        "name*=%00''file",
        "name*=raw_unicode_escape''%5Cud800",
        'name="file"; filename*0="a"; filename*="b"',
        f'name="file"; filename*{"9" * 5000}="a"',
        f'name="file"; filename="{";" * 5000}"',
    ],
)
async def test_a_head_that_nothing_reads_breaks_the_form_only(named: str) -> None:
    """Python has codecs that always raise, and its parser of heads is not made for strangers."""
    assert (await refused(part(named, b"OggS"), b"--b--\r\n")).status == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": ""}, 400),
        ({"content-type": "application/x-www-form-urlencoded"}, 400),
        ({"content-type": "multipart/form-data"}, 400),
        ({"content-type": "audio/ogg"}, 415),
        ({"content-type": f"multipart/form-data; boundary={'b' * 5000}"}, 400),
        ({"content-length": "2000000000"}, 413),
    ],
)
async def test_what_the_head_gives_away_is_refused_before_the_body(headers: dict[str, str], status: int) -> None:
    """A file of 2 GB is refused at the start of its upload, not at the end."""

    async def never() -> dict[str, Any]:
        raise AssertionError("the body was read")

    asked = request([], FORM | headers)
    asked._receive = never
    with UploadRoom(10, asyncio.get_running_loop().time).hold() as hold, pytest.raises(Problem) as error:
        await forms.read(asked, hold, LIMITS)
    assert error.value.status == status


@pytest.mark.parametrize(
    ("chunks", "status"),
    [
        ([part('name="file"; filename="a"', b"a" * 1001)], 413),
        ([part('name="x"', b"a" * (forms.FIELD_BYTES + 1))], 413),
        ([part('name="other"; filename="a"', b"a" * 40_000), part('name="third"; filename="a"', b"a" * 40_000)], 413),
        ([part("name=x", b"1") * (forms.MOST_PARTS + 1)], 400),
        ([b"no form at all"], 400),
        ([FILE], 400),
        ([b"--b\r\nContent-Type: audio/ogg\r\n\r\nno name\r\n--b--\r\n"], 400),
        ([b"--b\r\n" + b"X-Long: " + b"a" * 10_000], 400),
        ([], 400),
    ],
)
async def test_every_limit_holds_while_reading(chunks: list[bytes], status: int) -> None:
    """Too large, too many, broken, cut off: a status, never a crash."""
    assert (await refused(*chunks)).status == status


async def test_audio_that_was_refused_is_let_go_of_at_once() -> None:
    """Room that is free on paper must be free in memory, without waiting for the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        await refused(FILE, part('name="file2"; filename="x"', b"a" * 70_000))
        assert not [found for found in gc.get_objects() if isinstance(found, forms._Reader) and found._file is not None]
    finally:
        gc.enable()


async def test_a_caller_who_hangs_up_in_his_upload_is_no_error() -> None:
    """It happens all the time; the log has 499."""
    asked = request([FILE], FORM)

    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    asked._receive = gone
    with UploadRoom(10, asyncio.get_running_loop().time).hold() as hold, pytest.raises(Problem) as error:
        await forms.read(asked, hold, LIMITS)
    assert error.value.status == 499


async def test_an_upload_that_dawdles_ends() -> None:
    """The time is for the whole upload, however many pieces come meanwhile."""
    asked = request([], FORM)

    async def drip() -> dict[str, Any]:
        await asyncio.sleep(1)
        return {"type": "http.request", "body": b"--b\r\n"[:0], "more_body": True}

    asked._receive = drip
    with (
        UploadRoom(10, asyncio.get_running_loop().time).hold() as hold,
        pytest.raises(Problem, match="too slow") as error,
    ):
        await forms.read(asked, hold, Limits(1000, 60))
    assert error.value.status == 408


async def test_an_upload_that_lost_its_room_is_told_that() -> None:
    """It was not as slow as the settings forbid: its sender would look for the wrong limit."""
    room, stalled = UploadRoom(10, asyncio.get_running_loop().time), request([], FORM)

    async def newcomer_in_between() -> dict[str, Any]:
        hold.grow(8)
        await asyncio.sleep(STALLED_SECONDS)
        with room.hold() as newcomer:
            newcomer.grow(5)
        await asyncio.Event().wait()
        raise AssertionError

    stalled._receive = newcomer_in_between
    with room.hold() as hold, pytest.raises(Problem, match="others need its room") as error:
        await forms.read(stalled, hold, Limits(1000, 60))
    assert error.value.status == 408


async def test_room_is_given_back_and_a_full_one_refuses() -> None:
    """The audio in memory is what the counter shows, and one request too many is refused at once."""
    now = 0.0
    room = UploadRoom(100, lambda: now)
    with room.hold() as first:
        first.grow(60)
        with room.hold() as second, pytest.raises(Problem) as error:
            second.grow(41)
        assert (error.value.status, error.value.retry_after) == (429, 10)
        assert room.used == 60
    assert room.used == 0


async def test_an_upload_that_stands_still_makes_way_but_one_that_waits_for_its_text_does_not() -> None:
    """Open connections must hold up no other call; finished uploads are never given up."""
    loop = asyncio.get_running_loop()
    now = loop.time()
    room = UploadRoom(100, lambda: now)
    ended = asyncio.Event()

    async def stalls() -> None:
        with room.hold() as hold:
            async with asyncio.timeout(60) as hold.uploading:
                hold.grow(50)
                ended.set()
                await asyncio.Event().wait()

    task = asyncio.create_task(stalls())
    await ended.wait()
    with room.hold() as waiting, room.hold() as newcomer:
        waiting.grow(40)
        with pytest.raises(Problem):
            newcomer.grow(50)
        now += STALLED_SECONDS
        newcomer.grow(50)
        assert room.used == 90
        with pytest.raises(TimeoutError):
            await task
        assert room.used == 90
