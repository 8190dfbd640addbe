"""Scores of a new machine's first readings against the trained baseline of its type, by the API's rule.

From the tenth reading on a machine is compared with its own short history instead.
"""

import numpy as np

from core.adhoc.rows import History, normalised, score_rows
from core.arrays import Floats
from core.batch import ReadingBatch
from core.models import Models
from core.plant import Plant
from core.row_results import FIRST, LEVEL_LIMITS, LEVELS, RowResults
from core.state.tracks import watched_sensors


def score_against_type(batch: ReadingBatch, values: Floats, rows: RowResults, *, models: Models, plant: Plant) -> None:
    """Score readings of machines that have no baseline of their own yet, in place.

    values: physical values, (n, S). Each reading is scored alone; without trained models none is scored.
    """
    watched = list(watched_sensors(plant))
    if not models.references or not watched:
        return
    # after an observed start a machine takes hours to reach its type's level; its own history is available sooner
    new = (rows.phase == FIRST) & (rows.level == LEVEL_LIMITS) & ~np.isnan(values[:, watched]).all(axis=1)
    if not new.any():
        return
    # where starts must settle, the first reading may be one: a cold machine differs from its type but is not faulty
    may_alert = plant.detection.settle_seconds == 0
    for machine in np.unique(batch.machine[new]).tolist():
        chosen = np.flatnonzero(new & (batch.machine == machine))
        history = History(values=values[chosen], machine_id=batch.machine_ids[machine], related=False)
        found = score_rows([history], models=models, references=models.references, plant=plant)
        rows.level[chosen] = LEVELS.index(found.levels[0])
        rows.scored[chosen] = np.isfinite(found.anomaly)
        rows.distance[chosen] = found.anomaly
        rows.expected[chosen], rows.deviation[chosen] = found.expected, np.nan_to_num(found.deviation)
        parts = normalised(found.contribution[:, watched])
        rows.contribution[chosen] = parts
        least = np.array([plant.sensors[index].minimum_deviation for index in watched])
        off = np.nan_to_num(np.abs(values[chosen][:, watched] - found.expected))
        rows.substantial[chosen] = may_alert & ((parts * len(watched) >= 1) & (off >= least)).any(axis=1)
