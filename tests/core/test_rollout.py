"""A new version may call more or less than the one before on the same readings, within bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.rollout import AlertCounts, CanaryCheck, RateBounds

BOUNDS = RateBounds(factor=3.0, margin=0.05)
rates = st.floats(0, 1)


def a_check(least: int = 100) -> CanaryCheck:
    return CanaryCheck(name="anomaly", version="new", previous="old", bounds=BOUNDS, least=least)


def counts(scored: int, new: int, old: int) -> tuple[AlertCounts, ...]:
    return (
        AlertCounts(name="anomaly", version="new", scored=scored, alerting=new),
        AlertCounts(name="maintenance", version="new", scored=scored, alerting=scored),
        AlertCounts(name="anomaly", version="old", scored=scored, alerting=old),
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
    check = a_check()
    check.add(counts(100, new, old))
    assert (check.violation() is None) == stays


@given(rates)
def test_a_version_that_calls_as_often_as_the_one_before_is_always_within_bounds(rate: float) -> None:
    lowest, highest = BOUNDS.around(rate)
    assert 0 <= lowest <= rate <= highest <= 1


def test_few_readings_say_nothing() -> None:
    check = a_check()
    check.add(counts(99, 99, 0))
    assert check.violation() is None
    check.add(counts(1, 1, 0))
    assert check.violation() == (
        "alert rate 100.0% is outside 0.0% to 5.0%, as old raises 0.0% on the same 100 readings"
    )


def test_a_good_beginning_does_not_hide_what_comes_later() -> None:
    check = a_check()
    for _ in range(50):
        check.add(counts(100, 1, 1))
        assert check.violation() is None
    check.add(counts(100, 30, 1))
    assert check.violation() is not None


def test_readings_that_only_one_of_them_judged_do_not_count() -> None:
    check = a_check()
    check.add(counts(100, 100, 0)[:2])
    assert check.scored == 0
