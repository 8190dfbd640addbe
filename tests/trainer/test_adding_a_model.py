"""docs/adding-a-model.md, done step by step: the fourth family is trained, gated, reported and served."""

import importlib
import json
import re
from pathlib import Path

import pytest

from cli.main import run
from runtime.errors import UsageError
from runtime.models.repository import ModelRepository
from trainer.families import BUILT_IN, known_families

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-model.md"


def blocks(language: str) -> str:
    """All blocks of the page in that language, one after the other."""
    return "\n\n".join(re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's module, installed as pip would leave it."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "plant_efficiency.py").write_text(blocks("python"))
    about = folder / "plant_efficiency-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: plant-efficiency\nVersion: 1.0\n")
    group, line = re.findall(r'entry-points\."(.*)"\]\n(.*)', blocks("toml"))[0]
    name, target = (part.strip() for part in line.split("="))
    (about / "entry_points.txt").write_text(f"[{group}]\n{name} = {target.strip(chr(34))}\n")
    return folder


@pytest.fixture
def installed(package: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(package))
    return package


def test_a_fourth_family_is_trained_gated_reported_and_served(
    installed: Path, data_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert installed
    models = tmp_path / "models"
    where = ["--models", str(models)]
    train = ["train", "efficiency", "--data", str(data_dir), *where, "--no-announce", "--json"]
    assert run(train) == 0
    assert json.loads(capfd.readouterr().out)["models"]["efficiency"]["reason"] == "the first version"
    written = json.loads((models / "metrics.json").read_text())
    assert set(written["efficiency"]) == set(written["intervals"]["efficiency"]) == {"rmse", "mae", "r2"}
    assert written["efficiency"]["r2"] > 0.5

    assert run(train) == 0
    assert json.loads(capfd.readouterr().out)["models"]["efficiency"]["reason"].startswith("as good as ")
    assert run(["models", "rollback", "efficiency", *where, "--no-announce"]) == 0
    assert run(["models", "report", *where]) == 0
    assert "## efficiency" in capfd.readouterr().out

    module = importlib.import_module("plant_efficiency")
    repository = ModelRepository(models)
    running = repository.load("efficiency", repository.current("efficiency") or "")
    idle, per_unit = json.loads(running.files["model.json"])["lines"]["pump"]
    assert module.efficiency_of(models, "pump", [0.0, 100.0]).tolist() == [idle, idle + 100 * per_unit]
    assert module.efficiency_of(tmp_path / "nowhere", "pump", [0.0]) is None


def test_without_the_package_the_family_is_not_known(
    data_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "efficiency", "--data", str(data_dir), "--models", str(tmp_path / "models")]) == 2
    expected = "model 'efficiency' is not known; choose one of: anomaly, maintenance, forecast, all"
    assert expected in capfd.readouterr().err


def test_an_entry_point_that_leads_nowhere_names_its_package(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    about = tmp_path / "broken-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[nexova.families]\nbroken = plant_efficiency_of_old:FAMILY\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run(["train", "all", "--data", str(data_dir), "--models", str(tmp_path / "models")]) == 2
    expected = "entry point broken of nexova.families = 'plant_efficiency_of_old:FAMILY' cannot be loaded"
    assert expected in capfd.readouterr().err


def test_two_families_of_one_name_would_overwrite_each_other() -> None:
    with pytest.raises(UsageError, match=r"model family anomaly .*there is one of that name or section already"):
        known_families([BUILT_IN[0]])
