"""A dry run of the rules, so that their compiled form and the models are ready before the first real reading."""

from typing import Final

import numpy as np

from core.assess import assess
from core.batch import ReadingBatch
from core.models import Models
from core.plant import Plant
from core.state.fleet import FleetState

_BEYOND_WARM_UP: Final = 64


def rehearse(plant: Plant, models: Models) -> None:
    """Assesses made-up readings of one machine, and forgets them.

    Where no compiled form is cached this takes some ten seconds; a worker that joined its group before would miss
    its heartbeats meanwhile.
    """
    rows = plant.detection.warm_up_readings + _BEYOND_WARM_UP
    random = np.random.default_rng(0)
    ranges = np.array([(sensor.minimum, sensor.maximum) for sensor in plant.sensors])
    values = random.normal(ranges.mean(axis=1), 0.01 * np.ptp(ranges, axis=1), (rows, len(plant.sensors)))
    first = plant.readings.earliest.timestamp() + plant.detection.settle_seconds
    seconds = first + np.arange(0.0, 60.0 * rows, 60.0)
    batch = ReadingBatch.from_columns(["rehearsal"] * rows, seconds, values)
    assess(batch, state=FleetState(plant), models=models, plant=plant)
