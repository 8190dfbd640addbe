"""The manifests: built by kustomize, validated strictly, and what a cluster would do with them."""

import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer.main
import yaml

from cli.main import app
from deploy.kubernetes.strimzi import render
from runtime.kafka import partitions_of, topic_config
from runtime.rights import RIGHTS
from runtime.settings import KafkaSettings, Settings
from runtime.settings_reference import setting_rows
from schemas.topics import CATALOGUE
from tests.deploy.checks import ROOT, parse, run

FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("production", "development")
CUSTOM = {"ScaledObject", "ServiceMonitor", "TriggerAuthentication"}
LIGHT = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}}
HEAVY = {"requests": {"cpu": "2", "memory": "2Gi"}, "limits": {"cpu": "4", "memory": "4Gi"}}
VALIDATE = Path(sys.executable).with_name("kubernetes-validate")
STATE = {"processor": {"Create", "Describe", "DescribeConfigs", "Read", "Write"}, "api": {"Describe", "Read"}}


def built(kustomize: Path, overlay: str) -> str:
    done = run(kustomize, "build", FOLDER / overlay)
    assert done.returncode == 0, done.stderr
    return done.stdout


def resources(kustomize: Path, overlay: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(built(kustomize, overlay)) if each]


def pods(kustomize: Path, overlay: str = "overlays/production") -> dict[str, dict[str, Any]]:
    found = {}
    for each in resources(kustomize, overlay):
        spec = each.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            found[each["metadata"]["name"].removeprefix("nexova-")] = spec["template"]
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_resource_is_valid_in_the_strict_sense(kustomize: Path, overlay: str, tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(built(kustomize, f"overlays/{overlay}"))

    checked = run(VALIDATE, "--strict", file)

    assert checked.returncode == 0, checked.stderr
    unknown = set(re.findall(r"Couldn't find schema for kind (\w+)", checked.stdout + checked.stderr))
    assert unknown <= CUSTOM


def test_the_validator_would_refuse_a_misspelt_key(kustomize: Path, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(built(kustomize, "overlays/production").replace("readinessProbe:", "readynessProbe:"))

    assert run(VALIDATE, "--strict", file).returncode != 0


def test_processors_keep_their_membership_over_a_restart(kustomize: Path) -> None:
    (processor,) = [each for each in resources(kustomize, "base") if each["kind"] == "StatefulSet"]
    (container,) = processor["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each for each in container["env"]}

    field = variables["NEXOVA_KAFKA__GROUP_INSTANCE_ID"]["valueFrom"]["fieldRef"]["fieldPath"]
    session = float(variables["NEXOVA_KAFKA__SESSION_SECONDS"]["value"])
    assert field == "metadata.name"
    assert session >= processor["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]


def test_three_api_pods_and_every_pod_has_requests_limits_and_probes(kustomize: Path) -> None:
    (api,) = [
        each
        for each in resources(kustomize, "base")
        if each["metadata"]["name"] == "nexova-api" and each["kind"] == "Deployment"
    ]
    assert api["spec"]["replicas"] == 3
    for name, template in pods(kustomize).items():
        (container,) = template["spec"]["containers"]
        assert container["resources"] == (LIGHT if name == "forwarder" else HEAVY), name
        if name != "trainer":
            assert container["livenessProbe"]["httpGet"]["path"] == "/health"
            assert container["readinessProbe"]["httpGet"]["path"] == "/ready"


@pytest.mark.parametrize("overlay", [f"overlays/{name}" for name in OVERLAYS])
def test_no_pod_is_root_or_can_write_where_it_need_not(kustomize: Path, overlay: str) -> None:
    for name, template in pods(kustomize, overlay).items():
        (container,) = template["spec"]["containers"]
        assert template["spec"]["securityContext"]["runAsNonRoot"], name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }, name
        assert template["spec"]["automountServiceAccountToken"] is False, name


def test_network_policies_select_the_pods_by_labels_that_these_have(kustomize: Path) -> None:
    labels = [template["metadata"]["labels"] for template in pods(kustomize).values()]
    policies = [each for each in resources(kustomize, "base") if each["kind"] == "NetworkPolicy"]

    assert all(each["app.kubernetes.io/part-of"] == "nexova" for each in labels)
    (closed,) = [each for each in policies if each["metadata"]["name"] == "nexova"]
    assert closed["spec"]["podSelector"]["matchLabels"] == {"app.kubernetes.io/part-of": "nexova"}
    assert "ingress" not in closed["spec"]


def test_every_command_line_and_every_variable_is_ours(kustomize: Path) -> None:
    known = {row.variable for row in setting_rows()}
    for overlay in OVERLAYS:
        for each in resources(kustomize, f"overlays/{overlay}"):
            assert set(each.get("data", {})) <= known if each["kind"] == "ConfigMap" else True
        for template in pods(kustomize, f"overlays/{overlay}").values():
            (container,) = template["spec"]["containers"]
            assert {one["name"] for one in container["env"]} <= known
            parse(typer.main.get_command(app), container["args"])


def test_the_forwarder_is_doubled_and_reaches_its_receiver(kustomize: Path) -> None:
    found = {
        each["kind"]: each for each in resources(kustomize, "base") if each["metadata"]["name"] == "nexova-forwarder"
    }
    (container,) = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    receiver = urlsplit(container["args"][-1])
    ((way,),) = [one["to"] for one in found["NetworkPolicy"]["spec"]["egress"]]

    assert found["Deployment"]["spec"]["replicas"] == 2
    assert found["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    assert (
        way["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        == (receiver.hostname or "").split(".")[1]
    )
    assert [one["port"] for one in found["NetworkPolicy"]["spec"]["egress"][0]["ports"]] == [receiver.port]


def test_every_process_that_has_metrics_is_scraped_at_a_port_it_serves(kustomize: Path) -> None:
    everything = resources(kustomize, "overlays/production")
    monitors = {each["metadata"]["name"]: each["spec"] for each in everything if each["kind"] == "ServiceMonitor"}
    services = {each["metadata"]["name"]: each for each in everything if each["kind"] == "Service"}
    settings = Settings()
    ports = {
        "nexova-processor": settings.processor.web_port,
        "nexova-api": settings.api.port,
        "nexova-forwarder": settings.forwarder.web_port,
    }

    assert set(monitors) == set(services) == set(ports)
    for name, monitor in monitors.items():
        labels = services[name]["metadata"]["labels"].items()
        assert monitor["selector"]["matchLabels"].items() <= labels
        (endpoint,) = monitor["endpoints"]
        assert endpoint["port"] in {port["name"] for port in services[name]["spec"]["ports"]}
        (container,) = pods(kustomize)[name.removeprefix("nexova-")]["spec"]["containers"]
        assert ports[name] in {port["containerPort"] for port in container["ports"]}
        assert ("authorization" in endpoint) == (name == "nexova-api"), "the API alone asks for a token"


def test_the_autoscaler_never_asks_for_more_processors_than_partitions(kustomize: Path) -> None:
    (scaled,) = [each for each in resources(kustomize, "overlays/production") if each["kind"] == "ScaledObject"]
    kafka = KafkaSettings()

    assert scaled["spec"]["maxReplicaCount"] <= kafka.partitions
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["metadata"]["consumerGroup"] == kafka.group


def test_the_committed_topics_and_users_are_what_the_catalogue_says() -> None:
    for path, text in render().items():
        assert path.read_text(encoding="utf-8") == text, "run: python -m deploy.kubernetes.strimzi write"


def test_topics_are_those_that_the_command_line_would_make(kustomize: Path) -> None:
    made = [each for each in resources(kustomize, "components/strimzi") if each["kind"] == "KafkaTopic"]
    kafka = KafkaSettings(replication_factor=3)

    assert {each["metadata"]["name"]: each["spec"] for each in made} == {
        topic.name: {
            "partitions": partitions_of(kafka, topic),
            "replicas": 3,
            "config": topic_config(kafka, topic),
        }
        for topic in CATALOGUE
    }


def test_users_may_do_what_their_process_needs_and_no_more(kustomize: Path) -> None:
    users = {
        each["metadata"]["name"].removeprefix("nexova-"): each["spec"]["authorization"]["acls"]
        for each in resources(kustomize, "components/strimzi")
        if each["kind"] == "KafkaUser"
    }

    assert set(users) == set(RIGHTS)
    for name, acls in users.items():
        assert not any("All" in each["operations"] or each["resource"]["name"] == "*" for each in acls), name
        literal = {
            each["resource"]["name"]: set(each["operations"])
            for each in acls
            if each["resource"]["patternType"] == "literal"
        }
        assert {topic for topic, verbs in literal.items() if "Read" in verbs} == set(RIGHTS[name].reads)
        assert {topic for topic, verbs in literal.items() if "Write" in verbs} == set(RIGHTS[name].writes)
        state = [
            set(each["operations"])
            for each in acls
            if each["resource"] == {"type": "topic", "name": "nexova-processor-", "patternType": "prefix"}
        ]
        assert state == ([STATE[name]] if name in STATE else []), name


def test_pods_speak_to_kafka_as_users_that_are_made(kustomize: Path) -> None:
    for template in pods(kustomize).values():
        (container,) = template["spec"]["containers"]
        variables = {each["name"]: each for each in container["env"]}
        user = variables["NEXOVA_KAFKA__SASL_USERNAME"]["value"]
        assert user.removeprefix("nexova-") in RIGHTS
        assert variables["NEXOVA_KAFKA__SASL_PASSWORD"]["valueFrom"]["secretKeyRef"]["name"] == user
