"""Injection of faults into held-out readings, for an evaluation without labels.

Each fault is sized by the machine's own spread, so that no sensor is favoured, and lies within one run of the machine,
because a stop resets what the models remember. The recipe is the same for champion and challenger, and for every run
of the same seed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from core.arrays import Floats, Ints
from core.plant import Plant
from core.state.tracks import watched_sensors
from trainer.cleaning import resting
from trainer.datasets import Datasets

SHARE: Final = 0.1
"""Share of each machine's running test readings that faults affect."""
LONGEST_HOURS: Final = 6.0
"""Longest fault; a longer one would be a new state of the machine rather than a sudden fault."""
_TEST: Final = 2
_LEAST_ROWS: Final = 60
_GAP: Final = 3.0  # usual steps between two readings; after a longer one it is another run


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """rows: how long it lasts at most, in readings. shape: what it does to a sensor's values, (rows,), of spread sigma.

    Each value is moved by at least two sigma: less would be within what the machine does anyway.
    """

    name: str
    rows: int
    shape: Callable[[Floats, float, np.random.Generator], Floats]


def _unrest(values: Floats, sigma: float, random: np.random.Generator) -> Floats:
    return values + sigma * random.choice((-1.0, 1.0), values.size) * random.uniform(3, 8, values.size)


FAULTS: Final = (
    Fault(name="spike", rows=1, shape=lambda values, sigma, _: values + 8 * sigma),
    Fault(name="dip", rows=1, shape=lambda values, sigma, _: values - 8 * sigma),
    Fault(name="shift", rows=20, shape=lambda values, sigma, _: values + 6 * sigma),
    Fault(name="drift", rows=30, shape=lambda values, sigma, _: values + sigma * np.linspace(2, 8, values.size)),
    Fault(name="unrest", rows=20, shape=_unrest),
)


def with_injected_faults(data: Datasets, *, plant: Plant, seed: int) -> Datasets:
    """Return the same data with faults in its test split, and labels that say where; the rest is labelled normal."""
    random = np.random.default_rng(seed)
    values, anomaly = data.batch.values.copy(), np.zeros(len(data.batch), dtype=bool)
    off, idle = resting(data.batch, plant)
    candidates = (data.split == _TEST) & ~off & ~idle
    watched = list(watched_sensors(plant))
    # by the plant file smaller deviations are no anomaly, and the least that a fault moves a value by is two sigma
    least = np.array([plant.sensors[index].minimum_deviation / 2 for index in watched])
    for number in range(len(data.batch.machine_ids)):
        rows = np.flatnonzero(candidates & (data.batch.machine == number))
        if rows.size < _LEAST_ROWS:
            continue
        spread = np.fmax(np.nan_to_num(_spread(values[rows][:, watched])), least)
        sensors = np.flatnonzero(spread)
        if not sensors.size:
            continue
        wanted = SHARE * rows.size
        rows, run, step = _settled_runs(rows, data.batch.timestamps, settle_seconds=plant.detection.settle_seconds)
        longest = max(1, int(LONGEST_HOURS * 3600 / step))
        # as much time between two faults as makes the share come out, so that averages forget the one before
        pause = max(1.0, float(np.mean([min(fault.rows, longest) for fault in FAULTS])) * (1 / SHARE - 1))
        place, kind = 0, int(random.integers(len(FAULTS)))
        while anomaly[rows].sum() < wanted:
            fault = FAULTS[kind % len(FAULTS)]
            place += int(random.uniform(0.5, 1.5) * pause)
            if place >= rows.size:
                break
            end = min(place + min(fault.rows, longest), int(np.searchsorted(run, run[place], side="right")))
            part = rows[place:end]
            which = int(random.choice(sensors))
            sensor = plant.sensors[watched[which]]
            changed = fault.shape(values[part, watched[which]], float(spread[which]), random)
            values[part, watched[which]] = np.clip(changed, sensor.minimum, sensor.maximum)
            anomaly[part] = True
            place, kind = end, kind + 1
    return replace(data, batch=replace(data.batch, values=values), anomaly=anomaly)


def _settled_runs(rows: Ints, timestamps: Floats, *, settle_seconds: float) -> tuple[Ints, Ints, float]:
    """Return the rows in which a machine has settled, (m,), the number of the run of each, and the usual step in s.

    rows: running ones in order of time, at least two; timestamps: of all rows, in seconds.
    """
    at = timestamps[rows]
    step = float(np.median(np.diff(at)))
    begins = np.append(True, (np.diff(rows) > 1) | (np.diff(at) > _GAP * step))
    run = np.cumsum(begins) - 1
    settled = at - at[begins][run] >= settle_seconds
    return rows[settled], run[settled], step


def _spread(values: Floats) -> Floats:
    """Return half the distance between the 16 % and 84 % quantiles, (S,), a deviation robust to outliers."""
    spoken = np.isfinite(values).any(axis=0)
    spread = np.full(values.shape[1], np.nan)
    low, high = np.nanquantile(values[:, spoken], (0.16, 0.84), axis=0)
    spread[spoken] = (high - low) / 2
    return spread
