"""The node as processes of this machine: rabbitmq-server, installed or in its own directory, and epmd.

The server script is called directly, because the distribution's wrapper changes to the user rabbitmq and its
directories.
"""

import contextlib
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tools.rabbitmq.errors import NodeError
from tools.rabbitmq.guard import MARKER
from tools.rabbitmq.plan import LOOPBACK, Plan

# The default process and atom tables are sized for servers; these start in half the time and with less memory.
ERLANG_ARGS = "+P 65536 +t 1048576 +sbwt none +sbwtdcpu none +sbwtdio none"
LOOPBACK_DISTRIBUTION = "-kernel inet_dist_use_interface {127,0,0,1}"
# The management plugin's listeners take five seconds to stop of themselves; the queues are on disk well before.
SHUTDOWN_MS = 1000


# Programs and configuration of the other Debian take the place of this one's, for this process and its children only.
# Everything else is where it was, and so is the process id: each word here becomes the next.
SWAP = 'mount --bind "$1/etc" /etc && mount --bind "$1/usr" /usr && shift && exec "$@"'


@dataclass(frozen=True)
class Programs:
    """RabbitMQ's programs: this machine's own, or those of the Debian in the directory `root`."""

    root: Path = Path("/")

    @property
    def version(self) -> str:
        """As the package has it, `4.3.6`; `unknown` where it cannot be seen."""
        found = sorted(folder.name for folder in self._libraries())
        return found[-1].removeprefix("rabbitmq_server-") if found else "unknown"

    def there(self) -> bool:
        """Whether they are installed."""
        return bool(self._scripts()) and all(shutil.which(name) or self.root != Path("/") for name in ("erl", "epmd"))

    def command(self, script: str, *words: str) -> list[str]:
        """The command line that runs one of RabbitMQ's scripts, or epmd."""
        folder = Path("/") / self._scripts()[0].relative_to(self.root)
        return self._swapped([script if script == "epmd" else str(folder / script), *words])

    def _swapped(self, words: list[str]) -> list[str]:
        if self.root == Path("/"):
            return words
        return ["unshare", "--mount", "--", "/bin/sh", "-c", SWAP, "sttd-rabbitmq", str(self.root), *words]

    def _libraries(self) -> list[Path]:
        return list((self.root / "usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"))

    def _scripts(self) -> list[Path]:
        folders = [self.root / "usr/lib/rabbitmq/bin", *(folder / "sbin" for folder in self._libraries())]
        return [folder for folder in folders if (folder / "rabbitmq-server").is_file()]


class HostBackend:
    """Two child processes: the Erlang VM and its epmd. Both carry the plan's marker in their environment."""

    def __init__(self, plan: Plan, programs: Programs) -> None:
        """Write the configuration; nothing is started yet."""
        self._plan = plan
        self._programs = programs
        self._log = plan.directory / "node.log"
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        plan.write(management_host=LOOPBACK, management_port=plan.management_port)

    @property
    def pid(self) -> int | None:
        """Process id of the Erlang VM."""
        return self._server.pid if self._server else None

    def alive(self) -> bool:
        """Whether the Erlang VM runs."""
        return self._server is not None and self._server.poll() is None

    def start(self) -> None:
        """Start both processes; does not wait until the broker answers."""
        if self._epmd is None or self._epmd.poll() is not None:
            # In the foreground, as a child: left to itself, Erlang starts one that outlives every node.
            self._epmd = self._spawn(
                self._programs.command("epmd", "-port", str(self._plan.epmd_port), "-address", LOOPBACK)
            )
        self._server = self._spawn(self._programs.command("rabbitmq-server"))

    def stop(self, timeout: float) -> None:
        """Shut down in order; after `timeout` seconds with force."""
        self._signal(signal.SIGCONT)  # a frozen node would never take it
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):  # then with force, next line
            if self._server is not None:
                self._server.wait(timeout)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to both processes, and wait for their end."""
        for process in (self._server, self._epmd):
            if process is not None:
                process.kill()
                process.wait()

    def freeze(self) -> None:
        """SIGSTOP: connections stay open without answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """End both processes; the guard removes the directory."""
        self.kill()

    def log(self) -> str:
        """What both processes printed."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def rabbitmqctl(self, *args: str) -> str:
        """Run rabbitmqctl against this node (about a second); returns its output, raises `NodeError`."""
        env = self._environment() | {"RABBITMQ_CTL_ERL_ARGS": LOOPBACK_DISTRIBUTION}
        command = self._programs.command("rabbitmqctl", *args)
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)  # noqa: S603 - fixed
        if done.returncode:
            raise NodeError(f"rabbitmqctl {' '.join(args)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def _signal(self, number: signal.Signals) -> None:
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(number)

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - a fixed program
                command,
                cwd=self._plan.directory,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _environment(self) -> dict[str, str]:
        plan, folder = self._plan, self._plan.directory
        distribution = (
            f"-sname {plan.name} -start_epmd false {LOOPBACK_DISTRIBUTION} -kernel shutdown_timeout {SHUTDOWN_MS}"
            f" -kernel inet_dist_listen_min {plan.dist_port} -kernel inet_dist_listen_max {plan.dist_port}"
        )
        return dict(plan.variables) | {
            MARKER: str(folder),
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(plan.epmd_port),
            "RABBITMQ_ALLOW_INPUT": "1",  # the script then becomes the Erlang VM instead of waiting for it
            "RABBITMQ_NODENAME": plan.name,
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(plan.amqp_port),
            "RABBITMQ_DIST_PORT": str(plan.dist_port),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",  # the system's own broker may have one
            "RABBITMQ_SERVER_ERL_ARGS": ERLANG_ARGS,
            "RABBITMQ_SERVER_START_ARGS": f"-noinput {distribution}",
        }
