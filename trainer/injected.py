"""Held-out readings with faults put into them, for an exam where nobody has labelled any.

Each fault is sized by the machine's own spread, so that no sensor is favoured; the recipe is the same for champion and
challenger, and for every run of the same seed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from core.features import watched_sensors
from core.plant import Plant
from trainer.datasets import Datasets
from trainer.hygiene import resting

Floats = npt.NDArray[np.float64]

SHARE: Final = 0.1
"""Of the running test readings of each machine."""
_TEST: Final = 2
_LEAST_ROWS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """rows: how long it lasts, in readings. shape: what it does to a sensor's values, (rows,), of spread sigma."""

    name: str
    rows: int
    shape: Callable[[Floats, float, np.random.Generator], Floats]


FAULTS: Final = (
    Fault(name="spike", rows=1, shape=lambda values, sigma, _: values + 8 * sigma),
    Fault(name="dip", rows=1, shape=lambda values, sigma, _: values - 8 * sigma),
    Fault(name="shift", rows=20, shape=lambda values, sigma, _: values + 4 * sigma),
    Fault(name="drift", rows=30, shape=lambda values, sigma, _: values + sigma * np.linspace(1, 6, values.size)),
    Fault(
        name="unrest", rows=20, shape=lambda values, sigma, random: values + random.normal(0, 4 * sigma, values.size)
    ),
)


def with_injected_faults(data: Datasets, *, plant: Plant, seed: int) -> Datasets:
    """The same data with faults in its test split, and labels that say where; the rest is labelled normal."""
    random = np.random.default_rng(seed)
    values, anomaly = data.batch.values.copy(), np.zeros(len(data.batch), dtype=bool)
    off, idle = resting(data.batch, plant)
    candidates = (data.split == _TEST) & ~off & ~idle
    least = np.array([plant.sensors[index].minimum_deviation for index in watched_sensors(plant)])
    for number in range(len(data.batch.machine_ids)):
        rows = np.flatnonzero(candidates & (data.batch.machine == number))
        if rows.size < _LEAST_ROWS:
            continue
        spread = np.fmax(np.nan_to_num(_spread(values[rows][:, list(watched_sensors(plant))])), least / 3)
        sensors = np.flatnonzero(spread)
        if not sensors.size:
            continue
        wanted, place, kind = SHARE * rows.size, 0, int(random.integers(len(FAULTS)))
        # as much time between two faults as makes the share come out, so that averages forget the one before
        pause = max(1.0, float(np.mean([fault.rows for fault in FAULTS])) * (1 / SHARE - 1))
        while anomaly[rows].sum() < wanted:
            fault = FAULTS[kind % len(FAULTS)]
            place += int(random.uniform(0.5, 1.5) * pause)
            part = rows[place : place + fault.rows]
            if part.size < fault.rows:
                break
            which = int(random.choice(sensors))
            sensor = watched_sensors(plant)[which]
            changed = fault.shape(values[part, sensor], float(spread[which]), random)
            low, high = plant.sensors[sensor].minimum, plant.sensors[sensor].maximum
            values[part, sensor] = np.clip(changed, low, high)
            anomaly[part] = True
            place, kind = place + fault.rows, kind + 1
    return replace(data, batch=replace(data.batch, values=values), anomaly=anomaly)


def _spread(values: Floats) -> Floats:
    """Half the distance between the 16 % and 84 % quantiles, (S,): a normal deviation that outliers do not move."""
    spoken = np.isfinite(values).any(axis=0)
    spread = np.full(values.shape[1], np.nan)
    low, high = np.nanquantile(values[:, spoken], (0.16, 0.84), axis=0)
    spread[spoken] = (high - low) / 2
    return spread
