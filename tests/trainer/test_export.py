from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import IsolationForest, RandomForestRegressor

from runtime.models.inference import OnnxForest, raw_anomaly
from trainer.export import (
    export_isolation_forest,
    export_random_forest,
    float32_not_above,
    path_length_scale,
)

ROWS, COLUMNS = 10_000, 12


def some_rows(seed: int, rows: int = ROWS) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Correlated columns, one of them coarse, so that many rows lie on thresholds or beside them."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(rows, COLUMNS)) @ generator.normal(size=(COLUMNS, COLUMNS))
    values[:, 0] = np.round(values[:, 0], 1)
    return values.astype(np.float32)


def with_gaps(rows: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.where(np.random.default_rng(3).random(rows.shape) < 0.05, np.float32(np.nan), rows)


def onnx_scores(forest: IsolationForest, rows: Any) -> Any:
    run = OnnxForest(export_isolation_forest(forest), n_features=COLUMNS, source="test")
    return raw_anomaly(run(rows), scale=path_length_scale(forest))


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"max_samples": 2000},
        {"max_samples": 0.3, "bootstrap": True},
        {"max_features": 0.4},
        {"max_samples": 2, "n_estimators": 7},
    ],
    ids=str,
)
def test_the_exported_isolation_forest_agrees_on_ten_thousand_rows(parameters: dict[str, Any]) -> None:
    forest = IsolationForest(**{"n_estimators": 100, "contamination": 0.05, "random_state": 1} | parameters)
    forest.fit(some_rows(1, 5000))
    rows = some_rows(2)
    for shown in (rows, with_gaps(rows)):
        assert np.abs(onnx_scores(forest, shown) + forest.score_samples(shown)).max() < 1e-5


def test_the_exported_random_forest_agrees_on_ten_thousand_rows() -> None:
    train = some_rows(1, 5000)
    risk = np.clip(train[:, 1] + train[:, 2] ** 2 / 9, 0, 3)
    forest = RandomForestRegressor(
        n_estimators=100, max_depth=15, min_samples_leaf=20, max_features=0.5, random_state=1, n_jobs=2
    ).fit(train, risk)
    run = OnnxForest(export_random_forest(forest), n_features=COLUMNS, source="test")
    rows = some_rows(2)
    assert np.abs(run(rows) - forest.predict(rows)).max() < 1e-5


def test_a_random_forest_that_learned_where_gaps_go_sends_them_there() -> None:
    train = with_gaps(some_rows(1, 5000))
    risk = np.where(np.isnan(train[:, 1]), 3.0, 0.0)
    forest = RandomForestRegressor(n_estimators=10, random_state=1).fit(train, risk)
    run = OnnxForest(export_random_forest(forest), n_features=COLUMNS, source="test")
    rows = with_gaps(some_rows(2))
    assert np.abs(run(rows) - forest.predict(rows)).max() < 1e-5
    assert forest.predict(rows).max() > 2


def test_rows_on_neighbouring_floats_go_to_the_same_side() -> None:
    """The threshold between two neighbours is no float32; rounded to the nearest, half of them move up."""
    neighbours = (2 + np.arange(64) * 2 * np.float64(np.finfo(np.float32).eps)).astype(np.float32)[:, None]
    which = np.arange(64) % 2
    forest = RandomForestRegressor(n_estimators=1, bootstrap=False, random_state=1).fit(neighbours, which)
    run = OnnxForest(export_random_forest(forest), n_features=1, source="test")
    assert forest.predict(neighbours).tolist() == which.tolist()
    assert run(neighbours).tolist() == which.tolist()


@given(
    st.floats(-1e30, 1e30),
    st.one_of(st.floats(-1e30, 1e30).map(np.float32), st.integers(-2, 2)),
)
def test_a_rounded_threshold_decides_as_the_exact_one(threshold: float, near: float) -> None:
    rounded = float32_not_above(np.array([threshold]))[0]
    assert rounded.dtype == np.float32
    # far away values, and the float32 neighbours of the threshold itself
    value = np.float32(near)
    if isinstance(near, int):
        value = np.float32(threshold)
        for _ in range(abs(near)):
            value = np.nextafter(value, np.float32(np.inf if near > 0 else -np.inf))
    assert bool(value <= rounded) == bool(np.float64(value) <= threshold)


@pytest.mark.parametrize("export", ["isolation", "random"])
def test_the_graph_is_one_tree_ensemble(export: str) -> None:
    rows = some_rows(1, 500)
    content = (
        export_isolation_forest(IsolationForest(n_estimators=5, random_state=1).fit(rows))
        if export == "isolation"
        else export_random_forest(RandomForestRegressor(n_estimators=5, random_state=1).fit(rows, rows[:, 0]))
    )
    graph = onnx.load_from_string(content).graph
    assert [node.op_type for node in graph.node] == ["TreeEnsembleRegressor"]
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [None, COLUMNS]


def test_the_same_forest_gives_the_same_bytes() -> None:
    rows = some_rows(1, 500)
    exports = [export_isolation_forest(IsolationForest(n_estimators=5, random_state=1).fit(rows)) for _ in "ab"]
    assert exports[0] == exports[1]


def test_a_forest_of_one_row_a_tree_is_refused() -> None:
    forest = IsolationForest(n_estimators=2, max_samples=1, random_state=1).fit(some_rows(1, 500))
    with pytest.raises(ValueError, match="1 row a tree isolates nothing"):
        path_length_scale(forest)
