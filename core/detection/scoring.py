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
    # the score of what was held against others' baselines has the forest's part in it already
    scored = rows.scored & (rows.level >= LEVEL_HISTORY)
    if models.anomaly is not None and models.flag_by != "distance" and scored.any():
        forest = models.anomaly.score(rows.anomaly[scored])
        anomaly[scored] = combine_scores(anomaly[scored], forest, flag_by=models.flag_by)
    return anomaly


def confidence_of(rows: RowResults) -> Floats:
    """Return how far what each reading is held against is its machine's own, (n,) in [0, 1]; 1 when learned."""
    base = np.array([_CONFIDENCE[level] for level in LEVELS])[rows.level]
    # a history is worth more, the more of the warm-up is in it
    grown = base + (1 - base) * rows.progress
    return np.where(rows.level == LEVEL_HISTORY, grown, base)
