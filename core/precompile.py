"""Compilation of the rules before the first reading, by a dry run on synthetic readings."""

from typing import Final

import numpy as np

from core.assess import assess
from core.batch import ReadingBatch
from core.models import Models
from core.plant import Plant
from core.state.fleet import FleetState

_BEYOND_WARM_UP: Final = 64


def precompile(plant: Plant, models: Models) -> None:
    """Assess synthetic readings of one machine, and discard the result.

    Without a cache of compiled code this takes half a minute of CPU time, during which a worker that had already joined
    its group would miss its heartbeats.
    """
    rows = plant.warm_up_readings + _BEYOND_WARM_UP
    random = np.random.default_rng(0)
    ranges = np.array([(sensor.minimum, sensor.maximum) for sensor in plant.sensors])
    values = random.normal(ranges.mean(axis=1), 0.01 * np.ptp(ranges, axis=1), (rows, len(plant.sensors)))
    first = plant.readings.earliest.timestamp() + plant.detection.settle_seconds
    seconds = first + np.arange(0.0, 60.0 * rows, 60.0)
    batch = ReadingBatch.from_columns(["precompile"] * rows, seconds, values)
    assess(batch, state=FleetState(plant), models=models, plant=plant)
