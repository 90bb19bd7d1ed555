"""What the daemon relies on in an object store, held by the fake and by S3Store before a real S3 server alike."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

from sttd.consumer.refs import s3
from sttd.consumer.refs.seam import ObjectDenied, ObjectStore, StoreUnavailable
from sttd.schemas.reference import Reference
from tests.support.object_store import BUCKET, REGION, Door, FakeStore, S3Server, listener, s3_server
from tests.support.waiting import PATIENCE

CONTENT = bytes(range(256)) * 2000
STRANGE = Reference(BUCKET, "боты/a b+c%20d&e=f?g#h~'(1)/note.ogg")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server with one object."""
    with s3_server(tmp_path_factory.mktemp("s3") / "log") as found:
        found.put(STRANGE.key, CONTENT)
        yield found


@pytest.fixture
def door(server: S3Server) -> Iterator[Door]:
    """The way to it."""
    with listener() as elsewhere, Door(server.port, f"http://127.0.0.1:{elsewhere.getsockname()[1]}/") as found:
        yield found
        with pytest.raises(BlockingIOError):  # whatever a test did: there was no connection to the other address
            elsewhere.accept()


def account(server: S3Server, door: Door, **other: Any) -> s3.Account:
    """The daemon's, but for what is given."""
    given = {
        "endpoint": door.endpoint,
        "region": REGION,
        "access_key": server.access_key,
        "secret_key": server.secret_key,
    }
    return s3.Account(**{**given, **other})


@pytest.fixture
async def real(server: S3Server, door: Door) -> AsyncGenerator[ObjectStore]:
    """The daemon's own store before the server."""
    async with s3.opened(account(server, door), at_once=2) as found:
        yield found


@pytest.fixture(params=["fake", "real"])
def store(request: pytest.FixtureRequest, real: ObjectStore) -> ObjectStore:
    """Each of both."""
    return FakeStore({STRANGE: CONTENT}) if request.param == "fake" else real


async def read(store: ObjectStore, reference: Reference) -> tuple[int | None, bytes]:
    """The size as claimed, and the whole object."""
    async with store.reading(reference) as found:
        return found.size, b"".join([chunk async for chunk in found.chunks])


async def test_an_object_comes_as_it_was_put_whatever_its_key(store: ObjectStore) -> None:
    """A key is quoted for the way and signed as it is quoted; nothing is decompressed or decoded."""
    assert await read(store, STRANGE) == (len(CONTENT), CONTENT)


async def test_what_is_not_there_is_denied_and_the_store_works_on(store: ObjectStore) -> None:
    """A permanent answer: no retries for minutes of what was never put."""
    with pytest.raises(ObjectDenied):
        await read(store, Reference(BUCKET, "missing.ogg"))
    with pytest.raises(ObjectDenied):
        await read(store, Reference("no-such-bucket", "note.ogg"))
    assert (await read(store, STRANGE))[1] == CONTENT


async def test_reading_may_be_left_in_the_middle_again_and_again(store: ObjectStore) -> None:
    """A deadline or a size limit ends the reading; with two connections at most, a leak would hang the third time."""
    for _ in range(4):
        async with asyncio.timeout(PATIENCE), store.reading(STRANGE) as found:
            async for _chunk in found.chunks:
                break


async def test_wrong_keys_are_the_operators_matter_and_wait(server: S3Server, door: Door) -> None:
    """The server checks signatures: a wrong secret or an unknown id must not be reported as a missing file."""
    for wrong in ({"secret_key": "x" * 40}, {"access_key": "AKIAIOSFODNN7EXAMPLE"}):
        async with s3.opened(account(server, door, **wrong), at_once=1) as found:
            with pytest.raises(StoreUnavailable) as told:
                await read(found, STRANGE)
        assert server.secret_key not in repr(told.value)


@pytest.mark.parametrize("how", ["elsewhere_307", "busy", "short"])
async def test_trouble_on_the_way_is_unavailable(how: str, real: ObjectStore) -> None:
    """Redirects are not followed (the door's fixture checks), and half an object is none."""
    with pytest.raises(StoreUnavailable):
        await read(real, Reference(BUCKET, f"rude/{how}"))


async def test_a_closed_door_is_unavailable_until_it_opens(real: ObjectStore, door: Door) -> None:
    """A restart of the store, between two requests, on a connection that was kept."""
    assert (await read(real, STRANGE))[1] == CONTENT
    door.close()
    with pytest.raises(StoreUnavailable):
        await read(real, STRANGE)
    door.open()
    assert (await read(real, STRANGE))[1] == CONTENT


async def test_an_account_tells_no_secret(server: S3Server, door: Door) -> None:
    """It may end up in a traceback."""
    shown = repr(account(server, door))
    assert server.secret_key not in shown
    assert server.access_key not in shown
