"""`sttd serve`: the daemon, as `python -m sttd.consumer` starts it."""

import typer

from sttd.commands.extras import need_consumer


def serve() -> None:
    """Run the daemon: take voice notes from RabbitMQ, transcribe them, answer. The same as `python -m sttd.consumer`.

    Stops on SIGTERM or Ctrl-C after what is in hand is answered or back in the queue. Settings: environment and `.env`,
    all in docs/settings.md; the ones to set first are STTD_AMQP_URL and STTD_MODEL.
    """
    need_consumer()
    from sttd.consumer.__main__ import main  # noqa: PLC0415 - the base install has no daemon

    raise typer.Exit(main())
