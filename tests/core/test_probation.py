"""A new version may call more or less than the one before on the same readings, within bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.detection.scoring import Calls
from core.rollout import Probation, RateBounds

BOUNDS = RateBounds(factor=3.0, margin=0.05)
rates = st.floats(0, 1)


def a_probation(least: int = 100) -> Probation:
    return Probation(name="anomaly", version="new", former="old", bounds=BOUNDS, least=least)


def calls(judged: int, new: int, old: int) -> tuple[Calls, ...]:
    return (
        Calls(name="anomaly", version="new", judged=judged, raised=new),
        Calls(name="maintenance", version="new", judged=judged, raised=judged),
        Calls(name="anomaly", version="old", judged=judged, raised=old),
    )


@pytest.mark.parametrize(
    ("new", "old", "stays"),
    [
        (1, 1, True),
        (8, 1, True),  # three times as many and five in a hundred
        (9, 1, False),  # more is more than a plant's people should hear
        (0, 1, True),
        (0, 15, True),
        (0, 16, False),  # it has gone blind to what the version before raises
        (100, 60, True),  # nothing is above all
        (60, 60, True),  # a plant in trouble is no fault of the version
    ],
)
def test_the_bounds_are_three_times_the_rate_of_the_version_before_and_a_margin(
    *, new: int, old: int, stays: bool
) -> None:
    probation = a_probation()
    probation.take(calls(100, new, old))
    assert (probation.complaint() is None) == stays


@given(rates)
def test_a_version_that_calls_as_often_as_the_one_before_is_always_within_bounds(rate: float) -> None:
    lowest, highest = BOUNDS.around(rate)
    assert 0 <= lowest <= rate <= highest <= 1


def test_few_readings_say_nothing() -> None:
    probation = a_probation()
    probation.take(calls(99, 99, 0))
    assert probation.complaint() is None
    probation.take(calls(1, 1, 0))
    assert probation.complaint() == (
        "alert rate 100.0% is outside 0.0% to 5.0%, as old raises 0.0% on the same 100 readings"
    )


def test_a_good_beginning_does_not_hide_what_comes_later() -> None:
    probation = a_probation()
    for _ in range(50):
        probation.take(calls(100, 1, 1))
        assert probation.complaint() is None
    probation.take(calls(100, 30, 1))
    assert probation.complaint() is not None


def test_readings_that_only_one_of_them_judged_do_not_count() -> None:
    probation = a_probation()
    probation.take(calls(100, 100, 0)[:2])
    assert probation.judged == 0
