"""Training of the isolation forest, which scores how rare a reading is among a fleet's normal readings."""

from math import ceil
from typing import Final

import numpy as np
from sklearn.ensemble import IsolationForest

from core.arrays import Bools, Ints
from core.detection.features import FeatureFrame, anomaly_feature_names
from core.detection.scoring import combine_scores
from core.plant import Plant
from runtime.errors import UsageError
from runtime.models.inference import (
    ANOMALY,
    DOCUMENT,
    GRAPH,
    AnomalyDocument,
    ForestAnomalyModel,
    OnnxForest,
    raw_anomaly,
)
from trainer.baselines import type_baselines
from trainer.calibration import fewest_normal_readings
from trainer.candidate import NOT_RUNNING, Candidate, Progress, span_of
from trainer.datasets import Datasets
from trainer.export import export_isolation_forest, path_length_scale
from trainer.fanout import sharing_memory
from trainer.flag import choose_flag
from trainer.measure import Outcome

TREES: Final = 100
CONTAMINATION: Final = 0.05
ROWS_A_TREE: Final = 512
FEWEST_ROWS: Final = 1000
HEALTHY_HOURS: Final = 168.0
# A hundred trees of that many rows see no more of a million rows than of these.
_MOST_ROWS: Final = 100_000
_UNLABELLED: Final = "the data has no column anomaly: the score is calibrated on all running readings"


def train_anomaly(data: Datasets, frame: FeatureFrame, *, plant: Plant, seed: int, progress: Progress) -> Candidate:
    """Fit on the training split, calibrate on the next one.

    The forest sees anomalous readings too: it isolates by cutting between what it was shown, so one that saw
    normal readings only has no cuts beyond them. What counts as normal is decided by the calibration alone.

    Raises:
        UsageError: too few usable readings.
    """
    rate = plant.detection.false_alarm_rate
    healthy = _healthy(data, settle_readings=ceil(3 / plant.detection.slow_smoothing))
    train = frame.running & (data.split == 0)
    held_out = frame.running & healthy & (data.split == 1)
    _demand(int(train.sum()), FEWEST_ROWS, of=int((data.split == 0).sum()), what="running readings in train_data")
    _demand(
        int(held_out.sum()),
        fewest_normal_readings(rate),
        of=int((data.split == 1).sum()),
        what="healthy readings in val_data",
    )

    rows = np.flatnonzero(train)
    if rows.size > _MOST_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, _MOST_ROWS, replace=False))
    progress("isolation forest", 0.0)
    forest = IsolationForest(
        n_estimators=TREES,
        contamination=CONTAMINATION,
        max_samples=min(ROWS_A_TREE, rows.size),
        random_state=seed,
        n_jobs=-1,
    )
    with sharing_memory():
        forest.fit(frame.anomaly[rows])
    progress("isolation forest", 0.5)

    graph = export_isolation_forest(forest)
    names = anomaly_feature_names(plant)
    scale = path_length_scale(forest)
    runner = OnnxForest(graph, n_features=len(names), source=ANOMALY)
    # calibrated with what will run, not with what was fitted
    raw = np.full(len(data.batch), np.nan)
    raw[frame.running] = raw_anomaly(runner(frame.anomaly[frame.running]), scale=scale)
    choice = choose_flag(raw, data, frame, held_out=held_out, highest_rate=rate)
    document = AnomalyDocument(
        feature_names=names,
        path_length_scale=scale,
        false_alarm_rate=choice.rate,
        flag_by=choice.flag_by,
        knots_raw=choice.knots[0],
        knots_score=choice.knots[1],
    )
    model = ForestAnomalyModel(name=ANOMALY, version="", forest=runner, document=document)
    baselines = type_baselines(data, healthy & (data.split == 0), plant=plant, model=model)
    document = document.model_copy(update={"baselines": baselines})
    progress("isolation forest", 1.0)
    return Candidate(
        name=ANOMALY,
        files={GRAPH: graph, DOCUMENT: document.model_dump_json().encode()},
        trained_on=span_of(data.batch.timestamps[train]),
        rows_used=rows.size,
        rows_excluded={
            "given twice": data.duplicates,
            NOT_RUNNING: int((~frame.running & (data.split == 0)).sum()),
            "more than the forest can use": int(train.sum()) - rows.size,
        },
        parameters={
            "trees": TREES,
            "contamination": CONTAMINATION,
            "rows_a_tree": int(forest.max_samples_),
            "rows_calibrated_on": int(held_out.sum()),
            "false_alarm_rate": choice.rate,
            "flag_by": choice.flag_by,
            "f1_in_calibration": {name: round(value, 4) for name, value in choice.evidence.items()},
            "seed": seed,
        },
        notes=() if data.anomaly is not None else (_UNLABELLED,),
    )


def _healthy(data: Datasets, *, settle_readings: int) -> Bools:
    """Return the rows of healthy machines, as far as the data shows.

    That is without a label, past the time in which averages still remember one, and not about to fail: wear is
    no anomaly by its label, but it is not what normal should be measured by.
    """
    healthy = np.ones(len(data.batch), dtype=bool)
    if data.anomaly is not None:
        row = np.arange(healthy.size)
        # rows are ordered by machine, then time; an anomaly before a machine's first row is another machine's
        first = _first_rows(data.batch.machine)
        last = np.maximum.accumulate(np.where(data.anomaly, row, -1))
        healthy &= (last < first) | (row - last > settle_readings)
    if data.hours_to_failure is not None:
        healthy &= data.hours_to_failure > HEALTHY_HOURS
    return healthy


def _first_rows(machine: Ints) -> Ints:
    """Return for each row the first row of its machine; the rows of a machine follow each other."""
    begins = np.append(True, machine[1:] != machine[:-1])
    return np.maximum.accumulate(np.where(begins, np.arange(machine.size), 0))


def _demand(rows: int, least: int, *, of: int, what: str) -> None:
    if rows < least:
        raise UsageError(
            f"anomaly: {rows} {what} of {of} rows are too few, {least} are needed; give more days or more machines"
        )


def anomaly_outcome(model: ForestAnomalyModel, data: Datasets, frame: FeatureFrame, *, plant: Plant) -> Outcome | None:
    """Return truth (0 or 1) and flag-raising score of the scored test readings; None without labels.

    Scored are the readings of running machines out of warm-up.
    """
    del plant
    rows = (data.split == 2) & frame.running  # noqa: PLR2004 - the test split
    if data.anomaly is None or not rows.any():
        return None
    score = combine_scores(frame.distance[rows], model.score(frame.anomaly[rows]), flag_by=model.document.flag_by)
    return Outcome(machine=data.batch.machine[rows], truth=data.anomaly[rows].astype(np.float64), answer=score)
