"""Evaluation figures of a model on the test split, with confidence intervals."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import rankdata

from core.arrays import Bools, Floats, Ints
from schemas.scores import FLAG_AT

Metrics = Mapping[str, float | None]
Intervals = Mapping[str, tuple[float, float]]

_RESAMPLES: Final = 200
_TAIL: Final = 0.025
_EARLY, _LATE = 13.0, 10.0  # steps that an error may have before the penalty is e - 1: foretold too early, too late


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Truth and answer of n cases of the test split, each of a machine (its number), (n,) each.

    relative: the cases in which an error relative to the truth means something; None: in all.
    """

    machine: Ints
    truth: Floats
    answer: Floats
    relative: Bools | None = None

    def take(self, rows: Ints) -> "Outcome":
        """Return the cases `rows`, in that order, repeated ones included."""
        relative = None if self.relative is None else self.relative[rows]
        return Outcome(machine=self.machine[rows], truth=self.truth[rows], answer=self.answer[rows], relative=relative)


@dataclass(frozen=True, slots=True, kw_only=True)
class LifetimeOutcome(Outcome):
    """Hours to failure, with the ends of their intervals, (n,) each.

    machines: how many there are. step: hours between two rows of the data.
    """

    low: Floats
    high: Floats
    machines: int
    step: float

    def take(self, rows: Ints) -> "LifetimeOutcome":
        """Return the cases `rows`, in that order, repeated ones included."""
        return LifetimeOutcome(
            machine=self.machine[rows],
            truth=self.truth[rows],
            answer=self.answer[rows],
            low=self.low[rows],
            high=self.high[rows],
            machines=self.machines,
            step=self.step,
        )


Figures = Callable[[Outcome], Metrics]


def intervals(outcome: Outcome, figures: Figures) -> Intervals:
    """Return the 95 % interval of each figure over machines; none where fewer than two machines speak.

    A bootstrap (Efron 1979) that draws whole machines with replacement: readings of one machine are no independent
    witnesses. A figure that some draw leaves unknown has no interval.
    """
    machines = np.unique(outcome.machine)
    if len(machines) < 2:  # noqa: PLR2004  one machine says nothing of others
        return {}
    rows = [np.flatnonzero(outcome.machine == machine) for machine in machines]
    chance = np.random.default_rng(0)
    drawn: dict[str, list[float | None]] = {}
    for _ in range(_RESAMPLES):
        chosen = chance.integers(len(rows), size=len(rows))
        for name, value in figures(outcome.take(np.concatenate([rows[one] for one in chosen]))).items():
            drawn.setdefault(name, []).append(value)
    found: dict[str, tuple[float, float]] = {}
    for name, values in drawn.items():
        known = [value for value in values if value is not None]
        if len(known) == _RESAMPLES:
            low, high = np.quantile(known, [_TAIL, 1 - _TAIL])
            found[name] = (float(low), float(high))
    return found


def flag_figures(outcome: Outcome) -> Metrics:
    """Return precision, recall and F1 of the flag (an answer of at least 0.5), and the AUC of the answer.

    The AUC is the chance that an anomalous reading scores higher than a normal one (Mann and Whitney 1947); None where
    all readings are alike.
    """
    truth, flag = outcome.truth > 0, outcome.answer >= FLAG_AT
    hits, flagged, positives = int((truth & flag).sum()), int(flag.sum()), int(truth.sum())
    precision = hits / flagged if flagged else 0.0
    recall = hits / positives if positives else 0.0
    f1 = 2 * hits / (flagged + positives) if flagged + positives else 0.0
    negatives = truth.size - positives
    auc = None
    if positives and negatives:
        ranks = rankdata(outcome.answer)[truth].sum() - positives * (positives + 1) / 2
        auc = float(ranks / (positives * negatives))
    return {"precision": precision, "recall": recall, "f1": f1, "auc": auc}


def error_figures(outcome: Outcome) -> Metrics:
    """Return root mean square and mean absolute error in the truth's unit, and the explained share of its variance.

    Where the truth does not vary there is nothing to explain, and r2 is None.
    """
    error = outcome.answer - outcome.truth
    spread = float(((outcome.truth - outcome.truth.mean()) ** 2).sum())
    return {
        "rmse": float(np.sqrt((error**2).mean())),
        "mae": float(np.abs(error).mean()),
        "r2": 1 - float((error**2).sum()) / spread if spread > 0 else None,
    }


def relative_figures(outcome: Outcome) -> Metrics:
    """Return the figures of `error_figures`, and the mean error relative to the truth where that is defined.

    mape is a share, 0.04 for 4 %.
    """
    known = error_figures(outcome)
    counts = np.ones(len(outcome.truth), np.bool_) if outcome.relative is None else outcome.relative
    share = np.abs(outcome.answer[counts] / outcome.truth[counts] - 1)
    mape = float(share.mean()) if share.size else None
    return {"rmse": known["rmse"], "mae": known["mae"], "mape": mape, "r2": known["r2"]}


def lifetime_figures(outcome: Outcome) -> Metrics:
    """Return rmse and mae in hours, the score of C-MAPSS, and the coverage of the interval, a share.

    The score (Saxena 2008) is a penalty that grows with the error, faster for failures foretold too late; its sum over
    the machines is given for one estimate each. It counts in steps of the data.
    """
    if not isinstance(outcome, LifetimeOutcome):
        message = "a lifetime is measured with its interval"
        raise TypeError(message)
    late = (outcome.answer - outcome.truth) / outcome.step
    penalty = np.expm1(np.where(late < 0, -late / _EARLY, late / _LATE))
    inside = (outcome.truth >= outcome.low) & (outcome.truth <= outcome.high)
    known = error_figures(outcome)
    return {
        "rmse": known["rmse"],
        "mae": known["mae"],
        "score": float(penalty.mean()) * outcome.machines,
        "coverage": float(inside.mean()),
    }
