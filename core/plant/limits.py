"""Limits of the plant file, which apply from a machine's first reading on, without any model."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from core.arrays import Floats, Ints
from core.plant.plant import Plant
from core.plant.sensors import Sensor

WARNING: Final = 1
CRITICAL: Final = 2
LEVELS: Final = (0.0, 0.6, 1.0)
"""Score in [0, 1] by the severity of the exceeded limit: none, warning, critical."""


class BrokenLimit(NamedTuple):
    """A limit that a value exceeds. severity: 1 warning, 2 critical; sensor: its column; limit, actual: in its unit."""

    severity: int
    sensor: int
    limit: float
    actual: float


def limit_severity(values: Floats, plant: Plant) -> Ints:
    """Return the highest severity of the limits that each value exceeds, (n, S): 0 none, 1 warning, 2 critical.

    A missing value, NaN, exceeds none.
    """
    severity = np.zeros(values.shape, dtype=np.int64, order="F")
    for index, sensor in enumerate(plant.sensors):
        of_sensor = severity[:, index]
        for grade, bound, sign in _limits_of(sensor):
            np.maximum(of_sensor, grade * (sign * values[:, index] > sign * bound), out=of_sensor)
    return severity


def broken_limits(values: Floats, plant: Plant) -> list[BrokenLimit]:
    """Return the most severe limit that each value of a reading, (S,), exceeds, by falling severity."""
    broken = []
    for index, sensor in enumerate(plant.sensors):
        actual = float(values[index])
        beyond = [(grade, bound) for grade, bound, sign in _limits_of(sensor) if sign * actual > sign * bound]
        if beyond:
            grade, bound = max(beyond)
            broken.append(BrokenLimit(severity=grade, sensor=index, limit=bound, actual=actual))
    return sorted(broken, key=lambda item: -item.severity)


def _limits_of(sensor: Sensor) -> Iterator[tuple[int, float, int]]:
    """Yield severity, limit, and the sign of the direction in which it is exceeded."""
    for grade, bound, sign in (
        (WARNING, sensor.warning_low, -1),
        (WARNING, sensor.warning_high, 1),
        (CRITICAL, sensor.critical_low, -1),
        (CRITICAL, sensor.critical_high, 1),
    ):
        if bound is not None:
            yield grade, bound, sign
