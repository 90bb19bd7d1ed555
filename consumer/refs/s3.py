"""An object store behind S3's API: one signed GET, by botocore's signer and httpx2; the only place that uses either.

Connects to the configured endpoint only: path-style addresses, no redirect followed, no proxy or credentials from the
environment. Never writes an object; never logs what it sent or the store's own text.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx2
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from sttd.consumer.refs.seam import ObjectDenied, StoredObject, StoreUnavailable
from sttd.schemas.reference import Reference

SILENCE_SECONDS: Final = 10.0  # without a byte, while connecting and while reading
OUR_FAULT: Final = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed", "AuthorizationHeaderMalformed"}
)
"""400 and 403 with these codes have another cause than the object: our settings or our clock. The operator must fix
them; the request waits."""
MOMENTARY: Final = frozenset({401, 408, 425, 429})
EXPLANATION: Final = 4096  # bytes of an error's body that are read
_CODE: Final = re.compile(rb"<Code>([A-Za-z]{1,60})</Code>")
_UNRESERVED: Final = "/-_.~"


@dataclass(frozen=True, slots=True)
class Account:
    """The store's address and the daemon's credentials. `ca_file`: certificates to trust instead of the system's."""

    endpoint: str
    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    ca_file: Path | None = None


class S3Store:
    """An `ObjectStore`."""

    def __init__(self, account: Account, http: httpx2.AsyncClient) -> None:
        """`http` must follow no redirects; `opened` makes one."""
        self._endpoint = account.endpoint.rstrip("/")
        self._http = http
        self._credentials = Credentials(account.access_key, account.secret_key)
        self._region = account.region

    @asynccontextmanager
    async def reading(self, reference: Reference) -> AsyncGenerator[StoredObject]:
        """See `ObjectStore.reading`."""
        url = f"{self._endpoint}/{reference.bucket}/{quote(reference.key, safe=_UNRESERVED)}"
        request = self._http.build_request("GET", url, headers=self._signed(url))
        try:
            answer = await self._http.send(request, stream=True)
        except httpx2.HTTPError as error:
            raise _silent(error) from None
        try:
            if answer.status_code != httpx2.codes.OK:
                raise _meaning(answer.status_code, await _explanation(answer))
            yield StoredObject(_size(answer), _chunks(answer))
        finally:
            await answer.aclose()  # before the end of the object this ends the connection too

    def _signed(self, url: str) -> dict[str, str]:
        """Headers for this one GET; botocore signs the path as it is written, so nothing may rewrite it afterwards."""
        request = AWSRequest("GET", url, headers={"Accept-Encoding": "identity"})
        S3SigV4Auth(self._credentials, "s3", self._region).add_auth(request)
        return dict(request.headers.items())


@asynccontextmanager
async def opened(account: Account, at_once: int) -> AsyncGenerator[S3Store]:
    """Make a store; connects to nothing yet.

    `at_once`: connections at most. Raises `OSError` for a `ca_file` that is none.
    """
    trusted = await asyncio.to_thread(ssl.create_default_context, cafile=account.ca_file)
    async with httpx2.AsyncClient(
        verify=trusted,
        follow_redirects=False,
        trust_env=False,
        timeout=httpx2.Timeout(SILENCE_SECONDS, pool=None),
        limits=httpx2.Limits(max_connections=at_once),
    ) as http:
        yield S3Store(account, http)


async def _chunks(answer: httpx2.Response) -> AsyncIterator[bytes]:
    """Bytes as they come; nothing is ever decompressed."""
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    except httpx2.HTTPError as error:
        raise _silent(error) from None


def _size(answer: httpx2.Response) -> int | None:
    claimed = answer.headers.get("content-length", "")
    return int(claimed) if claimed.isdecimal() else None


async def _explanation(answer: httpx2.Response) -> str:
    """S3's own code in the body of an error; empty where there is none."""
    begin = b""
    async for chunk in _chunks(answer):
        begin += chunk
        if len(begin) >= EXPLANATION:
            break
    found = _CODE.search(begin[:EXPLANATION])
    return found[1].decode() if found else ""


def _silent(error: httpx2.HTTPError) -> StoreUnavailable:
    return StoreUnavailable(f"the object store does not answer ({type(error).__name__})")


def _meaning(status: int, code: str) -> ObjectDenied | StoreUnavailable:
    if httpx2.codes.is_redirect(status):
        return StoreUnavailable(
            "the object store sends elsewhere, where this daemon does not go: its operator sets STTD_S3_ENDPOINT"
        )
    if httpx2.codes.is_client_error(status) and status not in MOMENTARY and code not in OUR_FAULT:
        return ObjectDenied("there is no such object, or this daemon may not read it")
    return StoreUnavailable(f"the object store answered {status}{f' ({code})' if code else ''}")
