"""Anomaly scores of the readings of a batch, and the score that decides on their flag."""

from typing import Final

import numpy as np

from core.arrays import Floats
from core.models import FlagBy, Models
from core.row_results import LEVEL_HISTORY, LEVELS, RowResults

_CONFIDENCE: Final = {"limits": 0.0, "plant": 0.2, "type": 0.4, "history": 0.5, "machine": 1.0}


def combine_scores(distance: Floats, forest: Floats, *, flag_by: FlagBy) -> Floats:
    """Return the score that decides on the flag, (n,), from the machine's own distance and the forest's, (n,) each."""
    if flag_by == "distance":
        return distance
    return forest if flag_by == "forest" else np.maximum(distance, forest)


def anomaly_scores(rows: RowResults, models: Models) -> Floats:
    """Return the scores in [0, 1] that decide on the flag, (n,); NaN where a reading is not scored."""
    anomaly = rows.distance.copy()
    # a score against a borrowed baseline includes the forest already
    scored = rows.scored & (rows.level >= LEVEL_HISTORY)
    if models.anomaly is not None and models.flag_by != "distance" and scored.any():
        forest = models.anomaly.score(rows.anomaly[scored])
        anomaly[scored] = combine_scores(anomaly[scored], forest, flag_by=models.flag_by)
    return anomaly


def confidence_of(rows: RowResults) -> Floats:
    """Return the confidence in the baseline of each reading, (n,) in [0, 1]; 1 for a learned one of its machine."""
    base = np.array([_CONFIDENCE[level] for level in LEVELS])[rows.level]
    # confidence in a history grows with its share of the warm-up
    grown = base + (1 - base) * rows.progress
    return np.where(rows.level == LEVEL_HISTORY, grown, base)
