"""Which references are followed and how much of them is read, with a store in memory."""

import asyncio
import sys
from typing import Any

import pytest

from sttd.consumer.errors import RequestFailed, SettingsError
from sttd.consumer.refs import following
from sttd.consumer.refs.references import References
from sttd.consumer.settings import Settings
from sttd.schemas.codes import ErrorCode
from sttd.schemas.reference import Reference
from tests.support.object_store import FakeStore

pytestmark = pytest.mark.virtual_time

NOTE = Reference("voice", "in/note.ogg")
STORE: dict[str, Any] = {
    "s3_endpoint": "https://store:9000",
    "s3_access_key": "id",
    "s3_secret_key": "hidden",
    "s3_buckets": "voice",
}


def references(store: FakeStore | None, *allowed: tuple[str, str]) -> References:
    """With a limit of 1,000 bytes."""
    return References(store, allowed or (("voice", ""),), 1000)


async def fetch(found: References, reference: Reference = NOTE) -> bytes:
    """What a reference leads to."""
    return await found.fetch(reference)


async def refused(found: References, reference: Reference = NOTE) -> RequestFailed:
    """The failure that a reference leads to."""
    with pytest.raises(RequestFailed) as told:
        await fetch(found, reference)
    return told.value


async def test_what_is_on_the_list_is_read() -> None:
    """The bytes as they were put, also where the store does not give their number."""
    for says_size in (True, False):
        assert await fetch(references(FakeStore({NOTE: b"x" * 1000}, says_size=says_size))) == b"x" * 1000


async def test_without_a_store_every_reference_is_denied_with_the_next_step() -> None:
    """The default: a reference opens nothing."""
    told = await refused(references(None))
    assert (told.code, told.details) == (ErrorCode.AUDIO_REF_DENIED, {"reason": "off"})
    assert "STTD_S3_ENDPOINT" in told.message


@pytest.mark.parametrize(
    ("allowed", "reference", "permitted"),
    [
        (("voice", ""), NOTE, True),
        (("voice", "in/"), NOTE, True),
        (("voice", "in/"), Reference("voice", "inner/note.ogg"), False),
        (("voice", "in/"), Reference("voice", "in"), False),
        (("voice", ""), Reference("voices", "in/note.ogg"), False),
        (("voice", ""), Reference("voic", "e/in/note.ogg"), False),
    ],
)
async def test_the_list_is_of_whole_names(allowed: tuple[str, str], reference: Reference, permitted: bool) -> None:
    """A bucket whose name begins alike, or a folder beside the allowed one, is another owner's."""
    found = references(FakeStore({reference: b"x"}), allowed)
    if permitted:
        assert await fetch(found, reference) == b"x"
    else:
        assert (await refused(found, reference)).details == {"reason": "not_listed"}


@pytest.mark.parametrize("says_size", [True, False])
async def test_no_more_is_read_than_the_limit(says_size: bool) -> None:
    """A claimed size is believed when it is too large; and never when it is not."""
    store = FakeStore({NOTE: b"x" * 100_000}, says_size=says_size)
    told = await refused(references(store))
    assert told.code is ErrorCode.BODY_TOO_LARGE
    assert store.chunks_read == (0 if says_size else 11)
    assert store.reading_now == 0


async def test_an_empty_object_is_empty_audio() -> None:
    """The same answer as for an empty body."""
    assert (await refused(references(FakeStore({NOTE: b""})))).code is ErrorCode.AUDIO_EMPTY


async def test_what_is_missing_is_denied_and_a_store_that_is_down_unavailable() -> None:
    """The first is answered at once, the second is tried again."""
    missing, down = await refused(references(FakeStore())), await refused(references(FakeStore(down=True)))
    assert (missing.code, missing.code.retryable) == (ErrorCode.AUDIO_REF_DENIED, False)
    assert (down.code, down.code.retryable) == (ErrorCode.AUDIO_REF_UNAVAILABLE, True)


async def test_a_store_that_stands_still_is_left_after_the_time_limit() -> None:
    """Even for callers without a deadline."""
    store = FakeStore({NOTE: b"x"}, held=asyncio.Event())
    assert (await refused(references(store))).code is ErrorCode.AUDIO_REF_UNAVAILABLE
    assert store.reading_now == 0


async def test_a_cancelled_fetch_leaves_nothing_open() -> None:
    """Cancels and deadlines end the reading."""
    store = FakeStore({NOTE: b"x"}, held=asyncio.Event())
    found = references(store)
    task = asyncio.create_task(fetch(found))
    await store.entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert store.reading_now == 0


async def test_settings_without_an_endpoint_open_no_store() -> None:
    """Off by default, with nothing to install."""
    async with following.opened(Settings(worker="w")) as found:
        assert (await refused(found)).details == {"reason": "off"}


async def test_settings_with_an_endpoint_open_one_and_connect_to_nobody() -> None:
    """A store that is down must not keep the daemon from starting; its list is that of the settings."""
    async with following.opened(Settings(worker="w", **STORE)) as found:
        assert (await refused(found, Reference("other", "key"))).details == {"reason": "not_listed"}


async def test_certificates_that_are_none_end_the_start(tmp_path: Any) -> None:
    """With the name of the setting, and no traceback."""
    nonsense = tmp_path / "ca.pem"
    nonsense.write_text("not a certificate")
    with pytest.raises(SettingsError, match="STTD_S3_CA_FILE"):
        async with following.opened(Settings(worker="w", **STORE, s3_ca_file=nonsense)):
            pass


async def test_an_endpoint_without_the_extra_ends_the_start_with_the_line_to_type(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The libraries are an extra of their own; the error names it instead of an ImportError."""
    monkeypatch.delitem(sys.modules, "sttd.consumer.refs.s3", raising=False)
    monkeypatch.delattr("sttd.consumer.refs.s3", raising=False)
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    with pytest.raises(SettingsError, match=r"pip install .\.\[s3\]"):
        async with following.opened(Settings(worker="w", **STORE)):
            pass
