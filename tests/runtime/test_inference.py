"""Loading verified models, and refusing all others with a sentence that helps."""

import json
import pickle
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from runtime.models.inference import (
    OnnxForest,
)
from runtime.models.repository import ModelDamaged, ModelRepository
from runtime.plants import load_plant
from tests.model_repository import (
    ANOMALY_WIDTH,
    PLANT,
    RISK_WIDTH,
    ModelRepositoryBuilder,
    anomaly_files,
    risk_files,
    some_rows,
)
from trainer.export import export_isolation_forest


@pytest.fixture
def builder(tmp_path: Path) -> ModelRepositoryBuilder:
    builder = ModelRepositoryBuilder(repository=ModelRepository(tmp_path), path=tmp_path)
    builder.put("anomaly", anomaly_files())
    builder.put("maintenance", risk_files())
    return builder


def test_both_promoted_models_are_loaded_and_say_who_they_are(builder: ModelRepositoryBuilder) -> None:
    loaded = builder.load()
    assert loaded.problems == ()
    anomaly, risk = loaded.models.anomaly, loaded.models.maintenance
    assert anomaly is not None
    assert risk is not None
    assert (anomaly.name, anomaly.version) == ("anomaly", "20260301T120000Z")
    assert (risk.name, risk.version) == ("maintenance", "20260301T120000Z")


def test_scores_lie_in_0_1_and_are_higher_far_from_what_was_learned(builder: ModelRepositoryBuilder) -> None:
    model = builder.load().models.anomaly
    assert model is not None
    rows = some_rows(ANOMALY_WIDTH, seed=2)
    usual, odd = model.score(rows), model.score(rows * 8)
    assert usual.dtype == np.float64
    assert usual.shape == (400,)
    assert 0 <= usual.min() <= odd.max() <= 1
    assert odd.mean() > usual.mean() + 0.2


def test_risks_lie_in_0_3(builder: ModelRepositoryBuilder) -> None:
    model = builder.load().models.maintenance
    assert model is not None
    risk = model.risk(some_rows(RISK_WIDTH, seed=2) * 8)
    assert 0 <= risk.min() < risk.max() <= 3


@pytest.mark.parametrize("rows", [0, 1, 2, 127, 128, 4096])
def test_a_row_scores_the_same_alone_and_in_any_crowd(builder: ModelRepositoryBuilder, rows: int) -> None:
    model = builder.load().models.anomaly
    assert model is not None
    features = some_rows(ANOMALY_WIDTH, rows, seed=3)
    together = model.score(features)
    alone = [model.score(features[row : row + 1])[0] for row in range(rows)]
    assert together.tolist() == alone


def test_columns_in_fortran_order_or_float64_score_the_same(builder: ModelRepositoryBuilder) -> None:
    model = builder.load().models.anomaly
    assert model is not None
    features = some_rows(ANOMALY_WIDTH)
    expected = model.score(features)
    assert np.array_equal(model.score(np.asfortranarray(features)), expected)
    assert np.array_equal(model.score(features.astype(np.float64)), expected)


def test_an_empty_repository_gives_no_models_and_says_how_to_make_them(tmp_path: Path) -> None:
    loaded = ModelRepositoryBuilder(repository=ModelRepository(tmp_path), path=tmp_path).load()
    assert loaded.models.anomaly is None
    assert loaded.models.maintenance is None
    assert len(loaded.problems) == 2
    assert "no version of it is promoted" in loaded.problems[0]
    assert loaded.problems[0].endswith("nexova train anomaly makes one")


def cut(folder: Path) -> None:
    graph = folder / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-100])


def swap_in_other_model(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(risk_files()["model.onnx"])


def remove(folder: Path) -> None:
    (folder / "model.json").unlink()


def fill_with_nothing(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b"")


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (cut, "model.onnx .* has sha256 .* it was cut or changed: train again"),
        (swap_in_other_model, "model.onnx .* has sha256"),
        (remove, "model.json is missing, its manifest lists it"),
        (fill_with_nothing, "manifest.json is no manifest"),
    ],
)
def test_a_damaged_model_is_left_out_with_one_clear_line(
    builder: ModelRepositoryBuilder, damage: Callable[[Path], None], complaint: str
) -> None:
    damage(builder.path / "anomaly" / "20260301T120000Z")
    loaded = builder.load()
    assert loaded.models.anomaly is None
    assert loaded.models.maintenance is not None, "the other model is not touched"
    (problem,) = loaded.problems
    assert problem.startswith("model anomaly 20260301T120000Z: ")
    assert "\n" not in problem
    assert re.search(complaint, problem)


def test_the_last_good_version_runs_in_the_place_of_a_damaged_one(builder: ModelRepositoryBuilder) -> None:
    cut(builder.put("anomaly", anomaly_files(), minutes=5))
    loaded = builder.load()
    assert loaded.models.anomaly is not None
    assert loaded.models.anomaly.version == "20260301T120000Z"
    assert "20260301T120500Z: model.onnx" in loaded.problems[0]
    assert loaded.problems[1].startswith("model anomaly: 20260301T120000Z runs in place of 20260301T120500Z")


def test_a_promoted_version_that_is_gone_is_reported(builder: ModelRepositoryBuilder) -> None:
    folder = builder.path / "anomaly" / "20260301T120000Z"
    folder.rename(builder.path / "elsewhere")
    loaded = builder.load()
    assert loaded.models.anomaly is None
    assert "which has no version of it" in loaded.problems[0]


def test_a_model_of_another_plant_is_refused_with_both_fingerprints(builder: ModelRepositoryBuilder) -> None:
    other = load_plant(Path("skab"))
    (problem, _) = builder.load(other).problems
    assert PLANT.fingerprint in problem
    assert other.fingerprint in problem
    assert "train on this plant's readings" in problem


def test_a_model_with_other_features_is_refused_with_both_fingerprints(builder: ModelRepositoryBuilder) -> None:
    builder.put("maintenance", risk_files(), minutes=5, features="0" * 16)
    loaded = builder.load()
    assert "was trained with features 0000000000000000, this release computes" in loaded.problems[0]
    assert loaded.models.maintenance is not None, "the version before still fits"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"knots_raw": [0.6, 0.3, 0.8]}, "knots must be equally many"),
        ({"knots_score": [0.0, 0.5, 1.5]}, "knots must be equally many"),
        ({"path_length_scale": 0}, "path_length_scale: Input should be greater than 0"),
        ({"kind": "forest of another kind"}, "kind: Input should be"),
        ({"feature_names": ["power.surprise"]}, r"model.onnx has columns \[\[6\], \[1\]\] in and out, .* states \[1\]"),
    ],
)
def test_a_document_that_breaks_a_rule_is_refused(tmp_path: Path, changes: dict[str, Any], complaint: str) -> None:
    files = anomaly_files()
    files["model.json"] = json.dumps(json.loads(files["model.json"]) | changes).encode()
    builder = ModelRepositoryBuilder(repository=ModelRepository(tmp_path), path=tmp_path)
    builder.put("anomaly", files)
    assert re.search(complaint, builder.load().problems[0])


class Bomb:
    """Whoever unpickles it writes a file."""

    def __init__(self, fuse: Path) -> None:
        self.fuse = fuse

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.fuse, "went off")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    fuse = tmp_path / "fuse"
    builder = ModelRepositoryBuilder(repository=ModelRepository(tmp_path / "models"), path=tmp_path / "models")
    builder.put("anomaly", anomaly_files() | {"model.onnx": pickle.dumps(Bomb(fuse))})
    builder.put("maintenance", risk_files() | {"model.json": pickle.dumps(Bomb(fuse))})
    loaded = builder.load()
    assert "ONNX Runtime cannot read model.onnx" in loaded.problems[0]
    assert "model.json: the document: Invalid JSON" in loaded.problems[1]
    assert not fuse.exists()


def test_a_graph_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(ModelDamaged, match=r"model x: ONNX Runtime cannot read model\.onnx"):
        OnnxForest(b"not a graph", n_features=3, source="model x")


def test_risk_levels_translate_back_to_hours(builder: ModelRepositoryBuilder) -> None:
    model: Any = builder.load().models.maintenance
    assert model.hours(np.array([0.0, 0.5, 1.0, 2.5, 3.0])).tolist() == [216, 168, 120, 24, 0]


def test_a_hundred_trees_cost_microseconds_a_row() -> None:
    """A guard against a slow path (one row a call, a converter's graph), far from the measured 2 µs."""
    forest = IsolationForest(n_estimators=100, random_state=1).fit(some_rows(ANOMALY_WIDTH, 5000))
    run = OnnxForest(export_isolation_forest(forest), n_features=ANOMALY_WIDTH, source="test")
    rows = some_rows(ANOMALY_WIDTH, 20_000, seed=2)
    seconds = []
    for _ in range(3):
        begun = time.perf_counter()
        run(rows)
        seconds.append(time.perf_counter() - begun)
    assert min(seconds) / len(rows) < 30e-6
