"""The Kubernetes manifests against Kubernetes' own schemas, KEDA's documentation, our settings, and hardening rules."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # has no types
import pytest
import yaml  # type: ignore[import-untyped]  # comes with ctranslate2; its types are not worth a dependency
from jsonschema import Draft202012Validator

from sttd.consumer import memory
from sttd.consumer.app import CLOSE_SECONDS
from sttd.consumer.audio.limits import MIB
from sttd.consumer.request.worker import LAST_WORD
from sttd.consumer.settings import Settings
from sttd.schemas import names
from tests.support import compose, keda

FOLDER = compose.ROOT / "deploy" / "kubernetes"
VERSIONS = ("1.31", "1.37")
LOADED = 700 * MIB  # as in test_compose_file.py


def documents(path: Path) -> Iterator[dict[str, Any]]:
    """The manifests of one file."""
    yield from yaml.safe_load_all(path.read_text(encoding="utf-8"))


MANIFESTS = [
    pytest.param(document, id=f"{path.parent.name}-{document['kind']}-{document['metadata']['name']}")
    for path in sorted(FOLDER.glob("*/*.yaml"))
    if path.name != "kustomization.yaml"
    for document in documents(path)
]
DEPLOYMENTS = [parameter for parameter in MANIFESTS if parameter.values[0]["kind"] == "Deployment"]  # type: ignore[index]  # ours


def found(kind: str, name: str) -> dict[str, Any]:
    """One manifest."""
    (document,) = (
        document
        for path in FOLDER.glob("*/*.yaml")
        for document in documents(path)
        if document["kind"] == kind and document["metadata"]["name"] == name
    )
    return document


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", MANIFESTS)
def test_every_manifest_keeps_the_schema(manifest: dict[str, Any], version: str) -> None:
    """Strictly: a field that Kubernetes does not have is a typing mistake that it would drop in silence."""
    if manifest["apiVersion"].startswith("keda.sh/"):
        Draft202012Validator(keda.SCHEMAS[manifest["kind"]]).validate(manifest)
    else:
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("change", [{"pollingIntervall": 10}, {"triggers": []}, {"minReplicaCount": "1"}])
def test_the_schema_from_kedas_documentation_can_fail(change: dict[str, Any]) -> None:
    """A schema that lets everything through protects nothing."""
    manifest = found("ScaledObject", "sttd-consumer")
    manifest["spec"] |= change

    assert not Draft202012Validator(keda.SCHEMAS["ScaledObject"]).is_valid(manifest)


@pytest.mark.parametrize("folder", ["base", "keda"])
def test_the_kustomization_names_files_that_are_there(folder: str) -> None:
    """And leaves none out."""
    (kustomization,) = documents(FOLDER / folder / "kustomization.yaml")
    files = {path.name for path in (FOLDER / folder).glob("*.yaml")} - {"kustomization.yaml"}

    assert {name for name in kustomization["resources"] if name.endswith(".yaml")} == files
    assert all((FOLDER / folder / name).exists() for name in kustomization["resources"])


@pytest.mark.parametrize("manifest", DEPLOYMENTS)
def test_every_pod_has_as_few_rights_as_it_needs(manifest: dict[str, Any]) -> None:
    """The restricted profile of Kubernetes' pod security standards, and a root file system that cannot be written."""
    pod = manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]
    policy = found("NetworkPolicy", manifest["metadata"]["name"])
    assert (
        policy["spec"]["podSelector"]["matchLabels"].items()
        <= manifest["spec"]["template"]["metadata"]["labels"].items()
    )
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]


@pytest.mark.parametrize("manifest", DEPLOYMENTS)
def test_selectors_and_budgets_meet_their_pods(manifest: dict[str, Any]) -> None:
    """A budget for no pod protects none; minAvailable would forbid for ever to drain the node of a single replica."""
    name, labels = manifest["metadata"]["name"], manifest["spec"]["template"]["metadata"]["labels"]
    budget = found("PodDisruptionBudget", name)

    assert manifest["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert budget["spec"]["maxUnavailable"] == 1


def consumer() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Pod, container and settings of the daemon."""
    pod = found("Deployment", "sttd-consumer")["spec"]["template"]["spec"]
    return pod, pod["containers"][0], found("ConfigMap", "sttd-consumer")["data"]


def test_the_daemon_gets_settings_that_exist_and_time_to_drain() -> None:
    """A misspelt setting would be ignored in silence; a short grace time leaves notes to be done twice."""
    pod, _, given = consumer()
    settings = Settings(**{name.removeprefix("STTD_").lower(): value for name, value in given.items()})

    assert set(given) <= {f"STTD_{field.upper()}" for field in Settings.model_fields}
    assert pod["terminationGracePeriodSeconds"] >= settings.drain_seconds + 2 * LAST_WORD + CLOSE_SECONDS


def test_the_daemons_limits_fit_its_slots_and_its_bound() -> None:
    """One core for each slot, and the memory that the daemon prints as its bound."""
    _, container, given = consumer()
    limits = container["resources"]["limits"]
    settings = Settings(**{name.removeprefix("STTD_").lower(): value for name, value in given.items()})
    bound = memory.bound(settings, LOADED).total

    assert int(limits["cpu"]) == settings.slots
    assert bound <= compose.size(limits["memory"]) <= 1.35 * bound


def test_probes_ask_what_they_are_for() -> None:
    """Restart on liveness only: a daemon without broker is in order, and killing it would only make redeliveries."""
    _, container, _ = consumer()
    asked = {
        probe: container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }

    assert asked == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    assert container["ports"] == [{"name": "side", "containerPort": 9464}]


def test_keda_watches_the_lanes_and_scales_what_is_there() -> None:
    """A renamed queue or deployment would stop the scaling in silence."""
    spec = found("ScaledObject", "sttd-consumer")["spec"]

    assert spec["scaleTargetRef"]["name"] == found("Deployment", "sttd-consumer")["metadata"]["name"]
    watched = [trigger["metadata"]["queueName"] for trigger in spec["triggers"]]
    assert watched == [names.REQUESTS, "stt.requests.overflow", names.REQUESTS_BULK]
    for trigger in spec["triggers"]:
        assert trigger["authenticationRef"]["name"] == found("TriggerAuthentication", "sttd-broker")["metadata"]["name"]


def test_no_secret_is_written_down() -> None:
    """Secrets are made by the operator; the comments show how."""
    assert not [
        path for path in FOLDER.glob("*/*.yaml") for document in documents(path) if document["kind"] == "Secret"
    ]
