"""Affiliation metrics: the closeness of flags to labelled stretches, relative to random flags.

Huet, Navarro and Rossi, "Local Evaluation of Time Series Anomaly Detection Algorithms" (KDD 2022), on whole readings:
each labelled stretch has the zone of readings that are nearer to it than to any other, and a distance is worth the
probability that a random reading of that zone is at least as far.
"""

import itertools
from typing import NamedTuple

import numpy as np

from core.arrays import Bools, Ints
from core.evaluation.flags import Stretch, stretches


class Affiliation(NamedTuple):
    """Precision and recall in [0, 1]; a random flag's are about a half. None: nothing flagged, or nothing labelled."""

    precision: float | None
    recall: float | None


def affiliation(truth: Bools, flagged: Bools) -> Affiliation:
    """Return the affiliation of `flagged` with `truth`, both (n,)."""
    labelled = stretches(truth)
    if not labelled:
        return Affiliation(None, None)
    precisions, recalls = [], []
    for stretch, zone in zip(labelled, _zones(labelled, len(truth)), strict=True):
        raised = zone.begin + np.flatnonzero(flagged[zone.begin : zone.end])
        if not len(raised):
            recalls.append(0.0)
            continue
        precisions.append(_precision(raised, stretch, zone))
        recalls.append(_recall(raised, stretch, zone))
    return Affiliation(float(np.mean(precisions)) if precisions else None, float(np.mean(recalls)))


def _zones(labelled: list[Stretch], rows: int) -> list[Stretch]:
    borders = [0]
    for one, following in itertools.pairwise(labelled):
        borders.append((one.end + following.begin) // 2)
    borders.append(rows)
    return [Stretch(begin, end) for begin, end in itertools.pairwise(borders)]


def _precision(raised: Ints, stretch: Stretch, zone: Stretch) -> float:
    everywhere = np.sort(_distance(np.arange(zone.begin, zone.end), stretch))
    nearer = np.searchsorted(everywhere, _distance(raised, stretch), side="left")
    return float(np.mean(1 - nearer / len(everywhere)))


def _recall(raised: Ints, stretch: Stretch, zone: Stretch) -> float:
    rows = np.arange(stretch.begin, stretch.end)
    place = np.searchsorted(raised, rows)
    left = np.where(place > 0, rows - raised[np.maximum(place - 1, 0)], np.iinfo(np.int64).max)
    right = np.where(place < len(raised), raised[np.minimum(place, len(raised) - 1)] - rows, np.iinfo(np.int64).max)
    away = np.minimum(left, right)
    farther = np.maximum(rows - away - zone.begin + 1, 0) + np.maximum(zone.end - (rows + away), 0)
    whole = zone.end - zone.begin
    return float(np.mean(np.where(away == 0, whole, farther) / whole))


def _distance(rows: Ints, stretch: Stretch) -> Ints:
    return np.maximum(np.maximum(stretch.begin - rows, rows - (stretch.end - 1)), 0)
