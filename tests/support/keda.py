"""KEDA's ScaledObject and TriggerAuthentication as its documentation describes them (version 2.18), as JSON Schema.

Written by hand from three pages, "ScaledObject specification", "RabbitMQ Queue" and "Authentication": no registry
carries KEDA's own schema for this Python. Strict: a field that the pages do not name is a typing mistake.
"""

from typing import Any, Final

_TEXT: Final = {"type": "string", "minLength": 1}
_COUNT: Final = {"type": "integer", "minimum": 0}


def _object(required: tuple[str, ...], /, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties, "additionalProperties": False}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": items}


def _resource(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = _object(
        ("name",), name=_TEXT, namespace=_TEXT, labels={"type": "object"}, annotations={"type": "object"}
    )
    return _object(
        ("apiVersion", "kind", "metadata", "spec"),
        apiVersion={"const": "keda.sh/v1alpha1"},
        kind={"const": kind},
        metadata=metadata,
        spec=spec,
    )


_RABBITMQ: Final = _object(
    ("queueName", "mode", "value"),
    host=_TEXT,
    hostFromEnv=_TEXT,
    usernameFromEnv=_TEXT,
    passwordFromEnv=_TEXT,
    protocol={"enum": ["auto", "amqp", "http"]},
    mode={
        "enum": """
            QueueLength MessageRate DeliverGetRate PublishedToDeliveredRatio ExpectedQueueConsumptionTime
        """.split()
    },
    value={"type": "string", "pattern": r"^\d+(\.\d+)?$"},  # every value of a trigger's metadata is a string
    activationValue={"type": "string", "pattern": r"^\d+(\.\d+)?$"},
    queueName=_TEXT,
    vhostName=_TEXT,
    useRegex={"enum": ["true", "false"]},
    pageSize=_TEXT,
    operation={"enum": ["sum", "max", "avg"]},
    timeout=_TEXT,
    excludeUnacknowledged={"enum": ["true", "false"]},
    unsafeSsl={"enum": ["true", "false"]},
)
_TRIGGER: Final = _object(
    ("type", "metadata"),
    type={"const": "rabbitmq"},
    name=_TEXT,
    useCachedMetrics={"type": "boolean"},
    metricType={"enum": ["AverageValue", "Value", "Utilization"]},
    metadata=_RABBITMQ,
    authenticationRef=_object(
        ("name",), name=_TEXT, kind={"enum": ["TriggerAuthentication", "ClusterTriggerAuthentication"]}
    ),
)
_POLICY: Final = _object(
    ("type", "value", "periodSeconds"), type={"enum": ["Percent", "Pods"]}, value=_COUNT, periodSeconds=_COUNT
)
_RULES: Final = _object(
    (),
    stabilizationWindowSeconds=_COUNT,
    selectPolicy={"enum": ["Max", "Min", "Disabled"]},
    policies=_list(_POLICY),
    tolerance={},
)
_HPA: Final = _object((), name=_TEXT, behavior=_object((), scaleUp=_RULES, scaleDown=_RULES))
_SCALED_OBJECT: Final = _object(
    ("scaleTargetRef", "triggers"),
    scaleTargetRef=_object(("name",), apiVersion=_TEXT, kind=_TEXT, name=_TEXT, envSourceContainerName=_TEXT),
    pollingInterval=_COUNT,
    cooldownPeriod=_COUNT,
    initialCooldownPeriod=_COUNT,
    idleReplicaCount={"const": 0},
    minReplicaCount=_COUNT,
    maxReplicaCount=_COUNT,
    fallback=_object(
        ("failureThreshold", "replicas"),
        failureThreshold=_COUNT,
        replicas=_COUNT,
        behavior={"enum": ["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"]},
    ),
    advanced=_object((), restoreToOriginalReplicaCount={"type": "boolean"}, horizontalPodAutoscalerConfig=_HPA),
    triggers=_list(_TRIGGER),
)
_SECRET: Final = _object(("parameter", "name", "key"), parameter=_TEXT, name=_TEXT, key=_TEXT)

SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "ScaledObject": _resource("ScaledObject", _SCALED_OBJECT),
    "TriggerAuthentication": _resource(
        "TriggerAuthentication", _object(("secretTargetRef",), secretTargetRef=_list(_SECRET))
    ),
}
"""By kind."""
