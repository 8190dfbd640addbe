"""Which rows a forest need not be asked about: those in the cell of the row before."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto
from sklearn.ensemble import RandomForestRegressor

from runtime.models.cells import Cells
from runtime.models.inference import OnnxForest
from trainer.export import export_random_forest

COLUMNS = 3
SAMPLE = np.random.default_rng(1).normal(size=(200, COLUMNS)).astype(np.float32)
FOREST = RandomForestRegressor(n_estimators=20, random_state=1).fit(SAMPLE, SAMPLE[:, 0] * SAMPLE[:, 1])
GRAPH = export_random_forest(FOREST)
EACH_ROW = OnnxForest(GRAPH, n_features=COLUMNS, source="test")
BY_CELLS = OnnxForest(GRAPH, n_features=COLUMNS, source="test", neighbours_agree=True)


def runs(cuts: list[list[float]], *rows: list[float]) -> list[int]:
    first, run_of = Cells([np.array(each, dtype=np.float32) for each in cuts]).runs(np.array(rows, dtype=np.float32))
    assert [run_of.tolist().index(run) for run in range(len(first))] == first.tolist()
    return run_of.tolist()


def test_neighbours_between_the_same_cuts_are_one_run() -> None:
    assert runs([[1.0, 2.0]], [0.0], [0.5], [1.5], [1.6], [0.7], [9.0]) == [0, 0, 1, 1, 2, 3]


def test_a_cut_belongs_to_the_cell_below_it() -> None:
    assert runs([[1.0]], [0.0], [1.0], [np.nextafter(np.float32(1), np.float32(2))]) == [0, 0, 1]


def test_one_feature_in_another_cell_is_enough() -> None:
    assert runs([[1.0], [5.0]], [0.0, 0.0], [0.0, 6.0], [0.0, 6.5], [2.0, 6.5]) == [0, 1, 1, 2]


def test_a_feature_that_no_tree_asks_for_makes_no_difference() -> None:
    assert runs([[], [5.0]], [-1e30, 0.0], [1e30, 0.0]) == [0, 0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_finite_number_is_asked_about_each_time(value: float) -> None:
    assert runs([[1.0]], [0.0], [value], [value], [0.0]) == [0, 1, 2, 3]


def test_no_rows_are_no_runs() -> None:
    first, run_of = Cells([np.array([1.0], dtype=np.float32)]).runs(np.empty((0, 1), dtype=np.float32))
    assert (len(first), len(run_of)) == (0, 0)
    assert len(BY_CELLS(np.empty((0, COLUMNS), dtype=np.float32))) == 0


def test_a_graph_that_compares_in_another_way_has_no_cells() -> None:
    model = ModelProto.FromString(GRAPH)
    modes = next(each for each in model.graph.node[0].attribute if each.name == "nodes_modes")
    modes.strings[0] = b"BRANCH_LT"
    assert Cells.of(model.SerializeToString(), n_features=COLUMNS) is None


# steps so small that many stay in their cell, and values that are cuts themselves
cuts_and_others = st.one_of(
    st.sampled_from(sorted({float(t) for tree in FOREST.estimators_ for t in tree.tree_.threshold.astype(np.float32)})),
    st.floats(-2, 2, width=32),
    st.sampled_from([np.nan, np.inf, -np.inf]),
)


@given(
    st.lists(st.tuples(*[cuts_and_others] * COLUMNS), min_size=1, max_size=5),
    st.lists(st.tuples(*[st.floats(-1 / 1024, 1 / 1024, width=32)] * COLUMNS), min_size=1, max_size=30),
)
def test_the_values_are_those_of_asking_about_each_row(
    starts: list[tuple[float, ...]], steps: list[tuple[float, ...]]
) -> None:
    walk = np.cumsum(np.array(steps, dtype=np.float32), axis=0)
    rows = np.concatenate([np.array(start, dtype=np.float32) + walk for start in starts])
    rows = np.concatenate([np.array(starts, dtype=np.float32), rows])
    assert BY_CELLS(rows).tobytes() == EACH_ROW(rows).tobytes()
