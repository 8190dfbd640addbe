"""Scikit-learn forests as ONNX graphs of exactly one TreeEnsembleRegressor node each.

The generic converter writes an isolation forest as some hundred nodes, which the runtime works through 15
times slower than one tree ensemble. A path length is a leaf value like any other, so we write it as one.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from onnx import TensorProto, checker, helper
from sklearn.ensemble import HistGradientBoostingRegressor, IsolationForest, RandomForestRegressor

from core.arrays import Features, Floats, Ints

INPUT, OUTPUT = "features", "value"
PRODUCER = "nexova"
# the newest pair of operator sets in which the tree ensemble still is one flat node
_OPSET, _ML_OPSET, _IR_VERSION = 17, 3, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatTree:
    """One tree as arrays over its n nodes; node 0 is the root, a child of -1 marks a leaf.

    `threshold` is what a float32 feature is compared with (`x <= threshold` goes left), `value` is what a
    leaf yields, `missing_left` says where NaN goes.
    """

    left: Ints
    right: Ints
    feature: Ints
    threshold: Features
    value: Features
    missing_left: Ints


def float32_not_above(thresholds: Floats) -> Features:
    """Round each threshold down to a float32, so that `x <= t` decides the same for every float32 x.

    Scikit-learn compares float32 features with float64 thresholds; rounding to the nearest would move a
    threshold up past a feature value that lies between the two, and send that row to the other child.
    """
    nearest = thresholds.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest.astype(np.float64) > thresholds, below, nearest).astype(np.float32)


def export_isolation_forest(forest: IsolationForest) -> bytes:
    """Serialise a fitted isolation forest; the graph yields the mean path length, float32[n, 1].

    The anomaly score of the original paper is `2 ** (-mean path length / path_length_scale(forest))`, which
    equals `-forest.score_samples(x)`; the caller applies it in float64.
    """
    trees = []
    for estimator, used, depth, rest in zip(
        forest.estimators_,
        forest.estimators_features_,
        forest._decision_path_lengths,  # noqa: SLF001 - node depths, counted from 1 at the root
        forest._average_path_length_per_tree,  # noqa: SLF001 - c(n) of each node's training rows
        strict=True,
    ):
        trees.append(_flatten(estimator.tree_, leaf_values=depth + rest - 1.0, columns=np.asarray(used)))
    return _serialise(trees, n_features=int(forest.n_features_in_))


def path_length_scale(forest: IsolationForest) -> float:
    """Return c(max_samples): the mean path length of an unsuccessful search among that many rows.

    The formula is equation 1 of Liu, Ting and Zhou, "Isolation Forest" (2008).
    """
    rows = int(forest.max_samples_)
    if rows <= 1:
        message = f"an isolation forest of {rows} row a tree isolates nothing; train with 2 rows or more"
        raise ValueError(message)
    if rows == 2:  # noqa: PLR2004 - the paper's own special case
        return 1.0
    return float(2.0 * (np.log(rows - 1.0) + np.euler_gamma) - 2.0 * (rows - 1.0) / rows)


def export_random_forest(forest: RandomForestRegressor) -> bytes:
    """Serialise a fitted single-output random forest; the graph yields the trees' average, float32[n, 1]."""
    columns = np.arange(forest.n_features_in_)
    raw = [estimator.tree_ for estimator in forest.estimators_]
    trees = [_flatten(tree, leaf_values=tree.value[:, 0, 0], columns=columns) for tree in raw]
    return _serialise(trees, n_features=int(forest.n_features_in_))


def export_boosted_trees(model: HistGradientBoostingRegressor) -> bytes:
    """Serialise a fitted regressor of squared errors; the graph yields its prediction, float32[n, 1]."""
    trees = []
    for (predictor,) in model._predictors:  # noqa: SLF001 - the only place where the trees are
        nodes = predictor.nodes
        leaf = nodes["is_leaf"].astype(bool)
        trees.append(
            FlatTree(
                left=np.where(leaf, -1, nodes["left"].astype(np.int64)),
                right=np.where(leaf, -1, nodes["right"].astype(np.int64)),
                feature=np.where(leaf, 0, nodes["feature_idx"].astype(np.int64)),
                threshold=np.where(leaf, np.float32(0), float32_not_above(nodes["num_threshold"])),
                value=nodes["value"].astype(np.float32),
                missing_left=np.where(leaf, 0, nodes["missing_go_to_left"]).astype(np.int64),
            )
        )
    base = float(np.ravel(model._baseline_prediction)[0])  # noqa: SLF001 - what the trees are added to
    return _serialise(trees, n_features=int(model.n_features_in_), summed_from=base)


def _flatten(tree: Any, *, leaf_values: Floats, columns: Ints) -> FlatTree:
    """Read one scikit-learn tree; `columns` maps the features the tree was shown to columns of the input."""
    leaf = tree.children_left < 0
    return FlatTree(
        left=tree.children_left,
        right=tree.children_right,
        feature=np.where(leaf, 0, columns[np.where(leaf, 0, tree.feature)]),
        threshold=np.where(leaf, np.float32(0), float32_not_above(tree.threshold)),
        value=leaf_values.astype(np.float32),
        missing_left=np.where(leaf, 0, tree.missing_go_to_left).astype(np.int64),
    )


def _serialise(trees: list[FlatTree], *, n_features: int, summed_from: float | None = None) -> bytes:
    """Write the trees as one TreeEnsembleRegressor over float32[n, n_features], which averages, or adds to a base."""
    attributes: dict[str, Any] = _attributes(trees)
    if summed_from is not None:
        attributes["base_values"] = [summed_from]
    node = helper.make_node(
        "TreeEnsembleRegressor",
        inputs=[INPUT],
        outputs=[OUTPUT],
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="AVERAGE" if summed_from is None else "SUM",
        post_transform="NONE",
        **attributes,
    )
    graph = helper.make_graph(
        [node],
        "forest",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, n_features])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 1])],
    )
    model = helper.make_model(
        graph,
        producer_name=PRODUCER,
        ir_version=_IR_VERSION,
        opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)],
    )
    checker.check_model(model)
    return bytes(model.SerializeToString())


def _attributes(trees: list[FlatTree]) -> dict[str, list[Any]]:
    """Lay the trees end to end in the flat lists that the operator wants."""
    offsets = np.concatenate([[0], np.cumsum([tree.left.size for tree in trees])])
    ids = np.concatenate([np.arange(end - start) for start, end in pairwise(offsets)])
    tree_ids = np.repeat(np.arange(len(trees)), np.diff(offsets))
    left = np.concatenate([tree.left for tree in trees])
    leaf = left < 0
    return {
        "nodes_treeids": tree_ids.tolist(),
        "nodes_nodeids": ids.tolist(),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_featureids": np.concatenate([tree.feature for tree in trees]).tolist(),
        "nodes_values": np.concatenate([tree.threshold for tree in trees]).tolist(),
        "nodes_truenodeids": np.where(leaf, 0, left).tolist(),
        "nodes_falsenodeids": np.where(leaf, 0, np.concatenate([t.right for t in trees])).tolist(),
        "nodes_missing_value_tracks_true": np.concatenate([t.missing_left for t in trees]).tolist(),
        "target_treeids": tree_ids[leaf].tolist(),
        "target_nodeids": ids[leaf].tolist(),
        "target_ids": [0] * int(leaf.sum()),
        "target_weights": np.concatenate([tree.value for tree in trees])[leaf].tolist(),
    }
