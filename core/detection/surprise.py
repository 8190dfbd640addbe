"""Surprise score: the distance of a sensor, in units of its noise, from both its baseline and its recent level.

It suits machines with changing load, for which the distance from one level means little, and detects a jump with its
first reading. A lasting level ceases to surprise, so a slow change is left to the distance.
"""

import numpy as np

from core.arrays import Floats
from core.plant import Plant
from core.row_results import LEVEL_HISTORY, RowResults
from core.state.tracks import watched_sensors


def score_by_surprise(rows: RowResults, values: Floats, plant: Plant) -> None:
    """Replace the distance by the surprise, in place, where the plant file says so or the surprise is higher.

    A machine in warm-up has no distance and is scored by its surprise in any case.

    The score is the highest surprise of a sensor, in [0, 1], 0.5 at ten times the noise; the sensors' contributions
    are their shares of the total surprise. values: (n, S), NaN where missing.
    """
    detector = plant.detector
    by_history = rows.level == LEVEL_HISTORY
    if detector == "seasonal" or (detector == "distance" and not by_history.any()):
        return
    watched = list(watched_sensors(plant))
    surprise = np.abs(rows.anomaly[:, : len(watched)]).astype(np.float64)
    highest = surprise.max(axis=1, initial=0.0)
    chosen = rows.scored & by_history
    if detector == "surprise":
        chosen = rows.scored
    elif detector == "both":
        chosen |= rows.scored & (highest > rows.distance)
    rows.distance[chosen] = highest[chosen]
    total = surprise[chosen].sum(axis=1, keepdims=True)
    parts = surprise[chosen] / np.where(total > 0, total, 1.0)
    rows.contribution[chosen] = parts
    least = np.array([plant.sensors[index].minimum_deviation for index in watched])
    off = np.nan_to_num(np.abs(values[chosen][:, watched] - rows.expected[chosen]))
    # sensors that contribute less than their share do not decide
    rows.substantial[chosen] = ((parts * len(watched) >= 1) & (off >= least)).any(axis=1)
