"""`nexova train` and `nexova models`, as the command line runs them."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from cli.main import run


@pytest.fixture(scope="module")
def models(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    assert run(["train", "all", "--data", str(data_dir), "--models", str(folder), "--no-announce"]) == 0
    return folder


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens there: what these tests promote is no concern of a broker on the developer's machine."""
    monkeypatch.setenv("NEXOVA_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:9")


def test_train_prints_one_json_document_and_nothing_else(
    data_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "anomaly", "--data", str(data_dir), "--models", str(tmp_path), "--json"]) == 0
    output = capfd.readouterr()
    document = json.loads(output.out)
    assert document["models"]["anomaly"]["promoted"] is True
    assert document["models"]["anomaly"]["announced"] is False, "there is no broker"
    assert set(document["metrics"]["anomaly"]) == {"precision", "recall", "f1", "auc"}
    assert output.err == "", "progress belongs on a terminal"


def test_train_tells_a_person_what_came_of_it(
    data_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "anomaly", "--data", str(data_dir), "--models", str(tmp_path)]) == 0
    output = capfd.readouterr()
    assert "on the test split" in output.out
    assert "learned from" in output.out
    assert "runs now: the first version" in output.out
    assert "is promoted in the repository and workers follow at their next start" in output.err
    assert "no Kafka broker answered at 127.0.0.1:9" in output.err
    assert output.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--data", "nowhere"], "data folder nowhere: does not exist"),
        (["weather", "--data", "."], "weather"),
        (["--data", ".", "--models", "floppy://x"], "no storage of that kind"),
        (["--data", ".", "--plant", "nowhere.toml"], "plant file nowhere.toml: does not exist"),
    ],
)
def test_a_mistake_of_the_user_is_one_line_and_exit_code_2(
    arguments: list[str], complaint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", *arguments]) == 2
    error = capfd.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff\x1b[2J" * 99, b"machine_id,timestamp\npump-01,2026-03-01T00:00:00Z\n"]
)
def test_data_that_cannot_be_used_is_one_line_exit_code_2_and_no_version(
    data_dir: Path, tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    data = Path(shutil.copytree(data_dir, tmp_path / "data"))
    (data / "train_data.csv").write_bytes(content)
    assert run(["train", "all", "--data", str(data), "--models", str(tmp_path / "models")]) == 2
    error = capfd.readouterr().err
    assert "train_data.csv: " in error
    assert error.count("\n") == 1
    assert error.rstrip("\n").isprintable()
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(("backend", "package"), [("dask", "distributed"), ("ray", "ray")])
@pytest.mark.parametrize("from_kafka", [False, True])
def test_a_back_end_whose_package_is_missing_names_the_extra(
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    backend: str,
    package: str,
    *,
    from_kafka: bool,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    source = ["--from-kafka"] if from_kafka else ["--data", str(data_dir)]
    assert run(["train", "all", *source, "--models", str(tmp_path / "models"), "--backend", backend]) == 2
    assert f"the package {package} is not installed; pip install 'nexova[{backend}]'" in capfd.readouterr().err


def test_models_can_be_listed_shown_promoted_and_rolled_back(
    models: Path, data_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    where = ["--models", str(models)]
    assert run(["train", "anomaly", "--data", str(data_dir), *where, "--seed", "7", "--no-announce"]) == 0
    capfd.readouterr()
    assert run(["models", "list", *where, "--json"]) == 0
    first, second = [row for row in json.loads(capfd.readouterr().out) if row["name"] == "anomaly"]
    if second["runs"]:  # the other seed was as good; what is shown here begins with the first one running
        assert run(["models", "rollback", "anomaly", *where, "--no-announce"]) == 0
        capfd.readouterr()
    assert run(["models", "list", *where, "--json"]) == 0
    listed = [row for row in json.loads(capfd.readouterr().out) if row["name"] == "anomaly"]
    first, second = (row["version"] for row in listed)
    assert [row["runs"] for row in listed] == [True, False]

    assert run(["models", "promote", "anomaly", second, *where, "--reason", "another seed"]) == 0
    said = capfd.readouterr()
    assert f"anomaly {second} runs from now on instead of {first}: another seed" in said.out
    assert f"anomaly {second} is promoted in the repository and workers follow at their next start" in said.err
    assert run(["models", "show", "anomaly", *where]) == 0
    shown = json.loads(capfd.readouterr().out)
    assert (shown["version"], shown["parameters"]["seed"], shown["parent"]) == (second, 7, first)

    assert run(["models", "rollback", "anomaly", *where, "--no-announce"]) == 0
    said = capfd.readouterr()
    assert said.err == ""
    assert run(["models", "list", *where]) == 0
    assert f"anomaly {first} runs\nanomaly {second}\n" in capfd.readouterr().out
    assert run(["models", "report", *where]) == 0
    assert capfd.readouterr().out == (models / "MODEL_REGISTRY.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["show", "weather"], "model weather has no version"),
        (["promote", "anomaly", "20010101T000000Z"], "anomaly 20010101T000000Z is not in"),
        (["rollback", "maintenance"], "to be promoted, so there is none to roll back to"),
    ],
)
def test_a_version_that_is_not_there_is_the_users_mistake(
    models: Path, arguments: list[str], complaint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", *arguments, "--models", str(models)]) == 2
    error = capfd.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1


def test_a_damaged_version_is_a_failure_and_exit_code_1(
    data_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    where = ["--models", str(tmp_path)]
    assert run(["train", "anomaly", "--data", str(data_dir), *where]) == 0
    (graph,) = tmp_path.glob("anomaly/*/model.onnx")
    graph.write_bytes(graph.read_bytes()[:-1])
    assert run(["models", "show", "anomaly", *where]) == 1
    assert "it was cut or changed" in capfd.readouterr().err


def test_an_empty_repository_says_how_to_fill_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "list", "--models", str(tmp_path)]) == 0
    assert "nexova train all" in capfd.readouterr().err
