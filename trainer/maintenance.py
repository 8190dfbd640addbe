"""Training of the risk forest, whose target is the time to a later failure, never a formula of the sensors."""

from itertools import pairwise
from typing import Final

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from core.arrays import Bools, Features, Floats
from core.detection.features import FeatureFrame, maintenance_feature_names
from core.maintenance import BAND_STARTS
from core.plant import Plant
from runtime.errors import UsageError
from runtime.models.inference import (
    DOCUMENT,
    GRAPH,
    HIGHEST_RISK,
    MAINTENANCE,
    ForestRiskModel,
    RiskDocument,
)
from trainer.candidate import Candidate, Progress, span_of
from trainer.datasets import Datasets
from trainer.export import export_random_forest
from trainer.fanout import sharing_memory
from trainer.measure import Outcome

TREES: Final = 100
DEPTH: Final = 15
LEAF_ROWS: Final = 20
FEATURE_SHARE: Final = 0.5
FEWEST_ROWS: Final = 1000
FEWEST_WORN_ROWS: Final = 100
# Readings minutes apart say nearly the same of wear that takes weeks; more of them only take time.
_MOST_ROWS: Final = 60_000
_TREES_A_STEP: Final = 10
_BAND_HOURS: Final = (168.0, 72.0, 24.0)


def risk_anchors() -> tuple[tuple[float, float], ...]:
    """Return points (hours to failure, risk) of the target, straight lines between them.

    A band begins where its hours do: `watch` at 7 days, `plan` at 3, `urgent` at 1; at the failure itself the
    risk is 3. Before the first band it falls to 0 at the slope of the band, so that the forest is not asked to
    tell 7 days and an hour from 7 days.
    """
    points = list(zip(_BAND_HOURS, BAND_STARTS, strict=True))
    (first_hours, first_risk), (next_hours, next_risk) = points[:2]
    onset = first_hours + first_risk * (first_hours - next_hours) / (next_risk - first_risk)
    anchors = ((onset, 0.0), *points, (0.0, HIGHEST_RISK))
    if not all(late[0] < early[0] and late[1] > early[1] for early, late in pairwise(anchors)):
        message = f"the bands' starts {BAND_STARTS} must rise between 0 and {HIGHEST_RISK:g}"
        raise ValueError(message)
    return anchors


def risk_of(hours_to_failure: Floats) -> Floats:
    """Return the risk in [0, 3] of hours to failure, both (n,); infinite hours are no risk."""
    hours, risk = np.array(risk_anchors()).T[:, ::-1]
    return np.asarray(np.interp(hours_to_failure, hours, risk))


def train_maintenance(data: Datasets, frame: FeatureFrame, *, plant: Plant, seed: int, progress: Progress) -> Candidate:
    """Fit on the training split.

    Raises:
        UsageError: the data has no failures, or too few readings before one.
    """
    if data.hours_to_failure is None:
        raise UsageError(
            "maintenance: the data has no column hours_to_failure, which is what risk is learned from; add it, or "
            "nexova train anomaly"
        )
    usable = _usable(data, frame)
    risk = risk_of(data.hours_to_failure)
    train = usable & (data.split == 0)
    worn = int((risk[train] > 0).sum())
    if train.sum() < FEWEST_ROWS or worn < FEWEST_WORN_ROWS:
        raise UsageError(
            f"maintenance: train_data has {int(train.sum())} usable rows, {worn} of them within "
            f"{risk_anchors()[0][0] / 24:g} days of a failure; {FEWEST_ROWS} and {FEWEST_WORN_ROWS} are needed: give "
            "more days or more machines"
        )
    rows = np.flatnonzero(train)
    if rows.size > _MOST_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, _MOST_ROWS, replace=False))
    forest = _fit(frame.maintenance[rows], risk[rows], seed=seed, progress=progress)

    graph = export_random_forest(forest)
    names = maintenance_feature_names(plant)
    document = RiskDocument(feature_names=names, anchors=risk_anchors())
    return Candidate(
        name=MAINTENANCE,
        files={GRAPH: graph, DOCUMENT: document.model_dump_json().encode()},
        trained_on=span_of(data.batch.timestamps[train]),
        rows_used=rows.size,
        rows_excluded={
            "given twice": data.duplicates,
            "without slow averages yet": int((~_averaged(frame) & (data.split == 0)).sum()),
            "what follows is not known yet": int((_averaged(frame) & ~usable & (data.split == 0)).sum()),
            "left out as nearly repeating others": int(train.sum()) - rows.size,
        },
        parameters={
            "trees": TREES,
            "depth": DEPTH,
            "leaf_rows": LEAF_ROWS,
            "feature_share": FEATURE_SHARE,
            "seed": seed,
        },
    )


def _fit(features: Features, risk: Floats, *, seed: int, progress: Progress) -> RandomForestRegressor:
    """Grow the forest some trees at a time, to report progress; the result is the same."""
    forest = RandomForestRegressor(
        n_estimators=0,
        max_depth=DEPTH,
        min_samples_leaf=LEAF_ROWS,
        max_features=FEATURE_SHARE,
        random_state=seed,
        n_jobs=-1,
        warm_start=True,
    )
    for trees in range(_TREES_A_STEP, TREES + 1, _TREES_A_STEP):
        progress("risk forest", (trees - _TREES_A_STEP) / TREES)
        forest.set_params(n_estimators=trees)
        with sharing_memory():
            forest.fit(features, risk)
    progress("risk forest", 1.0)
    return forest


def _averaged(frame: FeatureFrame) -> Bools:
    return np.asarray(np.isfinite(frame.maintenance).all(axis=1))


def _usable(data: Datasets, frame: FeatureFrame) -> Bools:
    return _averaged(frame) if data.outcome_known is None else _averaged(frame) & data.outcome_known


def risk_outcome(model: ForestRiskModel, data: Datasets, frame: FeatureFrame, *, plant: Plant) -> Outcome | None:
    """Return the true and the estimated risk of the usable test readings; None if failures are unknown."""
    del plant
    rows = _usable(data, frame) & (data.split == 2)  # noqa: PLR2004 - the test split
    if data.hours_to_failure is None or not rows.any():
        return None
    return Outcome(
        machine=data.batch.machine[rows],
        truth=risk_of(data.hours_to_failure[rows]),
        answer=model.risk(frame.maintenance[rows]),
    )
