"""Surprise as a score of its own: a sensor far, in noises, from both its baseline and where it has been lately.

It suits machines whose load wanders, of which a distance from one level says little, and sees a fault with the first
reading of it. What stays where it is surprises no longer, so a lasting change without a jump is for the distance.
"""

import numpy as np

from core.arrays import Floats
from core.plant import Plant
from core.row_results import LEVEL_HISTORY, RowResults
from core.state.tracks import watched_sensors


def score_by_surprise(rows: RowResults, values: Floats, plant: Plant) -> None:
    """Put the surprise in the place of the distance, where the plant file says so or it is the higher, in place.

    A machine that still learns has no distance: it is scored by its surprise whatever the plant file says.

    The score is the highest surprise of a sensor, in [0, 1] and a half at ten noises; the sensors' parts in it are
    their shares of all surprise. values: (n, S), NaN where missing.
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
    # sensors that carry less than their share of the score do not speak for it
    rows.substantial[chosen] = ((parts * len(watched) >= 1) & (off >= least)).any(axis=1)
