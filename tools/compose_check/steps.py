"""The steps once there are images: each function does one, returns what was seen, and raises `NotSo`."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from tools.compose_check import bot
from tools.compose_check.engine import SOURCE
from tools.compose_check.errors import NotSo
from tools.compose_check.process import output, wait
from tools.compose_check.stack import Stack

MIB: Final = 1024 * 1024
EXAMPLES: Final = SOURCE / "examples"
NOTE: Final = "sttd/samples/ru-groceries.ogg"
WORD: Final = "продукты"
"""Spoken in the note, and read in every text of it that is right."""
LOAD: Final = 120
WAITING: Final = 12
SCRAPED_SECONDS: Final = 120.0
JOBS: Final = {"sttd", "rabbitmq", "prometheus"}
NAMED_VOLUMES: Final = tuple(
    "models rabbitmq users definitions daemon-credentials gateway-credentials prometheus".split()
)


def curl(stack: Stack) -> str:
    """One note as a form through the gateway."""
    answer = json.loads(stack.engine.run("curl", "-sS", "-F", f"file=@/srv/{NOTE}", "http://127.0.0.1:5000/transcribe"))
    heard(str(answer.get("text")), answer)
    return repr(answer["text"])


def check(stack: Stack) -> str:
    """`sttd check` in the consumer: no failure, no warning, and the memory that it sees is the container's."""
    lines: list[dict[str, str]] = json.loads(stack.compose("exec", "-T", "consumer", "sttd", "check", "--json"))
    if bad := [f"{line['check']}: {line['status']}, {line['detail']}" for line in lines if line["status"] != "ok"]:
        raise NotSo("; ".join(bad))
    memory = next(line["detail"] for line in lines if line["check"] == "memory")
    available = re.search(r"([\d,]+) MiB available", memory)
    limit = _limit(stack, "consumer")
    if not available or int(available[1].replace(",", "")) * MIB > limit:
        raise NotSo(f"it sees {memory} in a container of {limit // MIB} MiB")
    return f"{len(lines)} lines, all ok; {memory} in a container of {limit // MIB} MiB"


def prometheus(stack: Stack) -> str:
    """Every target is scraped."""
    url = "http://127.0.0.1:9090/api/v1/targets?state=active"

    def targets() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(stack.engine.run("curl", "-sS", url))["data"]["activeTargets"]
        return found

    def up() -> bool:
        return {one["labels"]["job"] for one in targets() if one["health"] == "up"} == JOBS

    wait(up, "scrape of every job", SCRAPED_SECONDS, lambda: str(targets()))
    return "daemon, RabbitMQ and Prometheus itself are scraped"


def watermark(stack: Stack) -> str:
    """RabbitMQ blocks publishers at a part of the container's limit, not of the machine's memory."""
    status = json.loads(
        stack.compose("exec", "-T", "rabbitmq", "rabbitmqctl", "--quiet", "status", "--formatter", "json")
    )
    limit = _limit(stack, "rabbitmq")
    mark = int(status["vm_memory_high_watermark_limit"])
    if not 0 < mark <= 0.6 * limit:
        raise NotSo(f"RabbitMQ blocks at {mark // MIB} MiB of a container of {limit // MIB} MiB")
    return f"RabbitMQ {status['rabbitmq_version']} blocks at {mark // MIB} of {limit // MIB} MiB"


def ask(stack: Stack) -> str:
    """One note by AMQP from Python and from Node, as the user `bot`, with the address that `users show bot` prints."""
    programs = ([sys.executable, "python/bot.py"], ["node", "node/transcribe.mjs"])
    for program, script in programs:
        words = [program, str(EXAMPLES / script), str(SOURCE / NOTE)]
        heard(output(stack.engine.in_network(words), _as_bot(stack)), script)
    return " and ".join(f"examples/{script}" for _, script in programs)


def load(stack: Stack) -> str:
    """Notes while consumers are killed, crash, come back and are scaled: each is answered."""
    stack.up(consumers=3)
    _send(stack, LOAD)
    first, second, _ = stack.compose("ps", "--quiet", "consumer").split()
    restarted: list[str] = []

    def crash() -> None:
        """Behind Docker's back, as the kernel does it."""
        stack.engine.run("sh", "-c", f"kill -9 {_inspect(stack, second, 'State.Pid')}")

    def back_to_three() -> None:
        stack.up(consumers=3)
        restarted.append(_inspect(stack, second, "RestartCount"))

    acts: dict[int, Callable[[], object]] = {
        LOAD // 20: lambda: stack.engine.run("docker", "kill", first),
        LOAD // 8: crash,
        LOAD // 4: back_to_three,
        LOAD // 2: lambda: stack.up(consumers=1),
    }
    seen = _collected(stack, LOAD, acts)
    if restarted != ["1"]:
        raise NotSo(f"the crashed consumer was restarted {restarted} times")
    return f"of 3 consumers one killed, one crashed and restarted by Docker; back to 3, then 1: {seen}"


def down_and_up(stack: Stack) -> str:
    """Notes that wait while everything is taken down are answered when it is up again; no volume is added."""
    stack.compose("stop", "consumer")
    _send(stack, WAITING)
    stack.compose("down")
    _nothing_but(stack, NAMED_VOLUMES)
    stack.up()
    seen = _collected(stack, WAITING)
    return f"down with {WAITING} notes in the queue, up: {seen}; no volume but the {len(NAMED_VOLUMES)} named ones"


def memory(stack: Stack) -> str:
    """What each container holds now; none was killed for memory since the start."""
    told = stack.engine.run("docker", "stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}")
    for container in stack.compose("ps", "--all", "--quiet").split():
        if _inspect(stack, container, "State.OOMKilled") != "false":
            raise NotSo(f"the kernel killed {_inspect(stack, container, 'Name')} for memory")
    return "; ".join(sorted(told.splitlines()))


def away(stack: Stack) -> str:
    """`down --volumes` leaves no container, no volume and no network."""
    stack.compose("down", "--volumes")
    _nothing_but(stack, ())
    return "no container, no volume, no network is left"


def _nothing_but(stack: Stack, volumes: tuple[str, ...]) -> None:
    docker = stack.engine.run
    left = {
        "containers": docker("docker", "ps", "--all", "--quiet").split(),
        "networks": docker("docker", "network", "ls", "--quiet", "--filter", "type=custom").split(),
        "volumes": sorted(set(stack.volumes()) ^ {f"sttd_{name}" for name in volumes}),
    }
    if any(left.values()):
        raise NotSo(f"left behind: {left}")


def _inspect(stack: Stack, container: str, field: str) -> str:
    return stack.engine.run("docker", "inspect", "--format", f"{{{{.{field}}}}}", container).strip()


def _limit(stack: Stack, service: str) -> int:
    """Bytes that its one container may use."""
    return int(_inspect(stack, stack.compose("ps", "--quiet", service).strip(), "HostConfig.Memory"))


def heard(text: str, answer: object) -> None:
    """Raise `NotSo` when the note's word is not in this text."""
    if WORD not in text.lower():
        raise NotSo(f"{WORD!r} is not in the answer: {answer}")


def _as_bot(stack: Stack) -> dict[str, str]:
    """An environment with the address that the stack prints for bots on this machine."""
    url = stack.compose("run", "--rm", "--no-deps", "-T", "users", "show", "bot").strip()
    return os.environ | {"STTD_AMQP_URL": url}


def _bot(stack: Stack, verb: str, count: int) -> list[str]:
    return stack.engine.in_network([sys.executable, "-m", bot.__name__, verb, str(count)])


def _send(stack: Stack, count: int) -> None:
    output(_bot(stack, "send", count), _as_bot(stack))


def _collected(stack: Stack, count: int, acts: Mapping[int, Callable[[], object]] = {}) -> str:
    """Read the answers and do what is due at so many of them. Raises `NotSo` when one is missing or wrong."""
    command = _bot(stack, "collect", count)
    own = _as_bot(stack)
    with subprocess.Popen(command, env=own, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our module
        line = "{}"
        for line in process.stdout or ():
            if line.strip().isdigit() and int(line) in acts:
                acts[int(line)]()
    told = json.loads(line)
    for text in told["texts"]:
        heard(text, told)
    if told["lost"]:
        raise NotSo(f"of {count} notes {told['lost']} have no answer: {told}")
    return f"{count} of {count} answered, {told['double']} twice"
