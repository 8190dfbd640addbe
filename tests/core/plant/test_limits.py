"""Limits of the plant file, for a whole batch and for one reading: both must agree."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.plant.limits import LEVELS, broken_limits, limit_severity
from tests.builders import a_plant, a_sensor

PLANT = a_plant(
    sensors=[
        a_sensor("a", critical_low=-20.0, warning_low=-10.0, warning_high=10.0, critical_high=20.0),
        a_sensor("b", critical_high=5.0),
        a_sensor("c"),
    ]
)
values = st.sampled_from((-21.0, -20.0, -10.5, -10.0, 0.0, 5.0, 5.1, 10.0, 10.1, 20.0, 20.1, float("nan")))


@pytest.mark.parametrize(
    ("value", "severity"),
    [(0, 0), (10, 0), (10.1, 1), (20, 1), (20.1, 2), (-10, 0), (-10.1, 1), (-20, 1), (-20.1, 2), (float("nan"), 0)],
)
def test_a_limit_is_broken_by_what_lies_beyond_it(value: float, severity: int) -> None:
    assert limit_severity(np.array([[value, 0.0, 1e9]]), PLANT).tolist() == [[severity, 0, 0]]


def test_the_gravest_limit_of_a_sensor_is_named_and_the_gravest_sensor_first() -> None:
    first, second = broken_limits(np.array([15.0, 6.0, 0.0]), PLANT)
    assert (first.sensor, first.severity, first.limit, first.actual) == (1, 2, 5, 6)
    assert (second.sensor, second.severity, second.limit, second.actual) == (0, 1, 10, 15)
    [low] = broken_limits(np.array([-30.0, 0.0, 0.0]), PLANT)
    assert (low.severity, low.limit) == (2, -20)


@given(st.tuples(values, values, values))
def test_what_is_named_is_what_was_counted(row: tuple[float, ...]) -> None:
    named = broken_limits(np.array(row), PLANT)
    severity = limit_severity(np.array([row]), PLANT).max()
    assert max((item.severity for item in named), default=0) == severity
    assert all(not np.isnan(item.actual) for item in named)


def test_critical_is_worse_than_a_warning_and_both_are_over_the_threshold() -> None:
    assert LEVELS[0] < 0.5 < LEVELS[1] < LEVELS[2] <= 1
