"""Limits of the plant file: rules that hold from a machine's first reading on, without any model."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.plant import Plant

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenLimits:
    """Limits that n readings broke. severity (n,): 0 none, 1 warning, 2 critical; level (n,): 0, 0.6 or 1.

    sensor (n,): column of the sensor that broke the gravest limit, -1 where none; limit (n,): that limit.
    """

    severity: NDArray[np.int64]
    level: Floats
    sensor: NDArray[np.int64]
    limit: Floats


def broken_limits(values: Floats, plant: Plant) -> BrokenLimits:
    """Which limits `values`, (n, S) with NaN where missing, break. A missing value breaks none."""
    severity = np.zeros(len(values), dtype=np.int64)
    sensor = np.full(len(values), -1, dtype=np.int64)
    limit = np.full(len(values), np.nan)
    for index, spec in enumerate(plant.sensors):
        bounds = (
            (1, spec.warning_low, np.less),
            (1, spec.warning_high, np.greater),
            (2, spec.critical_low, np.less),
            (2, spec.critical_high, np.greater),
        )
        for grade, bound, beyond in bounds:
            if bound is None:
                continue
            broken = beyond(values[:, index], bound) & (severity < grade)
            severity[broken] = grade
            sensor[broken] = index
            limit[broken] = bound
    return BrokenLimits(severity=severity, level=np.array([0.0, 0.6, 1.0])[severity], sensor=sensor, limit=limit)
