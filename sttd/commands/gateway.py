"""`sttd gateway`: HTTP in front of the queue, as `python -m sttd.gateway` starts it."""

import typer

from sttd.commands.extras import need_gateway


def gateway() -> None:
    """Run the HTTP gateway: the old service's `/transcribe` and `/health`, and an OpenAI-compatible API, on port 5000.

    It talks to the daemon only through RabbitMQ. Stops on SIGTERM or Ctrl-C after what is under way is answered.
    Settings: environment and `.env`, all in docs/settings.md; the ones to set first are STTD_AMQP_URL and, for bots on
    other hosts, STTD_GATEWAY_HOST and STTD_GATEWAY_TOKENS.
    """
    need_gateway()
    from sttd.gateway.__main__ import main  # noqa: PLC0415 - the base install has no HTTP server

    raise typer.Exit(main())
