"""The standard score of the Numenta Anomaly Benchmark, from its published description (Lavin and Ahmad 2015).

A detection within a labelled window earns up to 1, the more the earlier; only the window's first counts. One outside
costs up to 0.11, less shortly after a window; a missed window costs 1. Detections in the first 15 % of a series, and
at most in the first 750 rows, are ignored. 0 is the score of no detection at all, 100 that of a perfect detector.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from core.arrays import Bools, Floats

_FALSE_WEIGHT: Final = 0.11
_PROBATION, _PROBATION_ROWS = 0.15, 750
_FARTHEST: Final = 3.0  # window widths after a window, from which a false detection costs all of its weight


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Detections in one series. timestamps (n,) epoch s; detected (n,); windows: labelled, first and last instant."""

    timestamps: Floats
    detected: Bools
    windows: Sequence[tuple[float, float]]


def standard_score(series: Iterable[Series]) -> float:
    """Return the score of all series together, by the standard profile; at most 100.

    Raises:
        ValueError: no series has a window.
    """
    raw, windows = 0.0, 0
    for one in series:
        raw += _raw(one)
        windows += len(one.windows)
    if not windows:
        message = "no series has a labelled window: there is nothing to score"
        raise ValueError(message)
    return 100.0 * (raw + windows) / (2.0 * windows)


def _raw(series: Series) -> float:
    n = len(series.timestamps)
    ignored = min(int(_PROBATION * n), _PROBATION_ROWS)
    found = np.flatnonzero(series.detected)
    found = found[found >= ignored]
    spans = []
    for begin, end in sorted(series.windows):
        inside = np.flatnonzero((series.timestamps >= begin) & (series.timestamps <= end))
        spans.append((int(inside[0]), int(inside[-1])) if len(inside) else (n, n - 1))
    total = 0.0
    for first, last in spans:
        hits = found[(found >= first) & (found <= last)]
        if len(hits):
            position = -(last - int(hits[0]) + 1) / (last - first + 1)
            total += _sigmoid(position) / _sigmoid(-1.0)
        else:
            total -= 1.0
    for row in found.tolist():
        before = [span for span in spans if span[1] < row]
        if any(first <= row <= last for first, last in spans):
            continue
        if not before:
            total -= _FALSE_WEIGHT
            continue
        first, last = before[-1]
        position = (row - last) / max(last - first, 1)
        total += _FALSE_WEIGHT * (-1.0 if position > _FARTHEST else _sigmoid(position))
    return total


def _sigmoid(position: float) -> float:
    return float(2.0 / (1.0 + np.exp(5.0 * position)) - 1.0)
