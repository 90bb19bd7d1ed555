"""`python -m tools.start demo|run`: find the model, then a private RabbitMQ, then the demo, or the daemon until Ctrl-C.

The model comes first: a download may take minutes or fail, and a broker need not wait for it. Exit code: that of the
command; where a model that STTD_MODEL names cannot be fetched, that of `sttd demo` (1) or `sttd serve` (3).
"""

import os
import sys
from typing import Final

import typer

from sttd.commands.connection import daemon_settings
from sttd.commands.demo.chosen import choose
from sttd.commands.exit_codes import Exit
from sttd.consumer.errors import ModelUnavailable
from tools.rabbitmq.__main__ import EX_UNAVAILABLE, run
from tools.rabbitmq.errors import NodeError
from tools.rabbitmq.node import Node

WORDS: Final = {"demo": "demo", "run": "serve"}
"""What is typed after `make`, and the command of sttd that it means."""


def start(word: str) -> int:
    """Run the command with a model that is here and a broker; its exit code."""
    settings = daemon_settings()
    try:
        chosen = choose(settings)
    except ModelUnavailable as error:
        sys.stderr.write(f"{error.message}\n")
        return int(error.exit_code if word == "run" else Exit.FAILED)
    os.environ.update(chosen.environment())
    command = [sys.executable, "-m", "sttd", WORDS[word]]
    if Node.keeps(settings.amqp_url.get_secret_value()):  # a shell that has exported what `make run` had printed
        os.environ.pop("STTD_AMQP_URL", None)
    elif word == "run" and "amqp_url" in settings.model_fields_set:  # in the environment or in .env
        sys.stderr.write(f"STTD_AMQP_URL is set: no RabbitMQ is started, that at {settings.broker} is used\n")
        os.execv(command[0], command)  # noqa: S606 - our own interpreter
    return run(command, show_url=word == "run", kept=word == "run")


def main() -> int:
    """Parse the command line and run it."""
    if sys.argv[1:] not in [[word] for word in WORDS]:
        sys.stderr.write(f"usage: python -m tools.start {'|'.join(WORDS)}\n")
        return int(Exit.USAGE)
    try:
        return start(sys.argv[1])
    except typer.Exit as error:  # a wrong setting: the line is printed
        return error.exit_code
    except NodeError as error:
        sys.stderr.write(f"error: {error}\n")
        return EX_UNAVAILABLE
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return int(Exit.INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())
