import json
import os
import re
import shutil
import socket
import time
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from cli.main import run
from runtime.children import free_port
from runtime.kafka import client_config, create_topics, producer_config
from runtime.models.repository import ModelRepository
from schemas.topics import ALERTS, CATALOGUE, READINGS
from tests.brokers import GIVEN, Broker, running_apache_kafka
from tests.e2e.workers import eventually
from tests.model_repository import ModelRepositoryBuilder, anomaly_files


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEXOVA_PROCESSOR__WEB_PORT", str(free_port()))
    monkeypatch.setenv("MODEL_PATH", str(tmp_path / "models"))


def test_with_topics_on_a_broker_nothing_about_it_fails(
    fresh_broker: Broker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEXOVA_KAFKA__BOOTSTRAP_SERVERS", fresh_broker.bootstrap_servers)
    create_topics(fresh_broker.kafka)
    found = examined(capsys)
    assert {state for check, state, _ in found if check in {"broker", "topics", "rights", "plant", "ports"}} == {"ok"}
    assert any(fresh_broker.bootstrap_servers in detail for check, _, detail in found if check == "broker")


def test_missing_topics_are_a_failure_with_the_command_that_makes_them(
    fresh_tansu: Broker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEXOVA_KAFKA__BOOTSTRAP_SERVERS", fresh_tansu.bootstrap_servers)
    assert run(["doctor"]) == 1
    written = capsys.readouterr().out
    assert f"{len(CATALOGUE)} of {len(CATALOGUE)} are missing: nexova.readings," in written
    assert "run `nexova topics create`" in written


def test_without_a_broker_the_other_checks_are_still_made(nobody: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = examined(capsys, expected=1)
    assert [state for check, state, _ in found if check == "broker"] == ["failed"]
    assert any(nobody in detail for check, _, detail in found if check == "broker")
    assert {"python", "settings", "plant", "models", "tools"} <= {check for check, _, _ in found}


@pytest.mark.usefixtures("nobody")
def test_a_misspelt_variable_is_named_with_the_one_that_was_meant(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEXOVA_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
    assert run(["doctor"]) == 1
    written = capsys.readouterr().out
    assert "NEXOVA_KAFKA_BOOTSTRAP_SERVERS is not a setting" in written
    assert "did you mean NEXOVA_KAFKA__BOOTSTRAP_SERVERS?" in written


def test_a_wrong_setting_ends_the_examination_with_its_rule(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORKERS", "0")
    found = examined(capsys, expected=1)
    assert found[-1][:2] == ("settings", "failed")
    assert "NEXOVA_WORKERS=0" in found[-1][2]


@pytest.mark.usefixtures("nobody")
def test_a_plant_file_that_is_not_there_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEXOVA_PLANT_FILE", "nowhere.toml")
    (plant,) = [(state, detail) for check, state, detail in examined(capsys, expected=1) if check == "plant"]
    assert plant[0] == "failed"
    assert "nowhere.toml" in plant[1]


@pytest.mark.usefixtures("nobody")
def test_a_taken_web_port_is_worth_a_look(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("NEXOVA_PROCESSOR__WEB_PORT", str(port))
        (found,) = [(state, detail) for check, state, detail in examined(capsys, expected=1) if check == "ports"]
    assert found[0] == "warning"
    assert f"127.0.0.1:{port}" in found[1]


def test_no_model_is_a_failure_with_the_command_that_makes_one(nobody: str, capsys: pytest.CaptureFixture[str]) -> None:
    del nobody
    found = [(state, detail) for check, state, detail in examined(capsys, expected=1) if check == "models"]

    assert {state for state, _ in found} == {"failed"}
    assert any("nexova train anomaly makes one" in detail for _, detail in found)


@pytest.mark.usefixtures("nobody")
def test_a_model_for_other_sensors_is_a_failure_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    models = ModelRepositoryBuilder(repository=ModelRepository(tmp_path / "models"), path=tmp_path / "models")
    models.put("anomaly", anomaly_files())
    monkeypatch.setenv("NEXOVA_PLANT_FILE", "skab")

    found = [(state, detail) for check, state, detail in examined(capsys, expected=1) if check == "models"]

    assert any(state == "failed" and "trained for" in detail for state, detail in found), found


@pytest.mark.usefixtures("nobody")
def test_an_old_package_is_a_failure_that_names_both_versions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    installed = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "0.1" if name == "faust-streaming" else installed(name))

    (found,) = [one for one in findings(capsys, expected=1) if one["check"] == "packages"]

    assert found["state"] == "failed"
    assert re.search(r"faust-streaming is 0\.1, not 0\.\d+", found["detail"])
    assert "make setup" in found["remedy"]


@pytest.mark.usefixtures("nobody")
def test_a_full_disk_is_a_failure_that_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))

    (found,) = [one for one in findings(capsys, expected=1) if one["check"] == "disk"]

    assert found["state"] == "failed"
    assert str(tmp_path) in found["detail"]
    assert "MODEL_PATH" in found["remedy"]


def test_wrong_partitions_and_a_clock_that_is_behind_are_failures(
    fresh_tansu: Broker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEXOVA_KAFKA__BOOTSTRAP_SERVERS", fresh_tansu.bootstrap_servers)
    create_topics(fresh_tansu.kafka)
    producer = Producer(producer_config(fresh_tansu.kafka))
    producer.produce(READINGS, b"{}", "m", timestamp=int((time.time() + 3600) * 1000))
    assert producer.flush(30) == 0
    monkeypatch.setenv("NEXOVA_KAFKA__PARTITIONS", "16")

    found = {check: detail for check, state, detail in examined(capsys, expected=1) if state == "failed"}

    assert "in the future of this machine's clock" in found["clock"]
    assert "16" in found["topics"]


def test_missing_rights_are_a_failure_for_the_process_that_needs_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guarded = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    if os.environ.get(GIVEN):
        pytest.skip("a broker that is given has its own authorizer")
    with running_apache_kafka(properties=guarded) as broker:
        create_topics(broker.kafka)
        denied = AclBinding(
            ResourceType.TOPIC, ALERTS, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*",
            AclOperation.WRITE, AclPermissionType.DENY,
        )  # fmt: skip
        allowed = AclBinding(
            ResourceType.TOPIC, ALERTS, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*",
            AclOperation.READ, AclPermissionType.ALLOW,
        )  # fmt: skip
        admin = AdminClient(client_config(broker.kafka))  # kept: its answers end with it
        for done in admin.create_acls([denied, allowed]).values():
            done.result(30)
        monkeypatch.setenv("NEXOVA_KAFKA__BOOTSTRAP_SERVERS", broker.bootstrap_servers)

        def failed(process: str) -> list[str]:
            run(["doctor", "--for", process, "--json"])
            found = json.loads(capsys.readouterr().out)
            return [one["detail"] for one in found if one["check"] == "rights" and one["state"] == "failed"]

        # a broker hears of new rules a moment later
        eventually(
            lambda: failed("processor") == ["nexova.alerts: the processor may not write"],
            seconds=60,
            what=lambda: f"{examined(capsys)}",
        )
        assert failed("forwarder") == []


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address where no broker listens, and is asked only briefly."""
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("NEXOVA_KAFKA__BOOTSTRAP_SERVERS", address)
    monkeypatch.setattr("cli.doctor.checks._SECONDS", 0.3)
    return address


def findings(capsys: pytest.CaptureFixture[str], *, expected: int | None = None) -> list[dict[str, Any]]:
    code = run(["doctor", "--json"])
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert code == int(any(finding["state"] == "failed" for finding in found))
    assert expected is None or code == expected
    return found


def examined(capsys: pytest.CaptureFixture[str], *, expected: int | None = None) -> list[tuple[str, str, str]]:
    found = findings(capsys, expected=expected)
    return [(finding["check"], finding["state"], finding["detail"]) for finding in found]
