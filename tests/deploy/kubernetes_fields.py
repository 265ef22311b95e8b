"""The fields of the objects in the manifest, as far as it has them: kubectl warns of others, and they do nothing."""

from __future__ import annotations

from typing import Any

__all__ = ["SCHEMAS"]

Schema = dict[str, Any]


def fields(required: str = "", **of: Schema) -> Schema:
    """Return the schema of an object without other fields than these."""
    return {"type": "object", "properties": of, "required": required.split(), "additionalProperties": False}


def listed(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


def one_of(*values: object) -> Schema:
    return {"enum": list(values)}


TEXT: Schema = {"type": "string", "minLength": 1}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
POSITIVE: Schema = {"type": "integer", "minimum": 1}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
NAME: Schema = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"}
PORT_NAME: Schema = {"type": "string", "pattern": "^(?=.*[a-z])[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$"}
LABELS: Schema = {
    "type": "object",
    "additionalProperties": {"type": "string", "pattern": "^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"},
    "minProperties": 1,
}
CPU: Schema = {"type": "string", "pattern": "^[0-9]+m?$"}
MEMORY: Schema = {"type": "string", "pattern": "^[0-9]+(Ki|Mi|Gi)$"}

SELECTOR = fields("matchLabels", matchLabels=LABELS)
QUANTITIES = fields(cpu=CPU, memory=MEMORY)
PROBE = fields(
    "httpGet",
    httpGet=fields("path port", path={"type": "string", "pattern": "^/"}, port={"anyOf": [PORT, PORT_NAME]}),
    periodSeconds=POSITIVE,
    timeoutSeconds=POSITIVE,
    failureThreshold=POSITIVE,
)
CONTAINER = fields(
    "name image args ports",
    name=NAME,
    image={"type": "string", "pattern": "^[a-z0-9./-]+:[A-Za-z0-9_.-]+$"},
    args=listed(TEXT),
    ports=listed(fields("containerPort", name=PORT_NAME, containerPort=PORT)),
    startupProbe=PROBE,
    readinessProbe=PROBE,
    livenessProbe=PROBE,
    lifecycle=fields(preStop=fields("sleep", sleep=fields("seconds", seconds=COUNT))),
    resources=fields(requests=QUANTITIES, limits=QUANTITIES),
    securityContext=fields(
        allowPrivilegeEscalation=FLAG, readOnlyRootFilesystem=FLAG, capabilities=fields(drop=listed(TEXT))
    ),
)
POD = fields(
    "containers",
    containers=listed(CONTAINER),
    terminationGracePeriodSeconds=COUNT,
    automountServiceAccountToken=FLAG,
    securityContext=fields(
        runAsNonRoot=FLAG,
        runAsUser=POSITIVE,
        runAsGroup=POSITIVE,
        seccompProfile=fields("type", type=one_of("RuntimeDefault", "Localhost", "Unconfined")),
    ),
)


def kind(version: str, name: str, spec: Schema) -> Schema:
    """Return the schema of a kind of object."""
    return fields(
        "apiVersion kind metadata spec",
        apiVersion=one_of(version),
        kind=one_of(name),
        metadata=fields("name", name=NAME, labels=LABELS),
        spec=spec,
    )


SCHEMAS: dict[str, Schema] = {
    "Deployment": kind(
        "apps/v1",
        "Deployment",
        fields(
            "selector template",
            replicas=COUNT,
            selector=SELECTOR,
            strategy=fields(type=one_of("RollingUpdate"), rollingUpdate=fields(maxSurge=COUNT, maxUnavailable=COUNT)),
            template=fields("metadata spec", metadata=fields("labels", labels=LABELS), spec=POD),
        ),
    ),
    "Service": kind(
        "v1",
        "Service",
        fields(
            "selector ports",
            selector=LABELS,
            ports=listed(fields("port", name=PORT_NAME, port=PORT, targetPort={"anyOf": [PORT, PORT_NAME]})),
        ),
    ),
    "PodDisruptionBudget": kind(
        "policy/v1",
        "PodDisruptionBudget",
        fields("selector", maxUnavailable=COUNT, minAvailable=COUNT, selector=SELECTOR),
    ),
}
"""The schema of each kind of object."""
