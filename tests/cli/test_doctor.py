import json
import socket
from pathlib import Path

import pytest

from cli.main import run
from runtime.children import free_port
from runtime.kafka import create_topics
from tests.brokers import Broker


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
    assert "11 of 11 are missing: nexova.readings," in written
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


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address where no broker listens, and is asked only briefly."""
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("NEXOVA_KAFKA__BOOTSTRAP_SERVERS", address)
    monkeypatch.setattr("cli.doctor.checks._SECONDS", 0.3)
    return address


def examined(capsys: pytest.CaptureFixture[str], *, expected: int | None = None) -> list[tuple[str, str, str]]:
    code = run(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == int(any(finding["state"] == "failed" for finding in found))
    assert expected is None or code == expected
    return [(finding["check"], finding["state"], finding["detail"]) for finding in found]
