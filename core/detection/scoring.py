"""Anomaly scores of the readings of a batch, and the score that decides on their flag."""

import numpy as np

from core.arrays import Floats
from core.models import FlagBy, Models
from core.row_results import RowResults


def combine_scores(distance: Floats, forest: Floats, *, flag_by: FlagBy) -> Floats:
    """Return the score that decides on the flag, (n,), from the machine's own distance and the forest's, (n,) each."""
    if flag_by == "distance":
        return distance
    return forest if flag_by == "forest" else np.maximum(distance, forest)


def anomaly_scores(rows: RowResults, models: Models) -> Floats:
    """Return the scores in [0, 1] that decide on the flag, (n,); NaN where a reading is not scored."""
    anomaly = rows.distance.copy()
    scored = rows.scored
    if models.anomaly is not None and models.flag_by != "distance" and scored.any():
        forest = models.anomaly.score(rows.anomaly[scored])
        anomaly[scored] = combine_scores(anomaly[scored], forest, flag_by=models.flag_by)
    return anomaly
