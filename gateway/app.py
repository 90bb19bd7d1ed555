"""Composition root of the gateway: start, run, drain, close. The only file that constructs its parts.

A second signal ends the process at once.
"""

import asyncio
import ipaddress

import structlog

from sttd import Client
from sttd.gateway import browsers, routes
from sttd.gateway.broker import Broker
from sttd.gateway.forms import Limits
from sttd.gateway.room import UploadRoom
from sttd.gateway.server import server
from sttd.gateway.settings import GatewaySettings, doubts
from sttd.service.signals import on_stop

log = structlog.get_logger(__name__)


class Gateway:
    """The running gateway."""

    def __init__(self, settings: GatewaySettings, client: Client) -> None:
        loop = asyncio.get_running_loop()
        self._settings = settings
        self._broker = Broker(client, settings.gateway_max_queued, settings.gateway_grace_seconds)
        endpoints = routes.Endpoints(
            broker=self._broker,
            room=UploadRoom(settings.gateway_memory_bytes, loop.time),
            limits=Limits(settings.gateway_max_upload_bytes, settings.gateway_upload_seconds),
            timeout=settings.gateway_timeout,
            model=settings.public_model,
        )
        app = browsers.opened(routes.build(endpoints, settings.tokens), settings.origins)
        self._server = server(
            host=settings.gateway_host,
            port=settings.gateway_port,
            app=app,
            drain_seconds=settings.gateway_drain_seconds,
        )

    async def serve(self) -> None:
        """Run until a signal. Raises `AddressUnusable`."""
        stop = asyncio.Event()
        await self._server.start()
        log.info(
            "the gateway listens at %s",
            self._server.url,
            action="listening",
            url=self._server.url,
            model=self._settings.public_model,
        )
        self._warn()
        with on_stop(lambda _: stop.set()):
            async with self._broker.running():
                await self._run(stop)
                log.info(
                    "stopping: %d answers under way are finished first",
                    self._server.under_way,
                    action="draining",
                    under_way=self._server.under_way,
                )
                await self._server.close()
        log.info("stopped", action="stopped")

    async def _run(self, stop: asyncio.Event) -> None:
        """Until stopped; a server that ends by itself ends the gateway with its error."""
        ends = [
            asyncio.create_task(stop.wait(), name="stop"),
            asyncio.create_task(self._server.watch(), name="watch the server"),
        ]
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in ends:
                task.cancel()
            await asyncio.gather(*ends, return_exceptions=True)

    def _warn(self) -> None:
        if not self._settings.tokens and not _is_loopback(self._settings.gateway_host):
            log.warning(
                "anybody who reaches this port may use it: set STTD_GATEWAY_TOKENS, or let only the bot's host through "
                "the firewall",
                action="open_to_others",
                host=self._settings.gateway_host,
            )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def serve(settings: GatewaySettings) -> None:
    """Run the gateway until a signal. Raises `AddressUnusable`, `sttd.errors.SettingsInvalid`."""
    for sentence in doubts():
        log.warning(sentence, action="doubtful_setting")
    await Gateway(settings, Client(name="sttd gateway")).serve()
