"""Model family of the hours to failure: boosted trees over averages at several scales, fitted to recorded failures.

The target is capped: the sensors of a recently overhauled machine do not distinguish 300 hours from 200, so an uncapped
target is noise there (Heimes 2008, on the turbofan engines of C-MAPSS).
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from core.arrays import Bools, Codes, Features, Floats, Ints
from core.detection.features import FeatureFrame, maintenance_feature_names
from core.plant import Plant
from core.state.tracks import watched_sensors
from runtime.errors import UsageError
from runtime.models.inference import DOCUMENT, GRAPH, HIGHEST_RISK, MAINTENANCE
from runtime.models.lifetimes import LifetimeDocument, Spread, TreesLifetimeModel, inputs_of
from trainer.candidate import Candidate, Progress, span_of
from trainer.datasets import Datasets
from trainer.export import export_boosted_trees
from trainer.fanout import each, sharing_memory
from trainer.maintenance import risk_anchors
from trainer.measure import LifetimeOutcome, lifetime_figures

FOLDS: Final = 5
LEVEL: Final = 0.8
"""Nominal coverage of the interval, a share of failures."""
FEWEST_MACHINES: Final = 10
DEFAULT_CAP: Final = 125.0
"""Default cap of the target, in steps between two rows."""
_MOST_ROWS: Final = 60_000
_CUTS: Final = 20  # moments at which each machine is cut off
_KNOTS: Final = 9
_ROUNDS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """Training and evaluation of the model. step, cap: hours; cut_at_end: score only the last row of a test machine."""

    step: float
    cap: float
    cut_at_end: bool = False

    def train(self, data: Datasets, frame: FeatureFrame, *, plant: Plant, seed: int, progress: Progress) -> Candidate:
        """Fit on the machines of split 0, with an interval from the errors on machines that were left out of a fit.

        Raises:
            UsageError: fewer than 10 machines have a recorded failure.
        """
        learned, usable = data.split == 0, _usable(data, frame)
        rows = np.flatnonzero(usable & learned)
        machine, hours = data.batch.machine[rows], np.minimum(_hours(data)[rows], self.cap)
        failing = len(np.unique(machine))
        if failing < FEWEST_MACHINES:
            raise UsageError(
                f"maintenance: {failing} machines with a recorded failure, {FEWEST_MACHINES} are needed to hold some "
                "of them out; give more machines"
            )
        columns = _columns(plant)
        inputs = inputs_of(frame.maintenance[rows], columns)
        folds = folds_of(machine)
        fits = [_Fit(inputs=inputs, hours=hours, rows=folds != fold, seed=seed) for fold in range(FOLDS)]
        with sharing_memory():
            held_out = np.zeros(len(rows))
            for fold, trees in enumerate(each(_fit, fits, step="lives, cross-validated", progress=progress)):
                held_out[folds == fold] = np.clip(trees.predict(inputs[folds == fold]), 0.0, self.cap)
        found = self._cross_validated(held_out, hours, machine=machine, folds=folds)
        progress("hours to failure", 0.0)
        graph = export_boosted_trees(_fit(replace(fits[0], rows=np.ones(len(rows), np.bool_))))
        progress("hours to failure", 1.0)
        document = LifetimeDocument(
            feature_names=maintenance_feature_names(plant),
            anchors=_anchors(self.cap),
            columns=columns,
            cap_hours=self.cap,
            level=LEVEL,
            spread=spread_of(held_out, hours),
        )
        return Candidate(
            name=MAINTENANCE,
            files={GRAPH: graph, DOCUMENT: document.model_dump_json().encode()},
            trained_on=span_of(data.batch.timestamps[rows]),
            rows_used=min(len(rows), _MOST_ROWS),
            rows_excluded={
                "given twice": data.duplicates,
                "without slow averages or a known failure": int((~usable & learned).sum()),
                "left out as nearly repeating others": max(0, len(rows) - _MOST_ROWS),
            },
            parameters={
                "machines": failing,
                "cap_hours": self.cap,
                "step_hours": self.step,
                "interval_level": LEVEL,
                "cross_validated": found,
                "seed": seed,
            },
        )

    def _cross_validated(self, held_out: Floats, hours: Floats, *, machine: Ints, folds: Codes) -> dict[str, float]:
        """Return the figures of held-out machines; the intervals of a fold come from the errors of the other folds."""
        ends = np.zeros((len(held_out), 3))
        for fold in range(FOLDS):
            own = folds == fold
            ends[own] = spread_of(held_out[~own], hours[~own]).around(held_out[own])
        at = cut_rows(machine)
        outcome = LifetimeOutcome(
            machine=machine[at],
            machines=len(np.unique(machine)),
            truth=hours[at],
            answer=held_out[at],
            low=ends[at, 0],
            high=ends[at, 2],
            step=self.step,
        )
        found = lifetime_figures(outcome)
        whole = float(np.sqrt(((held_out - hours) ** 2).mean()))
        return {name: value for name, value in found.items() if value is not None} | {"rmse_all_rows": whole}

    def answer(self, model: Any, data: Datasets, frame: FeatureFrame, *, plant: Plant) -> LifetimeOutcome | None:
        """Return estimates at the moments at which test machines are cut off; None where none of them fails."""
        del plant
        rows = np.flatnonzero(_usable(data, frame) & (data.split == 2))  # noqa: PLR2004 - the test split
        if not rows.size or not isinstance(model, TreesLifetimeModel):
            return None
        machine = data.batch.machine[rows]
        at = rows[_last_rows(machine) if self.cut_at_end else cut_rows(machine)]
        ends = model.document.spread.around(model.estimate(frame.maintenance[at]))
        return LifetimeOutcome(
            machine=data.batch.machine[at],
            machines=len(np.unique(machine)),
            truth=np.minimum(_hours(data)[at], self.cap),
            answer=np.minimum(ends[:, 1], self.cap),
            low=ends[:, 0],
            high=ends[:, 2],
            step=self.step,
        )


def spread_of(estimate: Floats, truth: Floats) -> Spread:
    """Return quantiles of the errors of out-of-fold estimates, both (n,), by the size of the estimate."""
    parts = np.array_split(np.argsort(estimate, kind="stable"), _KNOTS)
    tail = (1 - LEVEL) / 2
    error = truth - estimate
    ends = np.array([np.quantile(error[part], [tail, 1 - tail]) for part in parts])
    return Spread(
        knots=tuple(float(estimate[part].mean()) for part in parts),
        below=tuple(np.maximum(-ends[:, 0], 0.0).tolist()),
        above=tuple(np.maximum(ends[:, 1], 0.0).tolist()),
    )


def folds_of(machine: Ints) -> Codes:
    """Return the fold of each row, (n,); all rows of a machine have the same."""
    order = np.random.default_rng(0).permutation(int(machine.max()) + 1)
    rank = {int(one): position for position, one in enumerate(order[np.isin(order, machine)])}
    return np.array([rank[int(one)] % FOLDS for one in machine], dtype=np.int8)


def cut_rows(machine: Ints) -> Ints:
    """Return rows at which machines are cut off, up to 20 of each machine, drawn with a fixed seed.

    machine: (n,), the rows of each machine in order of time.
    """
    chance = np.random.default_rng(0)
    cuts = []
    for one in np.unique(machine):
        rows = np.flatnonzero(machine == one)
        cuts.append(np.sort(chance.choice(rows, min(_CUTS, len(rows)), replace=False)))
    return np.concatenate(cuts)


def _last_rows(machine: Ints) -> Ints:
    return np.flatnonzero(np.append(machine[1:] != machine[:-1], True))


def _hours(data: Datasets) -> Floats:
    return np.full(len(data.batch), np.inf) if data.hours_to_failure is None else data.hours_to_failure


def _usable(data: Datasets, frame: FeatureFrame) -> Bools:
    usable = np.isfinite(frame.maintenance).all(axis=1) & np.isfinite(_hours(data))
    return np.asarray(usable if data.outcome_known is None else usable & data.outcome_known)


def _columns(plant: Plant) -> tuple[tuple[int, int | None], ...]:
    """Return the trees' columns: slow averages but the fastest, differences of neighbouring scales, age and type."""
    width, spans = len(watched_sensors(plant)), len(plant.average_hours)
    averages: list[tuple[int, int | None]] = [(index, None) for index in range(width, width * spans)]
    if spans == 1:
        averages = [(index, None) for index in range(width)]
    differences = [
        (fast * width + index, slow * width + index) for fast, slow in pairwise(range(spans)) for index in range(width)
    ]
    return (*averages, *differences, (width * spans, None), (width * spans + 1, None))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    inputs: Features
    hours: Floats
    rows: Bools
    seed: int


def _fit(task: _Fit) -> HistGradientBoostingRegressor:
    chosen = np.flatnonzero(task.rows)
    if chosen.size > _MOST_ROWS:
        chosen = np.sort(np.random.default_rng(task.seed).choice(chosen, _MOST_ROWS, replace=False))
    trees = HistGradientBoostingRegressor(
        max_iter=_ROUNDS,
        learning_rate=0.05,
        max_leaf_nodes=15,
        min_samples_leaf=30,
        l2_regularization=1.0,
        max_features=0.5,
        early_stopping=False,
        random_state=task.seed,
    )
    # folds are fitted in parallel; threads within a fit would compete with each other
    with threadpool_limits(1, user_api="openmp"):
        trees.fit(task.inputs[chosen], task.hours[chosen])
    return trees


def _anchors(cap: float) -> tuple[tuple[float, float], ...]:
    """Return points (hours, risk): those of `risk_anchors`, with risk 0 at the cap or above."""
    onset = min(cap, risk_anchors()[0][0])
    return ((onset, 0.0), *(point for point in risk_anchors()[1:-1] if point[0] < 0.8 * onset), (0.0, HIGHEST_RISK))
