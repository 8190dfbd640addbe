"""`nexova models shadow`: what is said, kept and refused; what workers make of it is in tests/e2e."""

import json
from pathlib import Path

import pytest

from cli.main import run
from runtime.models.repository import ModelRepository
from tests.model_repository import ModelRepositoryBuilder, anomaly_files, risk_files

FIRST, SECOND = "20260301T120000Z", "20260301T120500Z"


@pytest.fixture
def builder(tmp_path: Path) -> ModelRepositoryBuilder:
    builder = ModelRepositoryBuilder(repository=ModelRepository(tmp_path), path=tmp_path)
    builder.put("anomaly", anomaly_files())
    builder.publish("anomaly", anomaly_files(), minutes=5)
    builder.publish("maintenance", risk_files())
    return builder


def test_a_version_is_tried_and_stopped(builder: ModelRepositoryBuilder, capfd: pytest.CaptureFixture[str]) -> None:
    where = ["--models", str(builder.path), "--no-announce"]
    assert run(["models", "shadow", "anomaly", SECOND, *where, "--reason", "looks good"]) == 0
    assert capfd.readouterr().out == f"anomaly {SECOND} is scored as a shadow: looks good\n"
    assert run(["models", "list", *where[:2]]) == 0
    assert capfd.readouterr().out == (
        f"anomaly {FIRST} runs\nanomaly {SECOND} is scored as a shadow\nmaintenance {FIRST}\n"
    )
    assert run(["models", "report", *where[:2]]) == 0
    assert f"Version {SECOND} is scored as a shadow since" in capfd.readouterr().out
    assert run(["models", "shadow", "anomaly", "--stop", *where, "--json"]) == 0
    entry = json.loads(capfd.readouterr().out)
    assert (entry["version"], entry["action"], entry["announced"]) == (SECOND, "shadow_ended", False)
    assert builder.repository.challenger("anomaly") is None


def test_promotions_and_rollbacks_are_json_too(
    builder: ModelRepositoryBuilder, capfd: pytest.CaptureFixture[str]
) -> None:
    where = ["--models", str(builder.path), "--no-announce", "--json"]
    assert run(["models", "promote", "anomaly", SECOND, *where]) == 0
    entry = json.loads(capfd.readouterr().out)
    assert (entry["version"], entry["previous"], entry["action"]) == (SECOND, FIRST, "promoted")
    assert run(["models", "rollback", "anomaly", *where]) == 0
    entry = json.loads(capfd.readouterr().out)
    assert (entry["version"], entry["previous"], entry["action"]) == (FIRST, SECOND, "rolled_back")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["anomaly"], "give a VERSION, or --stop"),
        (["anomaly", SECOND, "--stop"], "and not both"),
        (["anomaly", "--stop"], "no version is scored as a shadow"),
        (["anomaly", FIRST], "runs already"),
        (["anomaly", "20270101T000000Z"], "is not in"),
        (["maintenance", FIRST], "no version runs, so there is none to score"),
    ],
)
def test_what_cannot_be_tried_is_the_users_mistake(
    builder: ModelRepositoryBuilder, arguments: list[str], complaint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "shadow", *arguments, "--models", str(builder.path)]) == 2
    error = capfd.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1
