"""The node as a Docker container, for machines where rabbitmq-server can neither be found nor installed.

Same face as the host backend; the container keeps its data over restarts and is removed with its node.
"""

import shutil
import subprocess

from tools.rabbitmq.errors import NodeError
from tools.rabbitmq.plan import LOOPBACK, Plan

IMAGE = "rabbitmq:4-management"
AMQP_PORT, MANAGEMENT_PORT = 5672, 15672


def available() -> bool:
    """Whether a Docker daemon answers."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    return subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0  # noqa: S603 - fixed


class ContainerBackend:
    """One container, published on loopback only."""

    def __init__(self, plan: Plan) -> None:
        """Create the container (and fetch its image); it is not started yet."""
        self._plan = plan
        self._name = plan.name.replace("@", "-")
        plan.write(management_host="0.0.0.0", management_port=MANAGEMENT_PORT)  # noqa: S104 - published on loopback
        plan.directory.chmod(0o755)  # the container's user reads the configuration
        volumes = [
            f"--volume={plan.directory / name}:/etc/rabbitmq/{name}:ro" for name in ("rabbitmq.conf", "advanced.config")
        ]
        ports = [(plan.amqp_port, AMQP_PORT), (plan.management_port, MANAGEMENT_PORT)]
        publish = [f"--publish={LOOPBACK}:{outside}:{inside}" for outside, inside in ports]
        (plan.directory / "container").write_text(self._name)  # for the guard
        variables = [f"--env={name}={value}" for name, value in plan.variables.items()]
        words = ["--name", self._name, "--hostname", "localhost", *volumes, *publish, *variables]
        self._docker("create", *words, IMAGE)

    @property
    def pid(self) -> int | None:
        """Process id of the broker as the host sees it."""
        return int(self._docker("inspect", "--format", "{{.State.Pid}}", self._name)) or None

    def alive(self) -> bool:
        """Whether the container runs."""
        return self._docker("inspect", "--format", "{{.State.Running}}", self._name).strip() == "true"

    def start(self) -> None:
        """Start the container; does not wait until the broker answers."""
        self._docker("start", self._name)

    def stop(self, timeout: float) -> None:
        """Shut down in order; after `timeout` seconds with force."""
        self._docker("stop", "--time", str(int(timeout)), self._name)

    def kill(self) -> None:
        """SIGKILL."""
        if self.alive():
            self._docker("kill", self._name)

    def freeze(self) -> None:
        """Pause: connections stay open without answers."""
        self._docker("pause", self._name)

    def thaw(self) -> None:
        """Go on."""
        self._docker("unpause", self._name)

    def close(self) -> None:
        """Remove the container and its data."""
        self._docker("rm", "--force", "--volumes", self._name)

    def log(self) -> str:
        """What the broker printed."""
        return self._docker("logs", self._name)

    def rabbitmqctl(self, *args: str) -> str:
        """Run rabbitmqctl in the container; returns its output, raises `NodeError`."""
        return self._docker("exec", self._name, "rabbitmqctl", *args)

    def _docker(self, *args: str) -> str:
        command = [shutil.which("docker") or "docker", *args]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed program
        if done.returncode:
            raise NodeError(f"docker {args[0]}: {done.stderr.strip()}")
        return done.stdout
