"""The manifest for Kubernetes: its parts fit together, and its times to ours."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import jsonschema
import pytest
import yaml

from tests.deploy.files import DEPLOY, Options, container, kubernetes, options_of
from tests.deploy.kubernetes_fields import SCHEMAS
from wsframe.server.monitoring.metrics_port import PAGES


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = kubernetes()["Deployment"]["spec"]["template"]["spec"]
    return spec


def chat() -> dict[str, Any]:
    (one,) = pod()["containers"]
    assert isinstance(one, dict)
    return one


def options() -> Options:
    return options_of(chat()["args"])


def objects() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))


def test_each_object_has_the_fields_of_its_kind() -> None:
    for found in objects():
        jsonschema.validate(found, SCHEMAS[found["kind"]], jsonschema.Draft202012Validator)
    assert len({(found["kind"], found["metadata"]["name"]) for found in objects()}) == len(objects()) == len(SCHEMAS)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("apiVersion",), "apps/v1beta1"),
        (("metadata", "name"), "Chat"),
        (("spec", "replica"), 1),
        (("spec", "template", "spec", "terminationGracePeriod"), 30),
        (("spec", "template", "spec", "terminationGracePeriodSeconds"), "30s"),
        (("spec", "template", "spec", "containers", 0, "readinessProbe", "httpGet", "port"), "no_name"),
        (("spec", "template", "spec", "containers", 0, "ports", 0, "containerPort"), 0),
        (("spec", "template", "spec", "containers", 0, "args", 0), 5),
        (("spec", "template", "spec", "containers", 0, "resources", "limits", "memory"), "1GB"),
    ],
)
def test_a_mistake_in_a_field_is_found(place: tuple[str | int, ...], value: object) -> None:
    found = at = deepcopy(kubernetes()["Deployment"])
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(found, SCHEMAS["Deployment"], jsonschema.Draft202012Validator)


def test_each_probe_asks_a_page_that_the_port_has() -> None:
    ports = {port["name"] for port in chat()["ports"]}
    asked = [chat()[f"{probe}Probe"]["httpGet"] for probe in ("startup", "readiness", "liveness")]
    assert {one["path"] for one in asked} <= PAGES.keys()
    assert {one["port"] for one in asked} == {"metrics"}
    assert "metrics" in ports


def test_labels_and_ports_lead_from_the_service_to_the_container() -> None:
    objects = kubernetes()
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert objects["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert objects["Service"]["spec"]["selector"] == labels
    assert objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    ports = {port["name"]: port["containerPort"] for port in chat()["ports"]}
    assert ports == {"websockets": 8000, "metrics": options().args.metrics_port}
    assert {port["targetPort"] for port in objects["Service"]["spec"]["ports"]} == {"websockets"}
    assert [arguments for name, arguments in container() if name == "EXPOSE"] == ["8000 9100"]


def test_the_pod_is_not_killed_before_the_drain_is_over() -> None:
    timeouts = options().timeouts
    wait = chat()["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod()["terminationGracePeriodSeconds"] >= wait + timeouts.lame_duck + timeouts.drain + 5


def test_readiness_fails_within_the_lame_duck() -> None:
    probe = chat()["readinessProbe"]
    assert probe["httpGet"] == {"path": "/readyz", "port": "metrics"}
    assert probe["periodSeconds"] * probe["failureThreshold"] < options().timeouts.lame_duck


def test_liveness_waits_longer_than_the_start_and_a_busy_loop() -> None:
    alive, start = chat()["livenessProbe"], chat()["startupProbe"]
    assert alive["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert start["httpGet"]["path"] == "/readyz"
    assert alive["periodSeconds"] * alive["failureThreshold"] >= 30
    assert start["periodSeconds"] * start["failureThreshold"] >= 60


def test_the_memory_holds_what_the_options_allow() -> None:
    assert chat()["resources"]["limits"] == {"memory": "1Gi"}
    assert 2 * options().capacity.max_queued_bytes <= 1024**3 // 2


def test_the_container_has_no_more_rights_than_it_needs() -> None:
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert chat()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
