"""docker-compose.yml against the Compose specification's schema, our settings, and the rules of hardening."""

import importlib
import json
import re
from importlib import resources, util
from typing import Any

import jsonschema
import pytest

from sttd.consumer import memory
from sttd.consumer.app import CLOSE_SECONDS
from sttd.consumer.audio.limits import MIB
from sttd.consumer.request.worker import LAST_WORD
from sttd.consumer.settings import Settings
from tests.support import compose

LOADED = 700 * MIB
"""What the process holds with the model base, with room: 476 MiB were measured at the peak of a load without OpenVINO,
592 MiB with it."""
OURS = ("consumer", "consumer-gpu", "gateway", "users")


def daemon_settings(environment: dict[str, Any]) -> Settings:
    """The settings that a daemon reads from this environment."""
    given = {
        name.removeprefix("STTD_").lower(): value
        for name, value in environment.items()
        if name.startswith("STTD_") and value
    }
    return Settings(**given)


def test_the_file_keeps_the_official_schema() -> None:
    """Compose refuses what the Compose specification does not have."""
    schema = json.loads(
        resources.files("check_jsonschema")
        .joinpath("builtin_schemas/vendor/compose-spec.json")
        .read_text(encoding="utf-8")
    )

    jsonschema.validators.validator_for(schema)(schema).validate(compose.load())


def test_a_plain_up_starts_everything_but_the_gpu() -> None:
    """`docker compose up` is the whole system; a GPU is for those who have one."""
    plain = {name for name, service in compose.services().items() if "profiles" not in service}

    assert plain == {"users", "rabbitmq", "consumer", "gateway", "prometheus", "grafana"}
    assert compose.services()["consumer-gpu"]["profiles"] == ["gpu"]
    assert compose.services()["rabbitmq"]["image"].startswith("rabbitmq:4-")


@pytest.mark.parametrize("name", compose.services())
def test_every_service_has_as_few_rights_as_it_needs(name: str) -> None:
    """The daemon parses untrusted files, and can reach its neighbours: none runs as root or writes but to volumes."""
    service = compose.services()[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert compose.size(service["mem_limit"]) > 0
    assert not {"privileged", "cap_add", "pid", "ipc", "container_name"} & service.keys()
    if name not in OURS:  # our own image sets USER itself
        assert not service["user"].startswith("0")


def test_ports_are_published_on_the_loopback_interface_only() -> None:
    """`docker compose up` on a server with a public address shows nothing to the world."""
    published = [port for service in compose.services().values() for port in service.get("ports", [])]

    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_no_two_services_want_one_host_port_and_consumers_have_many() -> None:
    """`--scale consumer=3` gives each its own port of a range; a fixed one would be taken by the first."""
    services = compose.services()
    (range_of_ports,) = services["consumer"]["ports"]
    first, last, inside = re.fullmatch(r"127\.0\.0\.1:(\d+)-(\d+):(\d+)", range_of_ports).groups()  # type: ignore[union-attr]  # fails if not so
    others = [
        port.split(":")[1]
        for name, service in services.items()
        if not name.startswith("consumer")
        for port in service.get("ports", [])
    ]

    assert int(last) - int(first) + 1 >= 10
    assert inside == first == "9464"
    assert len(others) == len(set(others))
    assert not any(int(first) <= int(port) <= int(last) for port in others)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {
            "STTD_SLOTS": "1",
            "STTD_PREFETCH": "2",
            "STTD_MAX_AUDIO_SECONDS": "600",
            "STTD_MAX_BODY_BYTES": "4194304",
            "STTD_MEMORY_LIMIT": "1400m",
        },
        {"STTD_SLOTS": "1", "STTD_PREFETCH": "2", "STTD_MAX_AUDIO_SECONDS": "600", "STTD_MEMORY_LIMIT": "1600m"},
        {"STTD_SLOTS": "4", "STTD_MEMORY_LIMIT": "4g"},
    ],
    ids=["as it is", "2 GB", "4 GB", "four cores"],
)
def test_the_memory_limit_fits_the_bound_that_the_daemon_prints(given: dict[str, str]) -> None:
    """Below it, the kernel kills what is in order; far above it, it protects nothing.

    The other lines are those of the docs.
    """
    service = compose.services(given)["consumer"]
    bound, limit = (
        memory.bound(daemon_settings(service["environment"]), LOADED).total,
        compose.size(service["mem_limit"]),
    )

    assert bound <= limit <= 1.35 * bound, f"bound {bound // MIB} MiB, limit {limit // MIB} MiB"


@pytest.mark.parametrize("name", ["consumer", "consumer-gpu"])
def test_settings_exist_and_hold(name: str) -> None:
    """A misspelt setting would be ignored in silence; a wrong one would end every start."""
    environment = compose.services()[name]["environment"]
    known = {f"STTD_{field.upper()}" for field in Settings.model_fields} | {"CREDENTIALS_DIRECTORY"}

    assert set(environment) <= known
    assert daemon_settings(environment).slots == 2


@pytest.mark.skipif(util.find_spec("sttd.gateway.settings") is None, reason="this tree has no gateway")
def test_the_gateways_settings_exist_and_hold() -> None:
    """The same for the gateway, whose time to drain must be over before compose loses patience."""
    settings = importlib.import_module("sttd.gateway.settings").GatewaySettings
    gateway = compose.services()["gateway"]
    given = {name: value for name, value in gateway["environment"].items() if name.startswith("STTD_") and value}
    read = settings(**{name.removeprefix("STTD_").lower(): value for name, value in given.items()})

    assert {name.removeprefix("STTD_").lower() for name in gateway["environment"]} - {"credentials_directory"} <= set(
        settings.model_fields
    )
    assert float(gateway["stop_grace_period"].removesuffix("s")) > read.gateway_drain_seconds
    assert compose.size(gateway["mem_limit"]) > 2 * read.gateway_memory_bytes


def test_no_secret_is_written_down() -> None:
    """Passwords are drawn at the first start or given by the operator; the file holds none, not even a bad one."""
    for line in compose.FILE.read_text(encoding="utf-8").splitlines():
        found = re.match(r"\s*\w*PASS\w*: (.*)", line)
        assert found is None or re.fullmatch(r"\$\{\w+:-\}", found[1]), line
    assert "amqp://" not in compose.FILE.read_text(encoding="utf-8")


def test_each_service_sees_its_own_password_only() -> None:
    """The gateway, which is open to the network, cannot read the daemon's; only `users` sees all."""
    seen = {
        name: {mount.split(":")[0] for mount in service["volumes"]}
        & {"users", "definitions", "daemon-credentials", "gateway-credentials"}
        for name, service in compose.services().items()
    }

    assert seen.pop("users") == {"users", "definitions", "daemon-credentials", "gateway-credentials"}
    assert seen == {
        "rabbitmq": {"definitions"},
        "consumer": {"daemon-credentials"},
        "consumer-gpu": {"daemon-credentials"},
        "gateway": {"gateway-credentials"},
        "prometheus": set(),
        "grafana": set(),
    }


def test_compose_waits_for_the_drain() -> None:
    """Killed before the drain is over, notes would be done twice."""
    consumer = compose.services()["consumer"]
    drain = float(consumer["environment"]["STTD_DRAIN_SECONDS"])

    assert float(consumer["stop_grace_period"].removesuffix("s")) >= drain + 2 * LAST_WORD + CLOSE_SECONDS


def test_services_start_in_order() -> None:
    """Users before the broker, a broker that answers before those who need it."""
    services = compose.services()
    order = {
        name: {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
        for name, service in services.items()
    }

    assert order["rabbitmq"] == {"users": "service_completed_successfully"}
    assert order["consumer"] == order["gateway"] == order["consumer-gpu"] == {"rabbitmq": "service_healthy"}
    assert order["grafana"] == {"prometheus": "service_healthy"}
    for waited_for in ("rabbitmq", "prometheus"):
        assert services[waited_for]["healthcheck"]["test"][0] == "CMD"
    assert services["users"]["restart"] == "no"


def test_data_is_on_named_volumes_and_mounted_files_are_there() -> None:
    """Queues, models and passwords survive a new container.

    A mount of a missing file would make an empty directory of it.
    """
    mounts = [mount for service in compose.services().values() for mount in service.get("volumes", [])]
    named = {mount.split(":")[0] for mount in mounts if not mount.startswith(".")}

    assert named == set(compose.load()["volumes"])
    for mount in mounts:
        if mount.startswith("."):
            assert (compose.ROOT / mount.split(":")[0]).exists(), mount
            assert mount.endswith(":ro")
