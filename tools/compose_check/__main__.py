"""`python -m tools.compose_check`: starts the project's docker-compose.yml for real. Root only.

Prints a line per step. The Docker engine and the images that no registry gives are made from Debian's packages;
Grafana is not among them and is left out. Exit code 0 when every step is as it should be, 1 at the first that is not,
69 where it cannot be tried.
"""

import contextlib
import functools
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tools import no_arguments
from tools.compose_check import bases, steps
from tools.compose_check.engine import Engine
from tools.compose_check.errors import NotSo
from tools.compose_check.stack import Stack
from tools.rabbitmq.errors import NodeError

EX_UNAVAILABLE: Final = 69
MODEL: Final = "base"
SMALL: Final = {
    "STTD_SLOTS": "1",
    "STTD_PREFETCH": "2",
    "STTD_MAX_AUDIO_SECONDS": "600",
    "STTD_MEMORY_LIMIT": "1600m",
    "STTD_RABBITMQ_MEMORY_LIMIT": "512m",
}
"""The line of docs/install.md for a machine of 4 GB."""
MACHINE: Final = 3600 * steps.MIB
"""What such a machine leaves to containers: the kernel bounds all of them together to it, page cache included."""


def main() -> int:
    """Do every step; returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="sttd-compose-") as folder:
        return reported(lambda: everything(Path(folder)))


def reported(check: Callable[[], None]) -> int:
    """Do a check's rows under the table's head; returns the exit code."""
    say("| step | seconds | seen |\n|---|---|---|")
    try:
        check()
    except NodeError as error:
        sys.stderr.write(f"cannot be tried here: {error}\n")
        return EX_UNAVAILABLE
    except NotSo as error:
        sys.stderr.write(f"not so: {error}\n")
        return 1
    return 0


def everything(work: Path) -> None:
    """From an engine to nothing."""
    engine = Engine(work)
    with contextlib.ExitStack() as running:

        def started() -> str:
            running.enter_context(engine)
            return engine.run(
                "docker", "version", "--format", "Docker {{.Server.Version}}, in namespaces of its own"
            ).strip()

        row("engine", started)
        row("base images", lambda: bases.make(engine, work))
        stack = Stack(engine, work, SMALL)
        row(f"build, {MODEL} inside", lambda: built(stack))
        engine.cut_network()
        for name, step in STEPS.items():
            row(name, functools.partial(step, stack))
        row("end", lambda: stopped(running))


def built(stack: Stack) -> str:
    """The project's own Dockerfile, with the model fetched by whichever source there is."""
    stack.compose("build", "--build-arg", f"MODEL={MODEL}")
    return " ".join(
        stack.engine.run("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}} {{.Size}}", "sttd").split("\n")
    )


def up(stack: Stack) -> str:
    """Everything but Grafana, from nothing to healthy."""
    stack.engine.limit_memory(MACHINE)
    stack.up()
    return f"every service healthy, within {MACHINE // steps.MIB} MiB together"


def stopped(running: contextlib.ExitStack) -> str:
    """The engine and whatever ran in it."""
    running.close()
    return "no process and no control group is left"


STEPS: Final = {
    "up, without network": up,
    "`sttd check`": steps.check,
    "curl": steps.curl,
    "AMQP as `bot`": steps.ask,
    "Prometheus": steps.prometheus,
    "watermark": steps.watermark,
    "load": steps.load,
    "memory": steps.memory,
    "down and up": steps.down_and_up,
    "`down --volumes`": steps.away,
}


def row(name: str, step: Callable[[], str]) -> None:
    """Do a step and print its line."""
    began = time.monotonic()
    seen = step()
    say(f"| {name} | {time.monotonic() - began:.0f} | {seen} |")


def say(line: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    no_arguments.refuse(__doc__)
    sys.exit(main())
