"""Limits of the plant file: rules that hold from a machine's first reading on, without any model."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.plant import Plant, Sensor

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVELS: Final = (0.0, 0.6, 1.0)
"""How bad no broken limit, a warning limit and a critical limit are, in [0, 1]; indices are severities."""


class BrokenLimit(NamedTuple):
    """A limit that a value lies beyond. severity: 1 warning, 2 critical; sensor: its column; actual in its unit."""

    severity: int
    sensor: int
    limit: float
    actual: float


def severity_of(values: Floats, plant: Plant) -> Ints:
    """The gravest limit that each of `values`, (n, S) with NaN where missing, breaks: 0 none, 1 warning, 2 critical.

    A missing value breaks none.
    """
    severity = np.zeros(len(values), dtype=np.int64)
    for index, sensor in enumerate(plant.sensors):
        for grade, bound, sign in _limits_of(sensor):
            np.maximum(severity, grade * (sign * values[:, index] > sign * bound), out=severity)
    return severity


def broken_limits(values: Floats, plant: Plant) -> list[BrokenLimit]:
    """The gravest limit that each sensor breaks with its value of one reading, (S,); the gravest of all first."""
    broken = []
    for index, sensor in enumerate(plant.sensors):
        actual = float(values[index])
        beyond = [(grade, bound) for grade, bound, sign in _limits_of(sensor) if sign * actual > sign * bound]
        if beyond:
            grade, bound = max(beyond)
            broken.append(BrokenLimit(severity=grade, sensor=index, limit=bound, actual=actual))
    return sorted(broken, key=lambda item: -item.severity)


def _limits_of(sensor: Sensor) -> Iterator[tuple[int, float, int]]:
    """Severity, limit, and the sign of the direction in which the limit is broken."""
    for grade, bound, sign in (
        (1, sensor.warning_low, -1),
        (1, sensor.warning_high, 1),
        (2, sensor.critical_low, -1),
        (2, sensor.critical_high, 1),
    ):
        if bound is not None:
            yield grade, bound, sign
