"""`python -m tools.rabbitmq run -- CMD...` gives CMD a broker in STTD_AMQP_URL.

`install` only installs one if need be. Both take `--version`: 3.10, 4.0 or 4.3. Exit code: CMD's own (128 + n if
signal n ended it); 69 if there is no broker.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from types import FrameType

from tools.rabbitmq import install, roots
from tools.rabbitmq.errors import NodeError
from tools.rabbitmq.host import Programs
from tools.rabbitmq.node import DEFAULT_BASE, KEPT_BASE, Node

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
EX_UNAVAILABLE = 69
EX_NOT_FOUND = 127


class Interrupted(Exception):
    """A signal arrived while the broker started."""

    def __init__(self, number: int) -> None:
        """Keep the signal's number for the exit code."""
        super().__init__(f"signal {number}")
        self.number = number


class Signals:
    """Forwards signals to the command while it runs; before that they end the start, after it the clean-up goes on."""

    def __init__(self) -> None:
        """Take the signals over; the process ends with this object's work, so nothing is restored."""
        self.command: subprocess.Popen[bytes] | None = None
        for number in FORWARDED:
            signal.signal(number, self._on_signal)

    def ignore(self) -> None:
        """From here on nothing may interrupt."""
        for number in FORWARDED:
            signal.signal(number, signal.SIG_IGN)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.command is None:
            raise Interrupted(number)
        self.command.send_signal(number)


def run(command: list[str], *, version: str | None = None, show_url: bool = False, kept: bool = False) -> int:
    """Run the command with a broker of this version; returns the exit code. `kept`: see `Node`."""
    if os.environ.get("STTD_AMQP_URL"):
        try:
            os.execvp(command[0], command)  # noqa: S606 - the command is the caller's own
        except OSError as error:
            return _not_found(command, error)
    signals = Signals()
    try:
        node = Node(KEPT_BASE if kept else DEFAULT_BASE, version=version, kept=kept)
        try:
            _start(node)
            if show_url:
                sys.stderr.write(
                    f"for other terminals, or a bot's .env: STTD_AMQP_URL={node.amqp_url}\n"
                    f"management pages: {node.management_url}\n"
                )
            if kept:
                sys.stderr.write(f"address and queues stay in {os.path.relpath(node.directory)}/ until you remove it\n")
            return _attend(node, command, signals)
        finally:
            signals.ignore()
            node.close()
    except Interrupted as interrupted:
        return 128 + interrupted.number


def _start(node: Node) -> None:
    sys.stderr.write(f"starting a private {named(node.programs)} under {os.path.relpath(node.directory.parent)}/ ... ")
    sys.stderr.flush()
    began = time.monotonic()
    node.start()
    sys.stderr.write(f"ready in {time.monotonic() - began:.1f} s\n")


def named(programs: Programs | None) -> str:
    """What it is, with the version that was got: other Debians move on."""
    return "RabbitMQ in a container" if programs is None else f"RabbitMQ {programs.version}"


def _attend(node: Node, command: list[str], signals: Signals) -> int:
    variable, value = node.marker
    environment = os.environ | {"STTD_AMQP_URL": node.amqp_url, variable: value}
    try:
        # A process group of its own: Ctrl-C in a terminal reaches it once, from here, and not a second time as "exit
        # now".
        signals.command = subprocess.Popen(command, env=environment, process_group=0)  # noqa: S603 - the caller's own
    except OSError as error:
        return _not_found(command, error)
    code = signals.command.wait()
    return 128 - code if code < 0 else code


def _not_found(command: list[str], error: OSError) -> int:
    sys.stderr.write(f"cannot run {command[0]}: {error.strerror}\n")
    return EX_NOT_FOUND


def main() -> int:
    """Parse the command line and run it."""
    parser = argparse.ArgumentParser(prog="python -m tools.rabbitmq", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    installer = verbs.add_parser("install", help="install a broker if need be, and print which")
    runner = verbs.add_parser("run", help="run a command with a broker in STTD_AMQP_URL")
    for verb in (installer, runner):
        verb.add_argument("--version", choices=roots.SUITES, help="default: TEST_BROKER's, else this machine's own")
    runner.add_argument("--show-url", action="store_true", help="print how other terminals reach the broker")
    runner.add_argument("command", nargs="+", metavar="CMD", help="put -- before it")
    arguments = parser.parse_args()
    try:
        if arguments.verb == "install":
            sys.stderr.write(f"{named(install.ensure(arguments.version))}\n")
            return 0
        return run(arguments.command, version=arguments.version, show_url=arguments.show_url)
    except NodeError as error:
        sys.stderr.write(f"error: {error}\n")
        return EX_UNAVAILABLE


if __name__ == "__main__":
    sys.exit(main())
