"""Cancels requests at the daemons: `{"cancel": "<message_id>"}` on the control exchange.

On a channel of its own: a refusal closes its channel, and must not cost the requests theirs.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import aio_pika
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ChannelClosed

from sttd import errors
from sttd.amqp import GOODBYE_SECONDS, ClientLink
from sttd.schemas import names
from sttd.schemas.cancel import Cancel
from sttd.service.broker_errors import as_connection_error, words

CANCEL_SECONDS: Final = 30
"""How long a cancel may take, a reconnect to the broker included. Later the request is done, or has expired."""

AGAIN_SECONDS: Final = 0.1
"""The pause after a connection failed: the link may be about to notice."""

_log = logging.getLogger(__name__)


class Control:
    """Sends cancels: at once and with an error if that fails, or later, without a caller that waits."""

    def __init__(self, link: ClientLink) -> None:
        self._link = link
        self._leaving: dict[str, None] = {}
        self._courtesy: asyncio.Task[None] | None = None
        self._level = logging.WARNING  # once; a bot without the permission would else fill its log

    async def cancel(self, message_ids: Sequence[str]) -> None:
        """Return when the broker has passed the cancels on. Raises `NotServed`, `BrokerUnavailable`, `ClientClosed`."""
        try:
            async with asyncio.timeout(CANCEL_SECONDS):
                while True:
                    if await self._published(message_ids):
                        return
                    await asyncio.sleep(AGAIN_SECONDS)
        except TimeoutError:
            raise errors.BrokerUnavailable(
                f"the broker did not take the cancel within {CANCEL_SECONDS} s; "
                + (self._link.trouble or "look at its alarms (`rabbitmqctl status`)")
            ) from None

    def withdraw(self, *message_ids: str) -> None:
        """Cancel soon, in a task of our own: a caller that stopped waiting must not wait for this."""
        self._leaving |= dict.fromkeys(message_ids)
        if self._leaving and (self._courtesy is None or self._courtesy.done()):
            self._courtesy = asyncio.create_task(self._withdraw(), name="sttd cancels")

    async def close(self) -> None:
        """Send what is left if the broker is there; never for long."""
        courtesy, self._courtesy = self._courtesy, None
        if courtesy is None:
            return
        if self._link.connected:
            await asyncio.wait({courtesy}, timeout=GOODBYE_SECONDS)
        courtesy.cancel()
        await asyncio.gather(courtesy, return_exceptions=True)

    async def _withdraw(self) -> None:
        while self._leaving:
            batch, self._leaving = list(self._leaving), {}
            try:
                await self.cancel(batch)
            except (errors.NotServed, errors.ClientClosed) as error:
                _log.debug(
                    "no daemon could be reached to cancel %d requests that have no caller any more: %s",
                    len(batch),
                    error,
                )
            except errors.SttdClientError as error:
                _log.log(self._level, "%d requests without a caller could not be cancelled: %s", len(batch), error)
                self._level = logging.DEBUG

    async def _published(self, message_ids: Sequence[str]) -> bool:
        """Whether the broker confirmed them all.

        If the connection is lost meanwhile they are sent again on the next.
        """
        try:
            connection = await self._link.connection()
            with as_connection_error():
                async with connection.channel(publisher_confirms=True) as channel:
                    exchange = await channel.get_exchange(names.CONTROL_EXCHANGE, ensure=False)
                    for message_id in message_ids:
                        await exchange.publish(_message(message_id), "", mandatory=False)
        except ChannelClosed as error:
            raise _refusal(words(error)) from None
        except CONNECTION_EXCEPTIONS as error:
            _log.debug("a cancel was not confirmed: %s", words(error))
            return False
        return True


def _message(message_id: str) -> aio_pika.Message:
    return aio_pika.Message(Cancel(cancel=message_id).model_dump_json().encode(), content_type="application/json")


def _refusal(text: str) -> errors.SttdClientError:
    if "NOT_FOUND" in text:
        return errors.NotServed(
            f"exchange {names.CONTROL_EXCHANGE} does not exist: no daemon has served this broker; `sttd serve` makes it"
        )
    return errors.BrokerUnavailable(
        f"the broker's user needs write permission for {names.CONTROL_EXCHANGE} to cancel requests: {text}"
    )
