"""The isolation forest: what a fleet's normal readings look like, and how rare a reading is against that."""

import json
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import IsolationForest
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

from core.features import FeatureFrame, anomaly_feature_names
from core.plant import Plant
from runtime.errors import UsageError
from runtime.inference import (
    ANOMALY,
    DOCUMENT,
    GRAPH,
    AnomalyDocument,
    ForestAnomalyModel,
    OnnxForest,
    raw_anomaly,
)
from trainer.calibration import calibration_knots, fewest_normal_readings
from trainer.candidate import Candidate, Progress, span_of
from trainer.datasets import Datasets
from trainer.export import export_isolation_forest, path_length_scale

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

TREES: Final = 100
CONTAMINATION: Final = 0.05
FLAG_AT: Final = 0.5
FEWEST_ROWS: Final = 1000
# A forest grown on 256 rows a tree learns no more from a million rows than from these.
_MOST_ROWS: Final = 100_000


def train_anomaly(data: Datasets, frame: FeatureFrame, *, plant: Plant, seed: int, progress: Progress) -> Candidate:
    """Fit on the training split, calibrate on the normal readings of the next one, measure on the last.

    Raises:
        UsageError: too few usable readings.
    """
    used, excluded = _usable(data, frame)
    train = used & (data.split == 0)
    rate = plant.detection.false_alarm_rate
    held_out = used & (data.split == 1)
    _demand(int(train.sum()), FEWEST_ROWS, "train_data", excluded)
    _demand(int(held_out.sum()), fewest_normal_readings(rate), "val_data", excluded)

    generator = np.random.default_rng(seed)
    rows = np.flatnonzero(train)
    if rows.size > _MOST_ROWS:
        rows = np.sort(generator.choice(rows, _MOST_ROWS, replace=False))
    progress("isolation forest", 0.0)
    forest = IsolationForest(n_estimators=TREES, contamination=CONTAMINATION, random_state=seed, n_jobs=-1)
    forest.fit(frame.anomaly[rows])
    progress("isolation forest", 0.5)

    graph = export_isolation_forest(forest)
    names = anomaly_feature_names(plant)
    scale = path_length_scale(forest)
    runner = OnnxForest(graph, n_features=len(names), source=ANOMALY)
    # calibrated with what will run, not with what was fitted
    knots_raw, knots_score = calibration_knots(raw_anomaly(runner(frame.anomaly[held_out]), scale=scale), rate=rate)
    document = AnomalyDocument(
        feature_names=names,
        path_length_scale=scale,
        false_alarm_rate=rate,
        knots_raw=tuple(knots_raw.tolist()),
        knots_score=tuple(knots_score.tolist()),
    )
    progress("isolation forest", 0.8)
    model = ForestAnomalyModel(name=ANOMALY, version="", forest=runner, document=document)
    metrics = _measure(model, data, frame)
    progress("isolation forest", 1.0)
    return Candidate(
        name=ANOMALY,
        files={
            GRAPH: graph,
            DOCUMENT: document.model_dump_json().encode(),
            "metrics.json": json.dumps({"anomaly": metrics}, indent=2).encode(),
        },
        metrics=metrics,
        trained_on=span_of(data.batch.timestamps[train]),
        rows_used=rows.size,
        rows_excluded=excluded | {"more than the forest can use": int(train.sum()) - rows.size},
        parameters={
            "trees": TREES,
            "contamination": CONTAMINATION,
            "rows_a_tree": int(forest.max_samples_),
            "rows_calibrated_on": int(held_out.sum()),
            "seed": seed,
        },
    )


def _usable(data: Datasets, frame: FeatureFrame) -> tuple[Bools, dict[str, int]]:
    """Return the rows that show a machine as it should be, and for the training split why others do not."""
    reasons = {"not running, or still in warm-up": ~frame.running}
    if data.anomaly is not None:
        reasons["labelled anomalous"] = data.anomaly
    used = np.ones(len(data.batch), dtype=bool)
    excluded = {"given twice": data.duplicates} if data.duplicates else {}
    for reason, rows in reasons.items():
        hit = used & rows
        excluded[reason] = int((hit & (data.split == 0)).sum())
        used &= ~rows
    return used, excluded


def _demand(rows: int, least: int, file: str, excluded: dict[str, int]) -> None:
    if rows < least:
        left_out = ", ".join(f"{count} {reason}" for reason, count in excluded.items()) or "none"
        raise UsageError(
            f"anomaly: {rows} usable rows in {file} are too few, {least} are needed (left out of training: "
            f"{left_out}); give more days or more machines"
        )


def _measure(model: ForestAnomalyModel, data: Datasets, frame: FeatureFrame) -> dict[str, float | None]:
    """Return precision, recall and F1 of the flag, and the AUC of the score, on the scored test readings."""
    rows = (data.split == 2) & frame.running  # noqa: PLR2004 - the test split
    unknown: dict[str, float | None] = dict.fromkeys(("precision", "recall", "f1", "auc"))
    if data.anomaly is None or not rows.any():
        return unknown
    truth, score = data.anomaly[rows], model.score(frame.anomaly[rows])
    precision, recall, f1, _ = precision_recall_fscore_support(
        truth, score >= FLAG_AT, average="binary", zero_division=0.0
    )
    auc = float(roc_auc_score(truth, score)) if 0 < truth.sum() < truth.size else None
    return {"precision": float(precision), "recall": float(recall), "f1": float(f1), "auc": auc}
