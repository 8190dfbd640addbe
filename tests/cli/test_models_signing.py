"""`nexova models keygen | sign | verify`: from a new key to a model that is trusted, and what is refused."""

import json
from pathlib import Path

import pytest

from cli.main import run
from runtime.models.repository import ModelRepository
from tests.model_repository import ModelRepositoryBuilder, anomaly_files

FIRST = "20260301T120000Z"


@pytest.fixture
def builder(tmp_path: Path) -> ModelRepositoryBuilder:
    builder = ModelRepositoryBuilder(repository=ModelRepository(tmp_path / "models"), path=tmp_path / "models")
    builder.put("anomaly", anomaly_files())
    return builder


def test_a_key_is_made_a_version_signed_and_verified(
    builder: ModelRepositoryBuilder, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_PATH", str(builder.path))
    assert run(["models", "keygen", str(tmp_path / "key.pem")]) == 0
    settings = dict(line.split("=", 1) for line in capfd.readouterr().out.splitlines())
    for name, value in settings.items():  # as a person would put them into the environment
        monkeypatch.setenv(name, value)

    assert run(["models", "verify", "anomaly"]) == 1
    assert f"model anomaly {FIRST}: no key of NEXOVA_MODELS__TRUSTED_KEYS signed its" in capfd.readouterr().err
    assert run(["models", "promote", "anomaly", FIRST, "--no-announce"]) == 1
    assert "sign it with nexova models sign" in capfd.readouterr().err
    assert run(["models", "sign", "anomaly"]) == 0
    assert capfd.readouterr().out == f"anomaly {FIRST} is signed by {settings['NEXOVA_MODELS__TRUSTED_KEYS']}\n"
    assert run(["models", "verify", "anomaly", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["trusted"]
    assert run(["models", "promote", "anomaly", FIRST, "--no-announce"]) == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["sign", "anomaly"], "give --key FILE or set NEXOVA_MODELS__SIGNING_KEY_FILE"),
        (["sign", "anomaly", "--key", "none.pem"], "none.pem cannot be read (No such file or directory)"),
        (["verify", "anomaly"], "give --trusted KEY or set NEXOVA_MODELS__TRUSTED_KEYS"),
        (["verify", "anomaly", "--trusted", "abc"], "key 1 is not an Ed25519 public key"),
        (["keygen", "nowhere/key.pem"], "nowhere/key.pem cannot be written"),
    ],
)
def test_what_is_missing_is_named_in_one_line(
    builder: ModelRepositoryBuilder,
    arguments: list[str],
    complaint: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MODEL_PATH", str(builder.path))

    assert run(["models", *arguments]) == 2
    said = capfd.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1
