"""Makes the daemon's `References` from its settings, with a store or, as by default, without one.

Loads s3 only when a store is configured: its libraries come with the extra `s3`.
"""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from sttd.consumer.errors import SettingsError
from sttd.consumer.refs.references import References
from sttd.consumer.refs.seam import ObjectStore
from sttd.consumer.settings import Settings

log = structlog.get_logger(__name__)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncGenerator[References]:
    """Open the store, if there is one.

    Raises `SettingsError` when the extra is not installed or the certificates cannot be read.
    """
    async with AsyncExitStack() as parts:
        yield References(await _store(settings, parts), settings.allowed_references, settings.max_ref_bytes)


async def _store(settings: Settings, parts: AsyncExitStack) -> ObjectStore | None:
    if not (settings.s3_endpoint and settings.s3_access_key and settings.s3_secret_key):
        return None
    try:
        from sttd.consumer.refs import s3  # noqa: PLC0415 - an extra that only those need who use it
    except ImportError as error:
        raise SettingsError(
            f"STTD_S3_ENDPOINT needs the extra `s3` ({error.name} is missing): "
            '`pip install ".[s3]"` in the folder of sttd'
        ) from None
    secrets = settings.s3_access_key.get_secret_value(), settings.s3_secret_key.get_secret_value()
    account = s3.Account(settings.s3_endpoint, settings.s3_region, *secrets, settings.s3_ca_file)
    try:
        store = await parts.enter_async_context(s3.opened(account, settings.notes_in_hand))
    except OSError as error:
        raise SettingsError(f"STTD_S3_CA_FILE: cannot be read as certificates ({type(error).__name__})") from None
    log.info("references are followed", action="references", endpoint=settings.s3_endpoint, buckets=settings.s3_buckets)
    return store
